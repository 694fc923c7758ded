"""What 429 answers say of when to come back, and whether coming back then worked."""

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

import numpy as np
import pandas as pd

from harness.history import History
from harness.profile import Profile, is_loopback
from harness.rules.bounds.lanes import Ints, Lanes
from harness.rules.limits.limited import trusted
from harness.rules.limits.rate_requests import Requests, horizon
from harness.rules.reading.operations import FOREVER, Flags

SECOND: Final = 10**9
MISSING: Final = -1
UNREADABLE: Final = -2
LONGEST_NS: Final = 1 << 60  # longer waits are all the same
# How far the wall clock of another machine may be from ours, where Retry-After names a date.
DATE_OFF_NS: Final = 300 * SECOND


@dataclass(frozen=True)
class Told:
    """What each 429 of an entitled caller says: `wait` in ns after its answer, or MISSING or UNREADABLE.

    `dated`: it named a moment by the target's own wall clock.
    """

    place: Ints
    wait: Ints
    dated: Flags
    text: "pd.Series[str]"


def told_of(history: History, requests: Requests) -> Told:
    pushes, place = requests.limited.pushes, requests.limited.refused.place
    text = history.at(pushes.row[place], ["retry_after"])["retry_after"].reset_index(drop=True)
    number, values = pd.factorize(text)
    parsed = np.array([_parsed(str(value)) for value in values] + [(MISSING, False)], np.int64).reshape(-1, 2)
    wait, dated = parsed[number, 0], parsed[number, 1].astype(np.bool_)
    now = pushes.received[place] + history.wall_offset_ns
    wait = np.where(dated, np.maximum(wait - now, 0), wait)
    return Told(place, wait, dated, text)


def _parsed(text: str) -> tuple[int, bool]:
    """A delay in ns, or a moment in ns since 1970; RFC 9110 10.2.3: delay-seconds are digits, or an HTTP-date."""
    text = text.strip(" \t")
    if re.fullmatch(r"[0-9]+", text, re.ASCII):
        return min(int(text[:12]), LONGEST_NS // SECOND) * SECOND, False
    if not re.fullmatch(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? .{15,30}", text, re.ASCII):
        return UNREADABLE, False
    try:
        seconds = int(parsedate_to_datetime(text).timestamp())
    except (ValueError, TypeError, OverflowError):
        return UNREADABLE, False
    return min(max(seconds, 0), LONGEST_NS * 8 // SECOND) * SECOND, True


def longest(requests: Requests, profile: Profile, told: Told) -> Ints:
    """The longest wait in ns that the declared limit can need, rounded up to a whole second, for each 429."""
    needed = horizon(requests.limit) + requests.limited.slack.step_ns
    needed += requests.limited.slack.drift(needed)
    whole = -(-needed // SECOND) * SECOND
    near = is_loopback(profile.target.base_url)
    return np.where(told.dated, whole + (SECOND if near else DATE_OFF_NS), whole)


@dataclass(frozen=True)
class Returns:
    """The first requests after the time told, with nothing in between that may have used up what was promised.

    `refusal` numbers what was told (see `Told`), `place` is that of the later request.
    """

    refusal: Ints
    place: Ints


def returns_of(requests: Requests, profile: Profile, told: Told) -> Returns:
    """Who came back as told; none where others use the limit, or another host may have answered."""
    limited = requests.limited
    pushes, countable = limited.pushes, limited.countable
    trusted = ~told.dated | is_loopback(profile.target.base_url)
    chosen = np.flatnonzero((told.wait >= 0) & (told.wait < LONGEST_NS) & trusted)
    if not profile.target.exclusive or profile.target.hosts > 1 or not len(chosen):
        return Returns(chosen[:0], chosen[:0])
    place = told.place[chosen]
    scope, wait = limited.scope[place], told.wait[chosen]
    slack = np.array([limited.slack.step_ns + limited.slack.drift(int(one)) for one in np.unique(wait)], np.int64)
    back = pushes.received[place] + wait + slack[np.searchsorted(np.unique(wait), wait)]
    callers = _callers(requests, profile)
    next_one = callers.begun(scope, back - 1)
    there = next_one < callers.first[scope + 1]
    later = np.where(there, callers.place[np.minimum(next_one, len(callers) - 1)], -1)
    chosen, place, scope, later = chosen[there], place[there], scope[there], later[there]
    between = countable.begun(scope, pushes.received[later]) - countable.over(scope, pushes.sent[place] - 1)
    counted = np.zeros(len(pushes), np.int64)
    counted[limited.counted] = 1
    between -= counted[later] + counted[place]  # neither of the two is between them
    return Returns(chosen[between == 0], later[between == 0])


def _callers(requests: Requests, profile: Profile) -> Lanes:
    """All that callers sent and had answered whom nothing but a limit can refuse with 429, on whichever channel."""
    limited = requests.limited
    pushes = limited.pushes
    places = np.flatnonzero((pushes.success | pushes.refused) & trusted(pushes, profile) & ~pushes.vague)
    scopes = limited.countable.scopes
    return Lanes(limited.scope[places], pushes.sent[places], pushes.received[places], places, scopes)


__all__ = ["FOREVER", "MISSING", "UNREADABLE", "Returns", "Told", "longest", "returns_of", "told_of"]
