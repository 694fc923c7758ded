"""Compares what a target says of the pushes it has sent with the challenges that it gave in the meantime."""

from dataclasses import dataclass

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
    once_a_history,
    pushes_of,
    resets_of,
)


@dataclass(frozen=True)
class Count:
    """A call that told how many pushes had been sent so far, at some time in [`sent`, `received`]."""

    row: int
    sent: int
    received: int
    told: int


@dataclass(frozen=True)
class Span:
    """The pushes between two counts, without a reset in between.

    `counted` are those that the target counted. `least` is what the exchanges ask for: it leaves out challenges so new
    that their pushes may still be queued, as a target may go on working for its `late_effect` after an answer; `given`
    does not. `ids` are places of the challenges that make up `least`, first issued first. `most` is how many the
    exchanges allow from the count `since` on, which is the one of all in between that leaves the least room.
    """

    first: Count
    last: Count
    since: Count
    counted: int
    least: int
    given: int
    most: int
    ids: Ints

    @property
    def room(self) -> int:
        """How many more pushes could have been counted; below 0 there were too many."""
        return self.most - (self.last.told - self.since.told)


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


@once_a_history
def spans_of(history: History, profile: Profile) -> list[Span]:
    """From the first count of each era, or since the target last began to count anew, to every later one."""
    spans: list[Span] = []
    counts = _counts(history, profile)
    if len(counts) < 2:
        return spans
    pushes, resets = pushes_of(history, profile), resets_of(history, profile)
    born = effects_of(pushes, profile).start
    surely = _surely_issued(pushes, born, profile)
    begun, over = _possibly_issued(pushes, born, resets, profile)
    before = 0  # pushes counted, at least, between the first of all counts and this one
    first = last = since = None
    era, gone = -1, 0
    for number, count in counts:
        if first and last and since and number == era and count.told >= last.told:
            spans.append(_span(first, count, since, gone, surely, begun))
        else:
            first, era, since = count, number, None
            surely = surely.after(count.received)
        before += _at_least(last.told, count.told) if last else 0
        # Of the pushes that had come by now, as many had surely come as were counted, or as must have been over.
        over_by_now = max(int(np.searchsorted(over, count.sent, side="left")), before)
        if since is None or count.told - over_by_now < since.told - gone:
            since, gone = count, over_by_now
        last = count
    return spans


def _at_least(earlier: int, later: int) -> int:
    """The fewest pushes between two counts, though the target may have begun to count anew meanwhile."""
    return later - earlier if later >= earlier else later


def _counts(history: History, profile: Profile) -> list[tuple[int, Count]]:
    frame, resets = history.control, resets_of(history, profile)
    chosen = (frame["operation"] == "pushes").to_numpy() & (frame["outcome"] == "ok").to_numpy()
    frame = frame[chosen & (frame["told"] >= 0).to_numpy()]
    sent, received, told = (frame[name].to_numpy(np.int64) for name in ("sent", "received", "told"))
    era = resets.sure_era(sent, received)
    apart = apart_ns(history)
    widened = zip(frame.index, sent - apart, received + apart, told, strict=True)
    counts = [Count(*map(int, facts)) for facts in widened]
    ordered: list[tuple[int, Count]] = []
    for number, count in zip(era.tolist(), counts, strict=True):
        # Two counts at the same time have no order.
        if number >= 0 and (not ordered or count.sent > ordered[-1][1].received):
            ordered.append((number, count))
    return ordered


def _span(first: Count, last: Count, since: Count, gone: int, surely: _Issued, begun: Ints) -> Span:
    settled = int(np.searchsorted(surely.counted, last.sent, side="left"))
    return Span(
        first,
        last,
        since,
        counted=last.told - first.told,
        least=settled,
        given=int(np.searchsorted(surely.end, last.sent, side="left")),
        # Each challenge is one push: of all since the history began, those that had not come before.
        most=int(np.searchsorted(begun, last.received, side="right")) - gone,
        ids=surely.place[:settled],
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
