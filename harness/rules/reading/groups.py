"""Questions asked of many groups of times at once: the earliest, the next after, how many until."""

import numpy as np
import pandas as pd

from harness.rules.reading.columns import Flags, Ints


def pairs(first: Ints, second: Ints) -> Ints:
    """A number from 0 for each distinct pair; both columns may hold -1."""
    joined = (first + 1) * (int(second.max(initial=-1)) + 2) + second + 1
    return np.asarray(pd.factorize(joined)[0], np.int64)


def divided(group: Ints, groups: int, value: Ints) -> tuple[Ints, int]:
    """A number below the second answer for each distinct pair of a group and a value, where few groups have several.

    Rows with the first value of group n keep n, so that only the others cost anything; a group without rows leaves
    its number unused.
    """
    first = np.zeros(groups, value.dtype)
    first[group[::-1]] = value[::-1]  # the last write stays
    others = np.flatnonzero(value != first[group])
    if not len(others):
        return group, groups
    more = pairs(group[others], value[others])
    numbers = group.astype(np.int64)
    numbers[others] = groups + more
    return numbers, groups + int(more.max()) + 1


def earliest(group: Ints, time: Ints, chosen: Flags) -> Ints:
    """For each group the place of its chosen row with the least time, -1 where none is; group -1 has none.

    The answer is indexed by group and ends with the -1 that group -1 finds.
    """
    places = np.flatnonzero(chosen & (group >= 0))
    places = places[np.argsort(-time[places], kind="stable")]
    found = np.full(int(group.max(initial=-1)) + 2, -1, np.int64)
    found[group[places]] = places  # the last write stays
    found[-1] = -1
    return found


def next_after(group: Ints, time: Ints, asked: Ints, after: Ints) -> Ints:
    """For each question the place of the row of group `asked` with the least time greater than `after`, or -1."""
    order = np.lexsort((time, group))
    found = _position(group[order], time[order], asked, after)
    inside = found < len(order)
    place = order[np.where(inside, found, 0)] if len(order) else found
    return np.where(inside & (group[place] == asked), place, -1) if len(order) else np.full(len(asked), -1, np.int64)


def count_until(group: Ints, time: Ints, asked: Ints, until: Ints) -> Ints:
    """For each question how many rows of group `asked` have a time of at most `until`."""
    order = np.lexsort((time, group))
    ordered = group[order]
    return _position(ordered, time[order], asked, until) - np.searchsorted(ordered, asked, side="left")


def _position(group: Ints, time: Ints, asked: Ints, until: Ints) -> Ints:
    """Where each question would be put, after its equals, among rows sorted by group and time."""
    # Ranks take the place of times, as a group's number times a time may not fit into 64 bits.
    times = np.sort(time)
    span = len(times) + 1
    keys = group * span + np.searchsorted(times, time)
    # The rank of an end is one less than that of the first time after it.
    ends = asked * span + np.searchsorted(times, until, side="right") - 1
    found = np.searchsorted(keys, ends, side="right")
    return np.asarray(found, np.int64)
