"""Looks up, for many tokens at once, what came last before a moment or first after it."""

import numpy as np
import pandas as pd

from harness.rules.reading.operations import NONE, Flags, Ints


class Timeline:
    """Moments of tokens, sorted once; each look-up costs a binary search a question.

    `who` and `when` (ns) are of one length; answers are places in them, -1 where there is none.
    """

    def __init__(self, who: Ints, when: Ints) -> None:
        by_time = np.argsort(when, kind="stable")
        by_both = np.argsort(who[by_time], kind="stable")
        self._times, self._order = when[by_time], by_time[by_both]
        self._who = who[self._order]
        # Ranks instead of times keep the joint key of token and time within 64 bits.
        later = np.append(False, self._times[1:] != self._times[:-1])[: len(when)]
        rank = np.maximum.accumulate(np.where(later, np.arange(len(when)), 0))
        self._keys = self._who * (len(when) + 1) + rank[by_both]

    def last(self, who: Ints, before: Ints) -> Ints:
        """The last moment of each token that is earlier than `before`."""
        return self._at(who, self._count(who, before, before_equal=False) - 1)

    def last_until(self, who: Ints, until: Ints) -> Ints:
        """The last moment of each token that is not later than `until`."""
        return self._at(who, self._count(who, until, before_equal=True) - 1)

    def first(self, who: Ints, after: Ints) -> Ints:
        """The first moment of each token that is later than `after`."""
        return self._at(who, self._count(who, after, before_equal=True))

    def most_until(self, values: Ints, who: Ints, until: Ints) -> Ints:
        """The greatest of `values` (one a moment) over the token's moments not later than `until`; -1 without one."""
        most = np.append(_running_maximum(self._who, values[self._order]), NONE)
        place = self._count(who, until, before_equal=True) - 1
        return np.where(self._same(who, place), most[place], NONE)

    def _count(self, who: Ints, moment: Ints, *, before_equal: bool) -> Ints:
        """How many moments stand before each question in the order by token and time."""
        rank = np.searchsorted(self._times, moment, side="right" if before_equal else "left")
        return np.searchsorted(self._keys, who * (len(self._who) + 1) + rank).astype(np.int64)

    def _at(self, who: Ints, place: Ints) -> Ints:
        return np.where(self._same(who, place), np.append(self._order, NONE)[place], NONE)

    def _same(self, who: Ints, place: Ints) -> Flags:
        inside = (place >= 0) & (place < len(self._who))
        same: Flags = inside & (np.append(self._who, NONE)[np.where(inside, place, NONE)] == who)
        return same


def _running_maximum(who: Ints, values: Ints) -> Ints:
    """The maximum so far within each token, of rows sorted by token."""
    return np.asarray(pd.Series(values).groupby(who).cummax().to_numpy(), np.int64)
