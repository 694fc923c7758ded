"""Compares what a target says of the pushes it has sent with the challenges that it gave in the meantime."""

from dataclasses import dataclass, replace

import numpy as np

from harness.history import History
from harness.profile import Profile
from harness.rules.reading.groups import divided
from harness.rules.reading.operations import (
    FOREVER,
    NONE,
    Ints,
    Pushes,
    Resets,
    apart_ns,
    effects_of,
    late,
    pushes_of,
    resets_of,
)


@dataclass(frozen=True)
class Count:
    """A call that told how many pushes had been sent so far, at some time in [`sent`, `received`].

    `stretch` is the number of the count that begins the stretch without a reset which it belongs to.
    """

    row: int
    sent: int
    received: int
    told: int
    stretch: int


@dataclass(frozen=True)
class Span:
    """The pushes between two counts, without a reset in between.

    `counted` are those that the target counted. `least` is what the exchanges ask for: it leaves out challenges so new
    that their pushes may still be queued, as a target may go on working for its `late_effect` after an answer; `given`
    does not. `missed` are rows of the first of them issued, one more than were counted, where so many are known of.
    `most` is how many the exchanges allow from the count `since` on, which is the one of all in between that leaves the
    least room.
    """

    first: Count
    last: Count
    since: Count
    counted: int
    least: int
    given: int
    most: int
    missed: tuple[int, ...]

    @property
    def room(self) -> int:
        """How many more pushes could have been counted; below 0 there were too many."""
        return self.most - (self.last.told - self.since.told)


@dataclass(frozen=True)
class Come:
    """How many challenges had come by each count; by parts that share no id they add up.

    `begun` may have been issued by its end, `over` must have been by its beginning. Since the first count of its
    stretch were issued `given`, and of these `least` must be counted; `missed` has rows of some by the number of a
    count that told of fewer (see `Span`).
    """

    begun: Ints
    over: Ints
    given: Ints
    least: Ints
    missed: dict[int, tuple[int, ...]]

    def __add__(self, other: "Come") -> "Come":
        return Come(
            self.begun + other.begun, self.over + other.over, self.given + other.given, self.least + other.least,
            {**self.missed, **other.missed},
        )  # fmt: skip


@dataclass(frozen=True)
class _Issued:
    """When challenges were issued, in `[start, end]` each, in order of `end`; `place` is that of the first success.

    `counted` is when a count includes them for sure.
    """

    start: Ints
    end: Ints
    counted: Ints
    place: Ints

    def after(self, time: int) -> "_Issued":
        """Those that were surely issued later."""
        later = self.start > time
        return _Issued(*(column[later] for column in (self.start, self.end, self.counted, self.place)))


def spans_of(history: History, profile: Profile) -> list[Span]:
    """From the first count of each stretch to every later one."""
    counts = counts_of(history, profile)
    return spans_between(counts, come_by(counts, history, profile))


def counts_of(history: History, profile: Profile) -> tuple[Count, ...]:
    """The counts of a history in order, each with the number of the one that its stretch begins with.

    A stretch ends with its era, or where the target begins to count anew.
    """
    frame, resets = history.control, resets_of(history, profile)
    chosen = (frame["operation"] == "pushes").to_numpy() & (frame["outcome"] == "ok").to_numpy()
    frame = frame[chosen & (frame["told"] >= 0).to_numpy()]
    sent, received, told = (frame[name].to_numpy(np.int64) for name in ("sent", "received", "told"))
    eras = resets.sure_era(sent, received)
    apart = apart_ns(history)
    counts: list[Count] = []
    now = NONE
    for facts in zip(eras, frame.index, sent - apart, received + apart, told, strict=True):
        era, row, begun, ended, number = map(int, facts)
        count = Count(row, begun, ended, number, len(counts))
        # Two counts at the same time have no order.
        if era < 0 or (counts and count.sent <= counts[-1].received):
            continue
        if counts and era == now and count.told >= counts[-1].told:
            count = replace(count, stretch=counts[-1].stretch)
        counts.append(count)
        now = era
    return tuple(counts)


def come_by(counts: tuple[Count, ...], history: History, profile: Profile) -> Come:
    """How many challenges of a history, or of a part of one, had come by each of these counts."""
    sent, received = (np.array([getattr(count, name) for count in counts], np.int64) for name in ("sent", "received"))
    given, least = np.zeros_like(sent), np.zeros_like(sent)
    missed: dict[int, tuple[int, ...]] = {}
    if len(counts) < 2:
        return Come(np.zeros_like(sent), np.zeros_like(sent), given, least, missed)
    pushes, resets = pushes_of(history, profile), resets_of(history, profile)
    born = effects_of(pushes, profile).start
    begun, over = _possibly_issued(pushes, born, resets, profile)
    surely = _surely_issued(pushes, born, profile)
    for number, count in enumerate(counts):
        if count.stretch == number:
            surely = surely.after(count.received)
        given[number] = np.searchsorted(surely.end, count.sent, side="left")
        least[number] = np.searchsorted(surely.counted, count.sent, side="left")
        counted = count.told - counts[count.stretch].told
        if least[number] > counted:
            missed[number] = tuple(pushes.row[surely.place[: counted + 1]].tolist())
    return Come(
        np.searchsorted(begun, received, side="right"), np.searchsorted(over, sent, side="left"), given, least, missed
    )


def spans_between(counts: tuple[Count, ...], come: Come) -> list[Span]:
    """The spans between counts of a history in which so many challenges had come by each."""
    spans: list[Span] = []
    before = 0  # pushes counted, at least, between the first of all counts and this one
    since, gone = NONE, 0
    for number, count in enumerate(counts):
        if count.stretch != number:
            spans.append(_span(counts, come, number, since, gone))
        else:
            since = NONE
        before += _at_least(counts[number - 1].told, count.told) if number else 0
        # Of the pushes that had come by now, as many had surely come as were counted, or as must have been over.
        over_by_now = max(int(come.over[number]), before)
        if since < 0 or count.told - over_by_now < counts[since].told - gone:
            since, gone = number, over_by_now
    return spans


def _at_least(earlier: int, later: int) -> int:
    """The fewest pushes between two counts, though the target may have begun to count anew meanwhile."""
    return later - earlier if later >= earlier else later


def _span(counts: tuple[Count, ...], come: Come, number: int, since: int, gone: int) -> Span:
    first, last = counts[counts[number].stretch], counts[number]
    return Span(
        first,
        last,
        counts[since],
        counted=last.told - first.told,
        least=int(come.least[number]),
        given=int(come.given[number]),
        # Each challenge is one push: of all since the history began, those that had not come before.
        most=int(come.begun[number]) - gone,
        missed=come.missed.get(number, ()),
    )


def _surely_issued(pushes: Pushes, born: Ints, profile: Profile) -> _Issued:
    """Each distinct id once; an unknown outcome of its operation may have been the one that issued it."""
    given = np.flatnonzero(pushes.success)
    of, received = pushes.id[given], pushes.received[given]
    start, end, place = (np.full(int(pushes.id.max(initial=-1)) + 1, FOREVER, np.int64) for _ in range(3))
    np.minimum.at(start, of, born[pushes.op[given]])
    np.minimum.at(end, of, received)
    first = received == end[of]
    np.minimum.at(place, of[first], given[first])
    order = np.argsort(end, kind="stable")[: np.count_nonzero(place < FOREVER)]  # the others come last
    start, end = start[order], end[order]
    return _Issued(start, end, late(end, profile), place[order])


def _possibly_issued(pushes: Pushes, born: Ints, resets: Resets, profile: Profile) -> tuple[Ints, Ints]:
    """When challenges may have been issued and pushed: all the starts in order, and all the ends in order.

    Counted are each id that an operation was given, once an era, each era of one with unknown outcomes only, and what
    was refused for breaking HTTP.
    """
    life, lives = divided(pushes.op, pushes.ops, resets.sure_era(pushes.sent, pushes.received))
    answered = np.zeros(lives, np.bool_)
    answered[life[pushes.success]] = True
    counted = np.flatnonzero(pushes.success | (pushes.unknown & ~answered[life]))
    found, units = divided(life[counted], lives, np.where(pushes.success[counted], pushes.id[counted], NONE))
    unit = np.full(len(pushes), NONE, np.int64)
    unit[counted] = found
    effects = effects_of(pushes, profile, unit, units)
    start = np.full(units, FOREVER, np.int64)
    start[found] = born[pushes.op[counted]]
    front = pushes.refused_in_front()
    ends = np.concatenate((effects.end[effects.possible], pushes.received[front]))
    # Whatever the outcome, the push may come as late as any effect behind the challenge.
    return np.sort(np.concatenate((start[effects.possible], pushes.sent[front]))), np.sort(late(ends, profile))
