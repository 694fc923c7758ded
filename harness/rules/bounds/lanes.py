"""Intervals of many scopes side by side in sorted arrays, so that one array operation counts for all of them."""

from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
FOREVER: Final = 1 << 62  # ns; an end at which nobody can say that it is over
ROOM: Final = 1 << 62  # scopes times the length of the run must stay below, or int64 would not hold them


class TooLargeError(Exception):
    """More scopes over a longer time than 64 bits can hold."""


class Lanes:
    """Closed intervals `[start, end]` in ns, each of a scope numbered from 0; the columns are of one length.

    They are kept sorted by scope and start, so that a scope is a slice, and questions asked in their order are answered
    fast. `place` is whatever number the caller knows an interval by. `starts` and `ends` hold all times sorted by scope
    and then by time, as `scope * span + time`, where `span` exceeds every difference of finite times: position k of
    both belongs to the same scope, but seldom to one interval.
    """

    def __init__(self, scope: Ints, start: Ints, end: Ints, place: Ints | None = None, scopes: int = 0) -> None:
        self.scopes = max(int(scope.max(initial=-1)) + 1, scopes)
        finite = end[end < FOREVER]
        self.low = int(start.min(initial=FOREVER)) if len(start) else 0
        self.high = max(int(finite.max(initial=self.low)), int(start.max(initial=self.low)))
        self.span = self.high - self.low + 3
        if self.scopes * self.span >= ROOM:
            hours = (self.high - self.low) / 3.6e12
            raise TooLargeError(
                f"a limit with {self.scopes:,} scopes over {hours:,.1f} hours is more than can be counted"
            )
        place = np.arange(len(scope), dtype=np.int64) if place is None else place
        starts = self.places(scope, start)
        if (starts[1:] < starts[:-1]).any():
            order = _order(scope, start, starts, self.scopes)
            starts, scope, start, end, place = (one[order] for one in (starts, scope, start, end, place))
        self.starts, self.scope, self.start, self.end, self.place = starts, scope, start, end, place

    def __len__(self) -> int:
        return len(self.scope)

    def where(self, chosen: Flags) -> "Lanes":
        """The chosen intervals, with the same numbers of scopes."""
        if chosen.all():
            return self
        return Lanes(self.scope[chosen], self.start[chosen], self.end[chosen], self.place[chosen], self.scopes)

    def places(self, scope: Ints, time: Ints) -> Ints:
        """Times as `scope * span + time`; FOREVER comes after every finite time of its scope, as nothing else does."""
        moved = np.clip(time, self.low - 1, self.high) - self.low + 1
        moved = np.where(time >= FOREVER, self.span - 1, moved)
        return scope * self.span + moved

    def time(self, place: int) -> int:
        """The time of one entry of `starts` or `ends`."""
        moved = place % self.span
        return FOREVER if moved == self.span - 1 else moved + self.low - 1

    @cached_property
    def ends(self) -> Ints:
        return np.sort(self.places(self.scope, self.end))

    @cached_property
    def first(self) -> Ints:
        """The position at which each scope begins, and behind the last one the number of all."""
        return np.concatenate(([0], np.cumsum(np.bincount(self.scope, minlength=self.scopes)))).astype(np.int64)

    def of(self, scope: int) -> slice:
        """Where a scope's intervals are."""
        return slice(int(self.first[scope]), int(self.first[scope + 1]))

    @property
    def lane(self) -> Ints:
        """The scope of each position."""
        return self.scope

    def begun(self, scope: Ints, time: Ints) -> Ints:
        """For each query, how many intervals of its scope and of all scopes before begin at `time` or earlier."""
        return np.searchsorted(self.starts, self.places(scope, time), side="right").astype(np.int64)

    def over(self, scope: Ints, time: Ints) -> Ints:
        """For each query, how many intervals of its scope and of all scopes before end at `time` or earlier."""
        return np.searchsorted(self.ends, self.places(scope, time), side="right").astype(np.int64)

    def running(self, values: Ints) -> Ints:
        """The largest of a scope's values up to each position."""
        if self.scopes <= 1:
            return np.maximum.accumulate(values) if len(values) else values
        return pd.Series(values).groupby(self.lane, sort=False).cummax().to_numpy(np.int64)

    def within(self, scope: int, start: int, end: int) -> Ints:
        """The intervals of a scope that lie whole in `[start, end]`, by number, those that end first coming first."""
        mine = self.of(scope)
        inside: Ints = int(mine.start) + np.flatnonzero((self.start[mine] >= start) & (self.end[mine] <= end))
        by_end: Ints = inside[np.argsort(self.end[inside], kind="stable")]
        return by_end

    def counted(self, scope: int, end: int, cutoff: int) -> Ints:
        """The places of a scope's intervals that begin by `end` and do not end by `cutoff`."""
        mine = self.of(scope)
        counted: Ints = self.place[mine][(self.start[mine] <= end) & (self.end[mine] > cutoff)]
        return counted


def _order(scope: Ints, start: Ints, starts: Ints, scopes: int) -> Ints:
    """What sorts by scope and start; a history is sorted by time already, and few scopes sort in linear time."""
    if scopes <= 1 << 16 and not (start[1:] < start[:-1]).any():
        return np.argsort(scope.astype(np.uint16), kind="stable")
    return np.argsort(starts)
