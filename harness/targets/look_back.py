"""Asks once more, when all else is over, for the first refs of a run and for some that a limit had refused.

Who remembers refs for a minute only has lost the first by then; who remembers refusals still refuses the others.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from harness.errors import HarnessError
from harness.history import History, read_history
from harness.pool import User
from harness.profile import Profile
from harness.resume import left_by
from harness.targets.probe import Probe

LONGEST_WAIT_S: Final = 45.0
REFUSED: Final = 30  # refs that a limit had refused, each of another person
LONGEST_S: Final = 20.0  # for asking; where one limit holds for all, only as many refs fit in as it admits meanwhile
TICK_S: Final = 0.05
Call = tuple[User, str, str, str]  # user, channel, ref, intent


def look_back(
    profile: Profile, history: Path, probe: Probe, age_s: float, ended: Callable[[], bool], say: Callable[[str], None]
) -> None:
    """Wait until the first refs since the last reset are `age_s` old, but not too long, and ask for them again.

    Whether the answers are right is for the rules to say. Nothing is asked where nothing is left to ask for, or the
    history cannot be read; `ended` is the user's wish.
    """
    try:
        seen = read_history(history)
        left = [one for one in left_by(seen, profile) if _plain(one["ref"])]
    except HarnessError:
        return  # the judge says what is wrong with it
    if not left:
        return
    wait_s = age_s - (time.time_ns() - min(one["received"] for one in left)) / 1e9
    if 0 < wait_s <= LONGEST_WAIT_S:
        say(f"waiting {wait_s:.0f} s until the first of {len(left)} refs are {age_s:g} s old")
        _wait(wait_s, ended)
    say("asking for its first refs once more")
    calls = [(profile.pool.users[one["user"]], one["channel"], one["ref"], "replay") for one in left]
    _ask([*calls, *_refused(seen, profile)], profile, probe, ended)


def _plain(ref: str | None) -> bool:
    return ref is not None and ref.isascii() and ref.isprintable() and ref == ref.strip() != ""


def _refused(history: History, profile: Profile) -> list[Call]:
    """Calls that were refused for a limit whenever they were made, by tokens that nobody settled; as new ones."""
    frame = history.frame
    settled = set(frame.loc[frame["operation"].isin(["accept", "decline"]), "user"])
    users = {user.index: user for user in profile.pool.active if user.index not in settled}
    pushes = frame[(frame["operation"] == "push") & frame["user"].isin(users) & frame["ref"].notna()]
    limited = (pushes["error_code"] == "CHALLENGE_LIMIT_EXCEEDED") | (pushes["status"] == 429)
    pushes = pushes.assign(limited=limited, person=pushes["user"].map(lambda index: users[index].person))
    always = pushes.groupby(["person", "ref"], observed=True)["limited"].transform("all")
    first = pushes[always].drop_duplicates("person").head(REFUSED)
    asked = zip(first["user"], first["channel"], first["ref"], strict=True)
    made = [(users[index], str(channel), str(ref), "valid") for index, channel, ref in asked]
    return [call for call in made if call[1] in call[0].usable and _plain(call[2])]


def _ask(calls: list[Call], profile: Profile, probe: Probe, ended: Callable[[], bool]) -> None:
    """One after the other, as far as a limit that all share leaves room for; each person has only a few."""
    rate, until = profile.rate, time.monotonic() + LONGEST_S
    pause_s = 0.0 if rate is None or rate.scope == "user" else 1.1 * rate.window_ns / 1e9 / rate.count
    for user, channel, ref, intent in calls:
        if ended() or time.monotonic() > until:
            return
        try:
            probe.ask(user, channel, intent, ref, scenario="look-back")
        except HarnessError:
            return  # recorded; a target that is gone by now has been seen by the stages
        _wait(pause_s, ended)


def _wait(seconds: float, ended: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not ended():
        time.sleep(min(TICK_S, left))
