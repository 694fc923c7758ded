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

SEEDS: Final = 12  # refs, each of another person, where a reset late in the run has left none to ask for
REFUSED: Final = 30  # refs that a limit had refused, each of another person
LONGEST_S: Final = 20.0  # for asking; where one limit holds for all, only as many refs fit in as it admits meanwhile
TICK_S: Final = 0.05
Call = tuple[User, str, str, str]  # user, channel, ref, intent


def look_back(
    profile: Profile, history: Path, probe: Probe, reset: Callable[[], bool], age_s: float, ended: Callable[[], bool],
    say: Callable[[str], None],
) -> None:  # fmt: skip
    """Wait until the first refs since the last reset are `age_s` old, and ask for them again.

    Where none is left, as in a small pool that was reset all the time, some are sent now. Whether the answers are right
    is for the rules to say. Nothing is asked where the history cannot be read; `ended` is the user's wish.
    """
    try:
        seen = read_history(history)
        left = [one for one in left_by(seen, profile) if _plain(one["ref"])]
    except HarnessError:
        return  # the judge says what is wrong with it
    calls = [(profile.pool.users[one["user"]], one["channel"], one["ref"], "replay") for one in left]
    refused = _refused(seen, profile)
    if not calls:
        forgets = reset()
        calls = _seeded(profile, probe, _settled(seen), forgets=forgets)
        refused = [] if forgets else refused
    if not calls:
        return
    first_ns = min((one["received"] for one in left), default=time.time_ns())
    wait_s = age_s - (time.time_ns() - first_ns) / 1e9
    if wait_s > 0:
        say(f"waiting {wait_s:.0f} s until the first of {len(calls)} refs are {age_s:g} s old")
        _wait(wait_s, ended)
    say("asking for its first refs once more")
    _ask([*calls, *refused], profile, probe, ended)


def _seeded(profile: Profile, probe: Probe, settled: set[int], *, forgets: bool) -> list[Call]:
    """New calls of some persons that were answered, to be made again; a reset may have freed settled tokens."""
    tokens = sorted((user for user in profile.pool.active if user.usable), key=lambda user: user.index in settled)
    persons: dict[int, User] = {}
    for user in tokens if forgets else [user for user in tokens if user.index not in settled]:
        persons.setdefault(user.person, user)
    prefix = f"back-{time.time_ns():x}"
    made: list[Call] = [
        (user, user.usable[0], f"{prefix}-{number}", "any" if user.index in settled else "valid")
        for number, user in enumerate(list(persons.values())[:SEEDS])
    ]
    return [(user, channel, ref, "replay") for user, channel, ref, _ in _ask(made, profile, probe, lambda: False)]


def _plain(ref: str | None) -> bool:
    return ref is not None and ref.isascii() and ref.isprintable() and ref == ref.strip() != ""


def _refused(history: History, profile: Profile) -> list[Call]:
    """Calls that were refused for a limit whenever they were made, by tokens that nobody settled; as new ones."""
    frame = history.frame
    settled = _settled(history)
    users = {user.index: user for user in profile.pool.active if user.index not in settled}
    pushes = frame[(frame["operation"] == "push") & frame["user"].isin(users) & frame["ref"].notna()]
    limited = (pushes["error_code"] == "CHALLENGE_LIMIT_EXCEEDED") | (pushes["status"] == 429)
    pushes = pushes.assign(limited=limited, person=pushes["user"].map(lambda index: users[index].person))
    always = pushes.groupby(["person", "ref"], observed=True)["limited"].transform("all")
    first = pushes[always].drop_duplicates("person").head(REFUSED)
    asked = zip(first["user"], first["channel"], first["ref"], strict=True)
    made = [(users[index], str(channel), str(ref), "valid") for index, channel, ref in asked]
    return [call for call in made if call[1] in call[0].usable and _plain(call[2])]


def _settled(history: History) -> set[int]:
    """The users for whose tokens somebody has accepted or declined a challenge."""
    frame = history.frame
    return set(frame.loc[frame["operation"].isin(["accept", "decline"]), "user"])


def _ask(calls: list[Call], profile: Profile, probe: Probe, ended: Callable[[], bool]) -> list[Call]:
    """One after the other, as far as a limit that all share leaves room for; those that were served."""
    rate, until = profile.rate, time.monotonic() + LONGEST_S
    pause_s = 0.0 if rate is None or rate.scope == "user" else 1.1 * rate.window_ns / 1e9 / rate.count
    served = []
    for call in calls:
        user, channel, ref, intent = call
        if ended() or time.monotonic() > until:
            break
        try:
            answer = probe.ask(user, channel, intent, ref, scenario="look-back")
        except HarnessError:
            break  # recorded; a target that is gone by now has been seen by the stages
        if answer.status == 200:
            served.append(call)
        _wait(pause_s, ended)
    return served


def _wait(seconds: float, ended: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not ended():
        time.sleep(min(TICK_S, left))
