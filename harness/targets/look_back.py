"""Asks once more for a run's first refs when all else is over: who remembers them for a minute only has lost them."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from harness.errors import HarnessError
from harness.history import read_history
from harness.profile import Profile
from harness.resume import left_by
from harness.targets.probe import Probe

LONGEST_WAIT_S: Final = 45.0
LONGEST_S: Final = 20.0  # for asking; where one limit holds for all, only as many refs fit in as it admits meanwhile
TICK_S: Final = 0.05


def look_back(
    profile: Profile, history: Path, probe: Probe, age_s: float, ended: Callable[[], bool], say: Callable[[str], None]
) -> None:
    """Wait until the first refs since the last reset are `age_s` old, but not too long, and ask for them again.

    Whether the answers are right is for the rules to say. Nothing is asked where nothing is left to ask for, or the
    history cannot be read; `ended` is the user's wish.
    """
    try:
        left = [one for one in left_by(read_history(history), profile) if _plain(one["ref"])]
    except HarnessError:
        return  # the judge says what is wrong with it
    if not left:
        return
    wait_s = age_s - (time.time_ns() - min(one["received"] for one in left)) / 1e9
    if 0 < wait_s <= LONGEST_WAIT_S:
        say(f"waiting {wait_s:.0f} s until the first of {len(left)} refs are {age_s:g} s old")
        _wait(wait_s, ended)
    say("asking for its first refs once more")
    _ask(left, profile, probe, ended)


def _plain(ref: str | None) -> bool:
    return ref is not None and ref.isascii() and ref.isprintable() and ref == ref.strip() != ""


def _ask(left: list[dict[str, Any]], profile: Profile, probe: Probe, ended: Callable[[], bool]) -> None:
    """One after the other, as far as a limit that all share leaves room for; each person has only a few."""
    rate, until = profile.rate, time.monotonic() + LONGEST_S
    pause_s = 0.0 if rate is None or rate.scope == "user" else 1.1 * rate.window_ns / 1e9 / rate.count
    for one in left:
        if ended() or time.monotonic() > until:
            return
        try:
            probe.ask(profile.pool.users[one["user"]], one["channel"], "replay", one["ref"], scenario="look-back")
        except HarnessError:
            return  # recorded; a target that is gone by now has been seen by the stages
        _wait(pause_s, ended)


def _wait(seconds: float, ended: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not ended():
        time.sleep(min(TICK_S, left))
