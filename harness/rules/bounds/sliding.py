"""Sliding windows: at most `count` effects in any `window` ns, from above and from below."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from harness.rules.bounds.lanes import Flags, Ints, Lanes

LISTED: Final = 20  # crowds that are spelt out; the rest are counted


@dataclass(frozen=True, order=True)
class Crowd:
    """More effects than allowed, surely between `start` and `end` of one scope; the first `many` of them show it."""

    end: int
    start: int
    scope: int
    many: int


def fast(lanes: Lanes, window: int) -> Lanes:
    """Without those that are slower than the window: none that is left spans another window, so counting is exact."""
    return lanes.where(lanes.end - lanes.start < window)


def crowds(lanes: Lanes, count: int, window: int) -> tuple[list[Crowd], int]:
    """Windows that surely held more than `count`, the one that was complete first coming first, and how many there are.

    N+1 intervals lie whole in less than a window iff for some k `ends[k + N] - starts[k] < window`.
    """
    quick = fast(lanes, window)
    if len(quick) <= count:
        return [], 0
    begin, end = quick.starts[: len(quick) - count], quick.ends[count:]
    found = np.flatnonzero((end - begin < window) & (quick.lane[: len(quick) - count] == quick.lane[count:]))
    times = end[found] % quick.span
    shown = found[np.argsort(times, kind="stable")[:LISTED]]
    each = [Crowd(quick.time(int(end[k])), quick.time(int(begin[k])), int(quick.lane[k]), count + 1) for k in shown]
    return sorted(each), len(found)


def chained(lanes: Lanes, count: int, window: int) -> list[Crowd]:
    """The first span of m windows that surely held more than m times `count`, for any m; none or one.

    `e_k = max(starts[k], e_(k - count) + window)` is the earliest possible time of the k-th effect; each of `count`
    strands of a scope is one running maximum. Finds what is spread over windows that are each not quite too full.
    """
    quick = fast(lanes, window)
    if len(quick) <= count:
        return []
    turn, strand = np.divmod(np.arange(len(quick)) - quick.first[quick.lane], count)
    shifted = quick.starts - turn * window
    codes = quick.lane * count + strand
    latest = pd.Series(shifted).groupby(codes, sort=False).cummax().to_numpy(np.int64)
    broken = np.flatnonzero(latest + turn * window > quick.ends)
    if not len(broken):
        return []
    k = int(broken[np.argmin(quick.ends[broken] % quick.span)])
    strand_of_k = np.flatnonzero(codes[: k + 1] == codes[k])
    i = int(strand_of_k[np.flatnonzero(shifted[strand_of_k] == latest[k])[-1]])
    begin, end = quick.time(int(quick.starts[i])), quick.time(int(quick.ends[k]))
    return [Crowd(end, begin, int(quick.lane[k]), k - i + 1)]


def most(lanes: Lanes, window: int) -> int:
    """The most effects that surely were in one window: the smallest limit that is not refuted."""
    quick = fast(lanes, window)
    if not len(quick):
        return 0
    latest = np.minimum(quick.starts + window, (quick.lane + 1) * quick.span - 1)
    return int((np.searchsorted(quick.ends, latest, side="left") - np.arange(len(quick))).max())


def filled(lanes: Lanes, count: int, window: int, refused: Lanes) -> int:
    """How often a window surely held `count` while at least one more was refused within the same window.

    Without the refusal nothing more may have been asked for, and a target without any limit would look the same.
    """
    quick = fast(lanes, window)
    if len(quick) < count or not len(refused):
        return 0
    begin, end = quick.starts[: len(quick) - count + 1], quick.ends[count - 1 :]
    held = np.flatnonzero((end - begin < window) & (quick.lane[: len(begin)] == quick.lane[count - 1 :]))
    scope = quick.lane[held]
    first, last = (side[held] % quick.span + quick.low - 1 for side in (begin, end))
    # At least so many of the refused lie whole in what any window around the admitted ones covers.
    return int((refused.over(scope, first + window - 1) > refused.begun(scope, last - window)).sum())


def possible(lanes: Lanes, scope: Ints, end: Ints, cutoff: Ints) -> Ints:
    """The largest number that a limiter may have counted when it refused something that ended at `end`.

    What ended at `cutoff` or earlier had surely left: one window before the refused one was sent. The target may read
    its clock at one point of the refused interval and its store at another, hence its two ends.
    """
    return lanes.begun(scope, end) - lanes.over(scope, np.minimum(cutoff, end))


def sure(lanes: Lanes, scope: Ints, start: Ints, since: Ints) -> Ints:
    """The smallest number that a limiter must have counted when something was sent at `start`, from `since` on."""
    fewest: Ints = np.maximum(lanes.over(scope, start) - lanes.begun(scope, np.minimum(since, start)), 0)
    return fewest


__all__ = ["Crowd", "Flags", "chained", "crowds", "fast", "filled", "most", "possible", "sure"]
