"""Token buckets (GCRA): a bucket of `burst` tokens, one more each `interval` ns, from above and from below."""

import numpy as np

from harness.rules.bounds.lanes import Ints, Lanes
from harness.rules.bounds.sliding import Crowd


def cuts(burst: int, interval: int) -> list[int]:
    """Durations in ns above which intervals are left out, one check for each: every cut finds what others miss."""
    each = [10**7]
    while each[-1] < 10 * burst * interval:
        each.append(each[-1] * 4)
    return each


def overdrawn(lanes: Lanes, burst: int, interval: int, step: int) -> list[Crowd]:
    """Spans in which more passed than the bucket held and gained: the first one of each cut; intervals widened by step.

    For i to j: `(j - i + 1 - burst) * interval > ends[j] - starts[i]`.
    """
    found = []
    for quick in _by_cut(lanes, burst, interval):
        level = _level(quick, quick.starts, interval)
        excess = quick.running(level) - _level(quick, quick.ends, interval) - 2 * step
        broken = np.flatnonzero(excess > (burst - 1) * interval)
        if len(broken):
            j = int(broken[np.argmin(quick.ends[broken] % quick.span)])
            first = int(quick.first[quick.lane[j]])
            i = first + int(np.flatnonzero(level[first : j + 1] == level[first : j + 1].max())[-1])
            begin, end = quick.time(int(quick.starts[i])), quick.time(int(quick.ends[j]))
            found.append(Crowd(end, begin, int(quick.lane[j]), j - i + 1))
    return sorted(found)


def most(lanes: Lanes, burst: int, interval: int, step: int) -> int:
    """The smallest bucket that is not refuted."""
    needed = 0
    for quick in _by_cut(lanes, burst, interval):
        if len(quick):
            ahead = quick.running(_level(quick, quick.starts, interval)) - _level(quick, quick.ends, interval)
            needed = max(needed, 1 - (-(int(ahead.max()) - 2 * step) // interval))
    return needed


def _by_cut(lanes: Lanes, burst: int, interval: int) -> list[Lanes]:
    slow = lanes.end - lanes.start
    each = cuts(burst, interval)
    longest = int(slow.max(initial=0))
    kept = [cut for place, cut in enumerate(each) if not place or each[place - 1] < longest]
    return [lanes.where(slow <= cut) for cut in kept]


def _level(lanes: Lanes, places: Ints, interval: int) -> Ints:
    """Each position's time less the tokens that those before it took."""
    return places - (np.arange(len(lanes)) - lanes.first[lanes.lane]) * interval


def used(lanes: Lanes, scope: Ints, start: Ints, end: Ints, interval: int, counted: Ints) -> Ints:
    """The most of the bucket, in ns, that may have been in use when something in `[start, end]` was refused.

    Wrong is a refusal where this is at most `(burst - 1) * interval`: at every possible time a whole token was there.
    It is the largest of `u + interval * (number that may have come at u or later) - start` over all ends u up to `end`.
    `counted`: 1 where the refused one is itself among the lanes.
    """
    base = lanes.first[scope]
    sent = lanes.begun(scope, end) - base
    ended = lanes.over(scope, end - 1) - base
    largest = end - ended * interval
    if len(lanes):
        peaks = lanes.running(_level(lanes, lanes.ends, interval) - lanes.lane * lanes.span) + lanes.low - 1
        earlier = peaks[np.clip(base + ended - 1, 0, len(lanes) - 1)]
        largest = np.where(ended > 0, np.maximum(largest, earlier), largest)
    in_use: Ints = largest + (sent - counted) * interval - start
    return in_use
