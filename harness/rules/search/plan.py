"""What the search knows of a person's calls beforehand: operations, their intervals, and which need no choice."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

from harness.rules.reading.operations import FOREVER
from harness.rules.search.calls import (
    LIMITED,
    MAY_REFUSE,
    MAYBE,
    MAYBE_SETTLED,
    REFUSED,
    SERVED,
    SETTLED,
    Call,
    Terms,
)


class Plan:
    """Operations are numbered so that bit n of a set of issued ones is the n-th by `start` where the limit's window can
    slide within the run, and otherwise the n-th by `end`.

    `early` is the set of operations that may go as soon as they are sent: they happen some time, and nobody minds when.
    `idle` is the set of those of unknown outcome of which any is as good as another, so that the first one will do.
    `short` is the set of those that may find the limit reached, depending on the order. `first` holds for each of them
    the set of those that had better go before it.
    """

    def __init__(self, calls: Sequence[Call], terms: Terms) -> None:
        self.calls = calls
        self.terms = terms
        acting = [call for call in calls if call.kind in (SERVED, MAYBE)]
        self._intervals(acting)
        longest = max((call.start for call in calls), default=0) - min((call.start for call in calls), default=0)
        self.limited = terms.most is not None and len(self._start) > terms.most
        self.slides = terms.window_surely <= longest + self._slowest(calls)
        order = sorted(self._start, key=(self._start if self.slides else self._end).__getitem__)
        self.slot = {op: n for n, op in enumerate(order)}
        self.start = [self._start[op] for op in order]
        self.end = [self._end[op] for op in order]
        self.before_window = self._before_window()
        self.counted = self._counted()
        self.counts = self.limited or any(call.kind == LIMITED and call.start > terms.cold for call in calls)
        self.over = self._over()
        self.forgotten = self._forgotten() if self.slides else []
        self._owners: dict[int, set[int]] = {}
        for call in acting:
            self._owners.setdefault(call.op, set()).add(call.token)
        self.refused = {call.op for call in calls if call.kind in (LIMITED, REFUSED)}
        tight = self.limited and self.slides and not terms.one_pending
        self.short = sum(1 << n for n in range(len(self.start)) if tight and self._may_be_short(n))
        self.first = self._first(order) if self.short else {}
        self._choices()
        self.born = self._born()

    @staticmethod
    def _slowest(calls: Sequence[Call]) -> int:
        return max((call.end - call.start for call in calls if call.end < FOREVER), default=0)

    def _intervals(self, acting: list[Call]) -> None:
        """The effect interval of each operation: from its first call to its first 200, else as long as one may act."""
        self._start: dict[int, int] = {}
        self._end: dict[int, int] = {}
        served: dict[int, int] = {}
        for call in acting:
            op = call.op
            self._start[op] = min(self._start.get(op, FOREVER), call.start)
            self._end[op] = max(self._end.get(op, 0), call.end)
            if call.kind == SERVED:
                served[op] = min(served.get(op, FOREVER), call.end)
        self._end.update(served)
        self.served = served

    def _before_window(self) -> list[int]:
        """For each operation how many, in order of `start`, are not surely in its window."""
        if not self.slides:
            return [0] * len(self.start)
        return [bisect_right(self.start, end - self.terms.window_surely) for end in self.end]

    def _counted(self) -> dict[int, int]:
        """For each refusal for the limit, by its place in `calls`, the operations that may be in its window."""
        limits = [(call.start, n) for n, call in enumerate(self.calls) if call.kind == LIMITED]
        over = sorted(range(len(self.end)), key=self.end.__getitem__)
        counted, gone, place = {}, 0, 0
        for start, n in sorted(limits):
            while place < len(over) and self.end[over[place]] <= start - self.terms.window_possibly:
                gone |= 1 << over[place]
                place += 1
            counted[n] = ~gone
        return counted

    def _over(self) -> dict[int, int]:
        """The operation that is over when the call at a place ends, as it is the last one that asks for it."""
        last: dict[int, tuple[int, int]] = {}
        for n, call in enumerate(self.calls):
            if call.kind <= REFUSED and call.op in self.slot:
                last[call.op] = max(last.get(call.op, (-1, -1)), (call.end, n))
        return {n: self.slot[op] for op, (_, n) in last.items()}

    def _forgotten(self) -> list[tuple[int, int]]:
        """When each operation is over and out of the window of all calls that end later, with its number."""
        limits = sorted((call.start, call.end) for call in self.calls if call.kind == LIMITED)
        starts = [start for start, _ in limits]
        latest = list(accumulate((end for _, end in limits), max))
        found = []
        for n, slot in self.over.items():
            when = max(self.calls[n].end, self.start[slot] + self.terms.window_surely)
            looked = bisect_left(starts, self.end[slot] + self.terms.window_possibly)
            if looked:
                when = max(when, latest[looked - 1])
            if when < FOREVER and self.end[slot] < FOREVER:
                found.append((when, slot))
        return found

    def _choices(self) -> None:
        terms, refused = self.terms, self.refused
        harmless = self._harmless() if not terms.one_pending else set()
        explains = terms.refuses_pending and any(call.kind == REFUSED for call in self.calls)
        named = {call.op for call in self.calls if call.kind in (SETTLED, MAYBE_SETTLED)}
        bounded = not self.slides and not terms.one_pending
        self.early = self.idle = self.useless = 0
        for op, slot in self.slot.items():
            if op in self.served:
                self.early |= (op in harmless and op not in refused) << slot
                continue
            self.useless |= (not self.counts and not explains) << slot
            alike = len(self._owners[op]) == 1 and op not in refused | named
            self.idle |= (alike and (bounded or self._end[op] == FOREVER)) << slot
        self.since = self._since()

    def _since(self) -> list[int]:
        """From when on each operation's challenge may be pending.

        Of lost requests that may act at any time it is the first one's, so that it does not matter which of them is
        taken for pending: that only makes room for more orders.
        """
        first: dict[int, int] = {}
        for op, slot in self.slot.items():
            if self.idle >> slot & 1:
                (token,) = self._owners[op]
                first[token] = min(first.get(token, FOREVER), self.start[slot])
        if not self.terms.one_pending:
            return self.start
        return [
            first[next(iter(self._owners[op]))] if self.idle >> slot & 1 else self.start[slot]
            for op, slot in self.slot.items()
        ]

    def _harmless(self) -> set[int]:
        """Operations that may move to their first moment: nothing that overlaps them can be short of room for it."""
        if not self.short:
            return set(self.slot)
        short = [(self.start[n], self.end[n]) for n in range(len(self.start)) if self.short >> n & 1]
        starts = [start for start, _ in short]
        latest: list[int] = []
        for _, end in short:
            latest.append(max(end, latest[-1]) if latest else end)
        found = set()
        for op, n in self.slot.items():
            place = bisect_right(starts, self.end[n])
            if place == 0 or latest[place - 1] < self.start[n]:
                found.add(op)
        return found

    def _may_be_short(self, n: int) -> bool:
        """Whether as many others may have come first as the limit allows."""
        itself = n >= self.before_window[n]
        others = bisect_right(self.start, self.end[n]) - self.before_window[n] - itself
        return others >= (self.terms.most or 0)

    def _first(self, order: list[int]) -> dict[int, int]:
        """For each operation those that began and end no later, will be served, and count for all that this one does.

        If one of them came later, the two could change places: it would find no more others before it than it did, and
        whatever lies in between would find at most as many as it did.
        """
        window = self.terms.window_surely
        found, open_ = {}, list[int]()
        for n, op in enumerate(order):
            whose = self._owners[op]
            open_ = [m for m in open_ if self.end[m] >= self.start[n]]
            before = [m for m in open_ if self.end[m] < self.end[n] and self._owners[order[m]] == whose]
            found[n] = sum(1 << m for m in before)
            certain = op in self.served and op not in self.refused and len(whose) == 1
            if certain and self.end[n] - self.start[n] < window:
                open_.append(n)
        return found

    def _born(self) -> int:
        """The tokens that may have been settled before: all that are not seen to get a challenge of their own."""
        owners = self._owners
        free = {next(iter(owners[op])) for op in self.served if len(owners[op]) == 1}
        tokens = {call.token for call in self.calls}
        return sum(MAY_REFUSE << 2 * token for token in tokens if self.terms.settled_before or token not in free)
