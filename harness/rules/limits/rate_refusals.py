"""Every refusal for the rate limit, judged once: what can have counted, and what explains the wrong ones."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from harness.history import History
from harness.profile import Profile
from harness.rules.bounds import bucket, sliding
from harness.rules.bounds.lanes import Ints, Lanes
from harness.rules.limits.rate_requests import Requests, interval, requests_of
from harness.rules.limits.wrongful import Cause, Judged, Moments, asked_of, blame, kept_too_long, shared, some_of
from harness.rules.reading.operations import FOREVER, once_a_history

OTHERS: Final = "rate-limit-isolated"
STALE: Final = "rate-limit-recovers"
REF: Final = "rate-limit-no-effect"


@dataclass(frozen=True)
class Refusals(Judged):
    """The refusals for the rate limit. `count` is what must have counted for one to be right, `enough` to be sure."""

    requests: Requests
    count: int
    enough: int

    def counted_at(self, n: int) -> Ints:
        """The places of all that may have counted at refusal n, without itself."""
        at = self.at
        places = self.requests.limited.countable.counted(int(at.scope[n]), int(at.end[n]), int(at.cutoff[n]))
        others: Ints = places[places != at.place[n]]
        return others


@once_a_history
def refusals_of(history: History, profile: Profile) -> Refusals:
    """The refusals of a history whose profile declares a rate limit."""
    requests = requests_of(history, profile)
    limit, limited = requests.limit, requests.limited
    refused, countable = limited.refused, limited.countable
    cutoff = refused.start - requests.horizon_ns
    decided = (cutoff >= 0) & profile.target.exclusive
    at = Moments(refused.scope, refused.start, refused.end, cutoff, refused.place).where(decided)
    itself = np.int64(limit.counts_refusals is not False)
    if limit.algorithm == "token-bucket":
        count, counted = limit.bucket, _tokens(requests, at, int(itself))
    else:
        count = limit.count
        counted = sliding.possible(countable, at.scope, at.end, at.cutoff) - itself
    wrong = np.flatnonzero(counted < count)
    # Fixed windows and buckets may serve twice as many in the time looked at.
    enough = count if limit.algorithm == "sliding-window" else 2 * count
    causes = _causes(requests, count)
    most = _most(requests, profile.target.hosts)
    passed = some_of(served(requests), asked_of(history))
    found = blame(at.where(wrong), counted[wrong], passed, limited.admitted, count, causes, enough, most)
    return Refusals(at, counted, wrong, found, requests, count, enough)


def _tokens(requests: Requests, at: Moments, itself: int) -> Ints:
    """The most tokens that may have been missing from the bucket, begun ones included."""
    limit, slack, countable = requests.limit, requests.limited.slack, requests.limited.countable
    gap = -(-limit.window_ns // limit.count)
    gap += slack.drift(gap)
    widened = Lanes(countable.scope, countable.start, countable.end + slack.step_ns, countable.place, countable.scopes)
    used = bucket.used(widened, at.scope, at.start, at.end + slack.step_ns, gap, np.full(len(at.start), itself))
    # Tokens that came a moment sooner than they should are no reason for a refusal.
    return -(-(used + slack.step_ns) // interval(limit))


def _most(requests: Requests, hosts: int) -> int:
    """The smallest limit that what was admitted does not refute, roughly where windows are fixed."""
    limit, slack, admitted = requests.limit, requests.limited.slack, requests.limited.admitted
    if limit.algorithm == "token-bucket":
        gap = interval(limit)
        return bucket.most(admitted, limit.bucket, max(gap - slack.drift(gap), 1), slack.step_ns)
    most = sliding.most(admitted, slack.short(limit.window_ns))
    return -(-most // (2 * hosts)) if limit.algorithm == "fixed-window" else most


def served(requests: Requests) -> Moments:
    """When something was admitted; what began by `cutoff` may have left the count."""
    admitted, window = requests.limited.admitted, requests.limited.slack.short(requests.limit.window_ns)
    return Moments(admitted.scope, admitted.start, admitted.end, admitted.end - window, admitted.place)


def _causes(requests: Requests, count: int) -> tuple[Cause, ...]:
    """What a limiter may do wrongly, in the order in which rules are blamed."""
    limited, scope = requests.limited, requests.limit.scope
    kept = _kept_refusal(requests, count)
    stale = kept_too_long(STALE, limited.countable, limited.admitted, count)
    if scope not in ("api-key", "user"):
        return kept, stale
    return kept, shared(OTHERS, limited.countable, limited.admitted), stale


def _kept_refusal(requests: Requests, count: int) -> Cause:
    """The first 429 of a call is kept under its ref, and given again."""
    pushes = requests.limited.pushes
    refused = np.flatnonzero(pushes.limited & (pushes.ref >= 0) & ~pushes.vague)
    refused = refused[np.argsort(-pushes.received[refused], kind="stable")]
    first = np.full(pushes.ops, -1, np.int64)
    first[pushes.op[refused]] = refused  # the last one written stays: the one received first
    received = np.append(pushes.received, FOREVER)

    def again(at: Moments) -> Ints:
        return np.where(received[first[pushes.op[at.place]]] < at.start, 2 * count, 0)

    def shown(at: Moments) -> Lanes:
        place = first[pushes.op[at.place]]
        return Lanes(at.scope, pushes.sent[place], pushes.received[place], place)

    return Cause(REF, again, again, shown)
