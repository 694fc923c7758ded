"""Refs that were refused or failed once: which of them are free again, and which the rate limit still refuses."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from harness.history import History
from harness.profile import Profile, RateLimit
from harness.rules.groups import count_until, earliest, next_after, pairs
from harness.rules.operations import Flags, Ints, Pushes, effects_of, late, once_a_history, pushes_of

LEAVE_FREE: Final = (401, 403, 429)  # refusals that must leave the ref free, besides every 5xx
DRIFT: Final = 5000  # one part in so many: how far two clocks may run apart


def leaves_free(pushes: Pushes) -> Flags:
    """Calls with a ref that were answered as must leave it free."""
    free: Flags = (np.isin(pushes.status, LEAVE_FREE) | (pushes.status >= 500)) & (pushes.ref >= 0)
    return free


def served_afterwards(history: History, profile: Profile) -> int:
    """How many operations were given a challenge after their ref had been refused, or had met a 5xx, on the channel."""
    pushes = pushes_of(history, profile)
    call = pairs(pushes.channel, pushes.ref)
    refused = earliest(call, pushes.received, leaves_free(pushes))[call]
    served = pushes.success & ~pushes.vague & (refused >= 0) & (pushes.received[refused] < pushes.sent)
    return int(pd.Series(pushes.op[served]).nunique())


@dataclass(frozen=True)
class Stuck:
    """Calls refused with 429 though no rate limit can have been reached: places in `pushes`, in order of sending.

    `before` is an earlier 429 of the same ref, `proof` a challenge that the same token was given since for another.
    """

    pushes: Pushes
    place: Ints
    before: Ints
    proof: Ints


@once_a_history
def stuck_at_429(history: History, profile: Profile) -> Stuck:
    """The refs that a 429 has spent, as far as the declared rate limit lets one tell."""
    pushes = pushes_of(history, profile)
    none = np.zeros(0, np.int64)
    # What is missing from the history, or was sent by others, may have reached the limit.
    if profile.rate is None or history.gaps or not profile.target.exclusive:
        return Stuck(pushes, none, none, none)
    call = pairs(pairs(pushes.person, pushes.channel), pushes.ref)
    first = earliest(call, pushes.received, pushes.limited & (pushes.ref >= 0) & ~pushes.vague)[call]
    again = pushes.limited & pushes.entitled & ~pushes.vague & (first >= 0)
    place = np.flatnonzero(again & (pushes.received[first] < pushes.sent))
    place = place[_surely_below(pushes, place, profile.rate, profile)]
    proof = _served_since(pushes, profile, place, pushes.received[first[place]])
    known = (proof >= 0) & (pushes.sent[proof] <= pushes.received[place])
    return Stuck(pushes, place[known], first[place[known]], proof[known])


def _surely_below(pushes: Pushes, place: Ints, rate: RateLimit, profile: Profile) -> Flags:
    """Whether at most so few requests can have counted at each place that it should have been served.

    All that may have been counted while a bucket fills from empty, or within a window, leave room; in two windows where
    it slides, as a limiter may weigh the one before. What came before the history is not known, so as much of its
    beginning is left out.
    """
    room, span = rate.count, rate.window_ns * (2 if rate.algorithm == "sliding-window" else 1)
    if rate.algorithm == "token-bucket":
        room, span = rate.bucket, rate.window_ns * rate.bucket // rate.count
    span += profile.target.clock_step_ns + span // DRIFT
    scope = {"api-key": pushes.key, "user": pushes.person}.get(rate.scope, np.zeros_like(pushes.key))
    over = np.where(pushes.unknown, late(pushes.received, profile), pushes.received)
    since, until = pushes.sent[place] - span, pushes.received[place]
    counted = np.zeros(len(place), np.int64)
    for group in (scope[place], np.full(len(place), -1, np.int64)):  # those of nobody may be anybody's
        counted += count_until(scope, pushes.sent, group, until) - count_until(scope, over, group, since)
    below: Flags = (counted - 1 < room) & (since > 0) & (scope[place] >= 0)
    return below


def _served_since(pushes: Pushes, profile: Profile, place: Ints, since: Ints) -> Ints:
    """The first challenge that the token of each place was given for something begun later than `since`, or -1."""
    given = np.flatnonzero(pushes.success & pushes.entitled & np.isin(pushes.token, pushes.token[place]))
    began = effects_of(pushes, profile).start[pushes.op[given]]
    found = next_after(pushes.token[given], began, pushes.token[place], since)
    return np.where(found >= 0, np.append(given, -1)[found], -1)
