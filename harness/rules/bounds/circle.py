"""Fixed windows of unknown phase: which moments of the window's circle cannot be where windows begin."""

from dataclasses import dataclass

import numpy as np

from harness.rules.bounds.lanes import Ints, Lanes
from harness.rules.bounds.sliding import Crowd, fast


@dataclass(frozen=True)
class Arcs:
    """Arcs `[low, high]` of possible window starts that are refuted, in ns on the line, not yet taken round the circle.

    `group` numbers the circle each belongs to. `crowd` gives the scope, and the first and last moment, of the effects
    that refute it: no window may contain them all.
    """

    group: Ints
    low: Ints
    high: Ints
    scope: Ints
    start: Ints
    end: Ints

    def where(self, chosen: "Ints | np.ndarray[tuple[int], np.dtype[np.bool_]]") -> "Arcs":
        columns = (self.group, self.low, self.high, self.scope, self.start, self.end)
        return Arcs(*(column[chosen] for column in columns))


def full_arcs(lanes: Lanes, count: int, window: int, group: Ints, slack: int) -> Arcs:
    """The arcs that more than `count` admitted refute; `group` gives each scope's circle.

    With N+1 whole in [a, b] a window from p contains them all for p in (b - window, a].
    """
    quick = fast(lanes, window)
    many = max(len(quick) - count, 0)
    begin, end = quick.starts[:many], quick.ends[count:]
    found = np.flatnonzero((end - begin < window) & (quick.lane[:many] == quick.lane[count:]))
    scope = quick.lane[found]
    start, last = (side[found] - scope * quick.span + quick.low - 1 for side in (begin, end))
    arcs = Arcs(group[scope], last - window + 1 + slack, start - slack, scope, start, last)
    return arcs.where(arcs.high >= arcs.low)


def covering(low: Ints, high: Ints, window: int, goal: tuple[int, int] | None = None) -> Ints | None:
    """Arcs that together cover the whole circle, or its part `goal`; None where something stays open.

    Greedy from one moment round: of all that begin no later than what is covered so far the one that reaches furthest.
    From the longest arc on this takes at most one arc more than the fewest.
    """
    if not len(low):
        return None
    number = np.arange(len(low))
    if goal is None:
        longest = int(np.argmax(high - low))
        if high[longest] - low[longest] + 1 >= window:
            return number[longest : longest + 1]
        begin, end, chosen = int(high[longest]) + 1, int(low[longest]) - 1 + window, [longest]
    else:
        (begin, end), chosen = goal, []
    # Every arc once where it first touches [begin, …), and once a turn earlier, as it may reach into it from before.
    ahead = (low - begin) % window
    lows = np.concatenate((ahead - window, ahead))
    order = np.argsort(lows, kind="stable")
    lows = lows[order]
    reach = (lows + np.concatenate((high - low, high - low))[order]).astype(np.int64)
    best = np.maximum.accumulate(reach)
    covered, need = -1, end - begin  # relative to begin
    while covered < need:
        place = int(np.searchsorted(lows, covered + 1, side="right")) - 1
        if place < 0 or best[place] <= covered:
            return None
        covered = int(best[place])
        chosen.append(int(np.concatenate((number, number))[order[int(np.searchsorted(best, covered, side="left"))]]))
    return np.array(chosen, np.int64)


def crowd_of(arcs: Arcs, place: int, many: int) -> Crowd:
    return Crowd(int(arcs.end[place]), int(arcs.start[place]), int(arcs.scope[place]), many)
