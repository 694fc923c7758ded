"""Every refusal for the challenge limit, judged once: what can have counted, and what explains the wrong ones."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from harness.history import History
from harness.profile import ChallengeLimit, Profile
from harness.rules.bounds import sliding
from harness.rules.bounds.lanes import Flags, Ints, Lanes
from harness.rules.limits.challenges import challenges_of
from harness.rules.limits.limited import Limited, by_era, last_reset
from harness.rules.limits.wrongful import (
    Cause,
    Judged,
    Moments,
    asked_of,
    blame,
    counted_too,
    kept_too_long,
    shared,
    some_of,
    with_room,
)
from harness.rules.reading.operations import once_a_history
from harness.rules.refs.repeats import RETENTION_NS

REPLAYS: Final = "challenge-limit-replay-free"
LIMITED: Final = "rate-limit-no-effect"
REFUSALS: Final = "challenge-limit-refusal-free"
OTHERS: Final = "challenge-limit-isolated"
STALE: Final = "challenge-limit-reset"


@dataclass(frozen=True)
class Refusals(Judged):
    """The refusals for the challenge limit.

    `repeated`: refusals of calls that had been served before, `earlier` the places of those successes. `at_limit`:
    replays that were served with the limit used up. `others`: how many refusals there are besides the repeated ones.
    """

    limited: Limited
    limit: ChallengeLimit
    repeated: Ints
    earlier: Ints
    at_limit: int
    others: int

    def counted_at(self, n: int) -> Ints:
        """The places of all that may have counted at refusal n."""
        at = self.at
        places = self.limited.countable.counted(int(at.scope[n]), int(at.end[n]), int(at.cutoff[n]))
        return np.unique(places)


@once_a_history
def refusals_of(history: History, profile: Profile) -> Refusals:
    """The refusals of a history whose profile declares a challenge limit."""
    limit = profile.challenges
    assert limit is not None
    limited = challenges_of(history, profile)
    refused, window = limited.refused, limited.slack.short(limit.window_ns)
    earlier = _earlier_success(limited, refused)
    at, known = _moments(history, limited, limit.window_ns)
    decided = (earlier < 0) & known & profile.target.exclusive
    at = at.where(decided)
    counted = sliding.possible(limited.countable, at.scope, at.end, at.cutoff)
    wrong = np.flatnonzero(counted < limit.count)
    causes = _causes(limited, limit.count, limit.window_ns)
    most = sliding.most(by_era(limited.resets, limited.admitted)[0], window)
    at_wrong, passed = at.where(wrong), some_of(served(limited, window), asked_of(history))
    found = blame(at_wrong, counted[wrong], passed, limited.admitted, limit.count, causes, limit.count, most)
    return Refusals(
        limited=limited, limit=limit, at=at, counted=counted, wrong=wrong, blame=found,
        repeated=refused.place[earlier >= 0], earlier=earlier[earlier >= 0],
        at_limit=_replays_at_limit(limited, limit.count, window),
        others=int((earlier < 0).sum()),
    )  # fmt: skip


def _earlier_success(limited: Limited, refused: Lanes) -> Ints:
    """For each refusal the place of a success of the same operation that came before it, -1 where there is none."""
    pushes = limited.pushes
    yes = np.flatnonzero(pushes.success)
    yes = yes[np.argsort(-pushes.received[yes], kind="stable")]
    first = np.full(pushes.ops, -1, np.int64)
    first[pushes.op[yes]] = yes  # the last one written stays: the one received first
    found = first[pushes.op[refused.place]]
    received = np.append(pushes.received, 0)[found]
    before = (received < refused.start) & (refused.end - received < RETENTION_NS)
    # The call may have been served before a reset that came before its answer did.
    since = np.append(pushes.sent, 0)[found]
    return np.where((found >= 0) & before & ~limited.resets.straddled(since, refused.end), found, -1)


def _moments(history: History, limited: Limited, window: int) -> tuple[Moments, Flags]:
    """When refusals were decided, and of which of them it is known what may have counted before the run."""
    refused = limited.refused
    cutoff = refused.start - limited.slack.long(window)
    reset, was_reset = last_reset(history, refused.start)
    known = (cutoff >= 0) | was_reset
    cutoff = np.where(was_reset, np.maximum(cutoff, reset - 1), cutoff)
    return Moments(refused.scope, refused.start, refused.end, cutoff, refused.place), known


def served(limited: Limited, window: int) -> Moments:
    """When something passed the limit; what began by `cutoff` may have left the count, or been forgotten in a reset."""
    admitted, resets = limited.admitted, limited.resets
    order = np.argsort(resets.start, kind="stable")
    forgotten = np.append(np.maximum.accumulate(resets.end[order]), -1)
    last = forgotten[np.searchsorted(resets.start[order], admitted.end, side="right") - 1]
    return Moments(
        admitted.scope, admitted.start, admitted.end, np.maximum(admitted.end - window, last), admitted.place
    )


def _causes(limited: Limited, count: int, window_ns: int) -> tuple[Cause, ...]:
    """What may wrongly count, in the order in which rules are blamed."""
    pushes, both = limited.pushes, (limited.countable, limited.admitted)
    replays = pushes.success.copy()
    replays[limited.counted] = False
    window = limited.slack.long(window_ns)
    again, limits = lanes_of(limited, replays), lanes_of(limited, pushes.limited)
    refusals = lanes_of(limited, pushes.refused & ~pushes.limited)
    return (
        counted_too(REPLAYS, again, with_room(again, limited.countable, count, window)),
        counted_too(LIMITED, limits, with_room(limits, limited.countable, count, window)),
        kept_too_long(STALE, *both, count),
        counted_too(REFUSALS, refusals, refusals, itself=1),
        shared(OTHERS, *both),
    )


def lanes_of(limited: Limited, chosen: Flags) -> Lanes:
    """The chosen exchanges, each with its scope."""
    pushes, places = limited.pushes, np.flatnonzero(chosen)
    return Lanes(limited.scope[places], pushes.sent[places], pushes.received[places], places, limited.countable.scopes)


def _replays_at_limit(limited: Limited, count: int, window: int) -> int:
    """Replays that were served though the scope had surely used up its limit."""
    again = limited.pushes.success.copy()
    again[limited.admitted.place] = False
    replays = lanes_of(limited, again)
    return int((sliding.sure(limited.admitted, replays.scope, replays.start, replays.end - window) >= count).sum())
