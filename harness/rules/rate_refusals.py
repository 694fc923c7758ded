"""Every refusal for the rate limit, judged once: what can have counted, and what explains the wrong ones."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from harness.history import History
from harness.profile import Profile
from harness.rules.bounds import bucket, sliding
from harness.rules.bounds.lanes import Flags, Ints, Lanes
from harness.rules.operations import FOREVER, once_a_history
from harness.rules.rate_requests import Requests, interval, requests_of
from harness.rules.wrongful import Blame, Cause, Moments, blame, kept_too_long, shared

OTHERS: Final = "rate-limit-isolated"
STALE: Final = "rate-limit-recovers"
REF: Final = "rate-limit-no-effect"


@dataclass(frozen=True)
class Refusals:
    """The refusals that can be decided: their places, when they were, and the most that may have counted at each.

    `count` is what must have counted for a refusal to be right. `wrong` are those with room left, `blame` what explains
    each. `undecided` says why nothing can be decided though there are refusals.
    """

    requests: Requests
    count: int
    place: Ints
    at: Moments
    counted: Ints
    wrong: Ints
    blame: Blame
    undecided: str

    def counted_at(self, n: int) -> Ints:
        """The places of all that may have counted at refusal n, without itself."""
        lanes, at = self.requests.limited.countable, self.at
        inside = (lanes.scope == at.scope[n]) & (lanes.start <= at.end[n]) & (lanes.end > at.cutoff[n])
        return np.setdiff1d(lanes.place[inside], self.place[n])

    @property
    def own(self) -> Flags:
        """The refusals that are right, or wrong for no known cause: what speaks of the limit's height."""
        own = np.ones(len(self.place), np.bool_)
        own[self.wrong] = False
        own[self.wrong[self.blame.none]] = True
        return own

    def explained(self, cause: str) -> Ints:
        """The refusals that are wrong for one cause ('' for none), earliest first."""
        chosen = self.wrong[self.blame.explained[cause] if cause else self.blame.none]
        return chosen[np.argsort(self.at.end[chosen], kind="stable")]


@once_a_history
def refusals_of(history: History, profile: Profile) -> Refusals:
    """The refusals of a history whose profile declares a rate limit."""
    requests = requests_of(history, profile)
    limit, limited = requests.limit, requests.limited
    refused, countable = limited.refused, limited.countable
    cutoff = refused.start - requests.horizon_ns
    decided = (cutoff >= 0) & profile.target.exclusive
    place, scope, start, end = (one[decided] for one in (refused.place, refused.scope, refused.start, refused.end))
    at = Moments(scope, start, end, cutoff[decided])
    itself = np.int64(limit.counts_refusals is not False)
    if limit.algorithm == "token-bucket":
        count, counted = limit.bucket, _tokens(requests, at, int(itself))
    else:
        count = limit.count
        counted = sliding.possible(countable, scope, end, at.cutoff) - itself
    wrong = np.flatnonzero(counted < count)
    # Fixed windows and buckets may serve twice as many in the time looked at.
    enough = count if limit.algorithm == "sliding-window" else 2 * count
    causes = _causes(requests, count)
    found = blame(at.where(wrong), counted[wrong], _served(requests), limited.admitted, count, causes, enough)
    undecided = _undecided(len(refused), len(place), profile)
    return Refusals(requests, count, place, at, counted, wrong, found, undecided)


def _tokens(requests: Requests, at: Moments, itself: int) -> Ints:
    """The most tokens that may have been missing from the bucket, begun ones included."""
    limit, slack, countable = requests.limit, requests.limited.slack, requests.limited.countable
    gap = -(-limit.window_ns // limit.count)
    gap += slack.drift(gap)
    widened = Lanes(countable.scope, countable.start, countable.end + slack.step_ns, countable.place, countable.scopes)
    used = bucket.used(widened, at.scope, at.start, at.end + slack.step_ns, gap, np.full(len(at.start), itself))
    # Tokens that came a moment sooner than they should are no reason for a refusal.
    return -(-(used + slack.step_ns) // interval(limit))


def _undecided(refused: int, decided: int, profile: Profile) -> str:
    if decided or not refused:
        return ""
    if not profile.target.exclusive:
        return f"{refused:,} refusals were seen, but others may use the same limit"
    return f"{refused:,} refusals were seen, but none of them long enough after the beginning of the run"


def _served(requests: Requests) -> Moments:
    """When something was admitted; what began by `cutoff` may have left the count."""
    admitted, window = requests.limited.admitted, requests.limited.slack.short(requests.limit.window_ns)
    return Moments(admitted.scope, admitted.start, admitted.end, admitted.end - window)


def _causes(requests: Requests, count: int) -> tuple[Cause, ...]:
    """What a limiter may do wrongly, in the order in which rules are blamed."""
    limited, scope = requests.limited, requests.limit.scope
    stale = kept_too_long(STALE, limited.countable, limited.admitted, count)
    if scope not in ("api-key", "user"):
        return (stale,)
    return (shared(OTHERS, limited.countable, limited.admitted), stale)


def freed(requests: Requests) -> tuple[Ints, Ints]:
    """Operations refused with 429 and asked for again: the places of the later ones, and of the earliest refusal."""
    pushes = requests.limited.pushes
    first = np.full(pushes.ops, FOREVER, np.int64)
    place = np.full(pushes.ops, -1, np.int64)
    refused = np.flatnonzero(pushes.limited & (pushes.ref >= 0) & ~pushes.vague)
    order = refused[np.argsort(-pushes.received[refused], kind="stable")]
    first[pushes.op[order]], place[pushes.op[order]] = pushes.received[order], order
    again = np.flatnonzero((pushes.sent > first[pushes.op]) & ~pushes.vague)
    return again, place[pushes.op[again]]
