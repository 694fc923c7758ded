"""Tries likely orders for all persons at once: where one explains every answer, there is nothing left to search.

Challenges are issued, and tokens settled, as soon as they can be; refusals come as late as they can; what was lost
never happened, or else all of it did. Both are among the orders that the search tries, so a person that one of them
explains is one that the search would pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from harness.rules.reading.groups import count_until, pairs
from harness.rules.reading.operations import FOREVER, Flags, Ints
from harness.rules.search.calls import LIMITED, MAY_REFUSE, MAYBE, MUST_REFUSE, REFUSED, SERVED, SETTLED, Terms
from harness.rules.search.tables import Table


def explained(table: Table, terms: Sequence[Terms]) -> Flags:
    """Which groups of a table a likely order explains, on the terms of each era; none where one may be pending."""
    fine = np.zeros(len(table.bites), np.bool_)
    if terms[0].one_pending:
        return fine
    asked = _asked(table)
    asked = asked.where(asked.sure | ~_after_settling(table, asked))
    for issued in (asked.where(asked.sure), asked):
        fine |= ~_contradicted(table, terms, issued)
    return fine


def _contradicted(table: Table, terms: Sequence[Terms], issued: "_Issued") -> Flags:
    wrong = np.zeros(len(table.bites), np.bool_)
    for one in (_without_room(issued, terms[0]), _after_settling(table, issued)):
        wrong[issued.group[one]] = True
    for refused, one in (_limited(table, issued, terms), _refused(table, issued, terms)):
        wrong[table.group[refused[one]]] = True
    return wrong


@dataclass(frozen=True)
class _Issued:
    """Operations by group and `start`, when each is issued to `token`; `number` is that of the group and operation.

    `end` is the last moment at which it can have been. `sure`: it was served. `alone`: no other token asked for it.
    `numbers` gives the operation of each line of the table, `asked` how many operations each group has.
    """

    number: Ints
    group: Ints
    token: Ints
    start: Ints
    end: Ints
    sure: Flags
    alone: Flags
    numbers: Ints
    asked: Ints

    def where(self, chosen: Flags) -> "_Issued":
        whole = ("numbers", "asked")
        return _Issued(**{k: v if k in whole else v[chosen] for k, v in vars(self).items()})

    @property
    def before(self) -> Ints:
        """How many of the group are issued before each."""
        return np.arange(len(self.group)) - np.searchsorted(self.group, self.group)


def _asked(table: Table) -> _Issued:
    """All operations that were served, or may have been."""
    numbers, acting = pairs(table.group, table.op), (table.kind == SERVED) | (table.kind == MAYBE)
    lines = pd.DataFrame({name: getattr(table, name)[acting] for name in ("group", "token", "start", "end")})
    lines["served"] = np.where(table.kind == SERVED, table.end, FOREVER)[acting]
    lines["number"] = numbers[acting]
    each = lines.sort_values("start", kind="stable").groupby("number").agg(
        group=("group", "first"), token=("token", "first"), low=("token", "min"), high=("token", "max"),
        start=("start", "min"), end=("end", "max"), served=("served", "min"),
    )  # fmt: skip
    each = each.sort_values(["group", "start"])
    group, token, start, end, served = (each[name].to_numpy() for name in ("group", "token", "start", "end", "served"))
    sure, alone = served < FOREVER, (each["low"] == each["high"]).to_numpy()
    asked = np.bincount(group, minlength=len(table.bites)).astype(np.int64)
    number = each.index.to_numpy(np.int64)
    return _Issued(number, group, token, start, np.where(sure, served, end), sure, alone, numbers, asked)


def _without_room(issued: _Issued, terms: Terms) -> Flags:
    """Which find the limit used up."""
    if terms.most is None:
        return np.zeros(len(issued.group), np.bool_)
    left = count_until(issued.group, issued.start, issued.group, issued.end - terms.window_surely)
    full: Flags = issued.before - np.minimum(left, issued.before) >= terms.most
    # What may still come when all is over finds room some time.
    return full & (issued.asked[issued.group] > terms.most) & (issued.end < FOREVER)


def _after_settling(table: Table, issued: _Issued) -> Flags:
    """Which were issued to a token that had to be refused by then."""
    whose = pairs(np.append(table.group, issued.group), np.append(table.token, issued.token))
    must = np.flatnonzero((table.kind == SETTLED) & (table.effect & MUST_REFUSE > 0))
    settled: Flags = count_until(whose[must], table.start[must], whose[len(table.group) :], issued.start - 1) > 0
    return settled


def _limited(table: Table, issued: _Issued, terms: Sequence[Terms]) -> tuple[Ints, Flags]:
    """The refusals for the limit, and which of them find their operation issued, or too few others."""
    lines, one = np.flatnonzero(table.kind == LIMITED), terms[0]
    group, start, end = table.group[lines], table.start[lines], table.end[lines]
    own = np.full(int(issued.numbers.max(initial=-1)) + 1, FOREVER, np.int64)
    own[issued.number] = issued.start
    gone = count_until(issued.group, issued.end, group, start - one.window_possibly)
    counted = count_until(issued.group, issued.start, group, end) - gone
    cold = np.array([each.cold for each in terms], np.int64)[table.era[lines]]
    return lines, (own[issued.numbers[lines]] <= end) | ((start > cold) & (counted < one.fewest))


def _refused(table: Table, issued: _Issued, terms: Sequence[Terms]) -> tuple[Ints, Flags]:
    """The refusals for the state, and which of them meet a token that is not settled and surely was not before."""
    lines = np.flatnonzero(table.kind == REFUSED)
    whose = pairs(np.append(table.group, issued.group), np.append(table.token, issued.token))
    fresh = np.isin(whose[lines], whose[len(table.group) :][issued.sure & issued.alone])
    before = np.array([each.settled_before for each in terms])[table.era[lines]]
    may = np.flatnonzero((table.kind == SETTLED) & (table.effect & MAY_REFUSE > 0))
    settled = count_until(whose[may], table.start[may], whose[lines], table.end[lines]) > 0
    return lines, fresh & ~before & ~settled
