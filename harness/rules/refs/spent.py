"""Refs that were refused or failed once: which of them are free again, and which the rate limit still refuses."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from harness.history import History
from harness.profile import Profile
from harness.rules.limits.rate_refusals import REF, refusals_of
from harness.rules.reading.groups import earliest, pairs
from harness.rules.reading.operations import Flags, Ints, Pushes, everyone_of, once_a_history, pushes_of

LEAVE_FREE: Final = (401, 403, 429)  # refusals that must leave the ref free, besides every 5xx


def leaves_free(pushes: Pushes) -> Flags:
    """Calls with a ref that were answered as must leave it free."""
    free: Flags = (np.isin(pushes.status, LEAVE_FREE) | (pushes.status >= 500)) & (pushes.ref >= 0)
    return free


def served_afterwards(history: History, profile: Profile) -> int:
    """How many operations were given a challenge after their ref had been refused, or had met a 5xx, on the channel."""
    pushes = everyone_of(history, profile)
    call = pairs(pushes.channel, pushes.ref)
    refused = earliest(call, pushes.received, leaves_free(pushes))[call]
    served = pushes.success & ~pushes.vague & (refused >= 0) & (pushes.received[refused] < pushes.sent)
    served &= ~history.guest(pushes.row)
    return int(pd.Series(pushes.op[served]).nunique())


@dataclass(frozen=True)
class Stuck:
    """Calls refused with 429 for no better reason than an earlier 429 of the same ref, `before`: places in `pushes`."""

    pushes: Pushes
    place: Ints
    before: Ints


@once_a_history
def stuck_at_429(history: History, profile: Profile) -> Stuck:
    """The refs that a 429 has spent, as far as the declared rate limit lets one tell."""
    none = np.zeros(0, np.int64)
    # What is missing from the history may have reached the limit.
    if profile.rate is None or history.gaps:
        return Stuck(pushes_of(history, profile), none, none)
    refusals = refusals_of(history, profile)
    pushes = refusals.requests.limited.pushes
    place = refusals.at.place[refusals.explained(REF)]
    before = earliest(pushes.op, pushes.received, pushes.limited & (pushes.ref >= 0) & ~pushes.vague)
    return Stuck(pushes, place, before[pushes.op[place]])
