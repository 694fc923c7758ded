"""The obvious way to decide whether calls fit one order: try every order and every choice of what was lost."""

from collections.abc import Iterator
from functools import cache

from harness.rules.reading.operations import FOREVER
from harness.rules.search import LIMITED, MAYBE, MAYBE_SETTLED, REFUSED, SERVED, SETTLED, Call, Terms

Pending = frozenset[tuple[int, int | None]]  # the last challenge of each token by its operation, None: settled since


def fits(calls: list[Call], terms: Terms) -> bool:
    """Whether an endpoint that follows `terms` could have answered like this. For a handful of calls."""
    spans = {op: span(op, calls) for op in {call.op for call in calls if call.kind in (SERVED, MAYBE)}}
    free = {call.token for call in calls if call.kind == SERVED and owners(call.op, calls) == {call.token}}

    @cache
    def possible(left: frozenset[int], issued: frozenset[int], settled: frozenset[tuple[int, int]],
                 pending: Pending) -> bool:  # fmt: skip
        if all(calls[n].kind in (MAYBE, MAYBE_SETTLED) for n in left):
            return True
        for n in left:
            call = calls[n]
            if any(calls[m].end < call.start for m in left if calls[m].kind not in (MAYBE, MAYBE_SETTLED)):
                continue  # that one was over before this one began
            if any(m != n and calls[m].end < call.start for m in left):
                continue  # an optional one that is late has to be left out first, see below
            for after in steps(call, issued, settled, pending):
                if possible(left - {n}, *after):
                    return True
        return any(
            possible(left - {n}, issued, settled, pending) for n in left if calls[n].kind in (MAYBE, MAYBE_SETTLED)
        )

    def steps(
        call: Call, issued: frozenset[int], settled: frozenset[tuple[int, int]], pending: Pending
    ) -> Iterator[tuple[frozenset[int], frozenset[tuple[int, int]], Pending]]:
        last = dict(pending)
        states = {effect for token, effect in settled if token == call.token}
        if call.kind in (SETTLED, MAYBE_SETTLED):
            if call.op < 0 or last.get(call.token) == call.op:
                last[call.token] = None  # settled, so no longer pending
            more = {(call.token, effect) for effect in (1, 2) if call.effect & effect}
            yield issued, settled | more, frozenset(last.items())
        elif call.kind == REFUSED:
            if 1 in states or may_be_pending(call, last):
                yield issued, settled, pending
        elif call.kind == LIMITED:
            room = [op for op in issued if spans[op][1] > call.start - terms.window_possibly]
            if call.op not in issued and (call.start <= terms.cold or len(room) >= terms.fewest):
                yield issued, settled, pending
        elif call.op in issued:
            yield issued, settled, pending
        elif 2 not in states and not surely_pending(call, last) and has_room(call, issued):
            yield issued | {call.op}, settled, frozenset({**last, call.token: call.op}.items())

    def may_be_pending(call: Call, last: dict[int, int | None]) -> bool:
        if not terms.refuses_pending:
            return False
        if call.token not in last:
            return call.start - terms.begin < terms.pending_possibly
        op = last[call.token]
        return op is not None and call.start - spans[op][1] < terms.pending_possibly

    def surely_pending(call: Call, last: dict[int, int | None]) -> bool:
        op = last.get(call.token)
        return terms.one_pending and op is not None and spans[call.op][1] - since(op, call.token) < terms.pending_surely

    def since(op: int, token: int) -> int:
        # Which of the lost requests that may act at any time is pending is left open: it may be the first.
        alike = [one for one in spans if lost_for_ever(one) and owners(one, calls) == {token}]
        return min(spans[one][0] for one in alike) if op in alike else spans[op][0]

    def lost_for_ever(op: int) -> bool:
        mine = [call for call in calls if call.op == op]
        return all(call.kind == MAYBE for call in mine) and spans[op][1] == FOREVER

    def has_room(call: Call, issued: frozenset[int]) -> bool:
        counted = [op for op in issued if spans[op][0] > spans[call.op][1] - terms.window_surely]
        return terms.most is None or len(counted) < terms.most

    tokens = {call.token for call in calls}
    before = {(token, 1) for token in tokens if terms.settled_before or token not in free}
    return bool(possible(frozenset(range(len(calls))), frozenset(), frozenset(before), frozenset()))


def owners(op: int, calls: list[Call]) -> set[int]:
    return {call.token for call in calls if call.op == op and call.kind in (SERVED, MAYBE)}


def span(op: int, calls: list[Call]) -> tuple[int, int]:
    """The interval of an operation's effect."""
    mine = [call for call in calls if call.op == op and call.kind in (SERVED, MAYBE)]
    served = [call.end for call in mine if call.kind == SERVED]
    return min(call.start for call in mine), min(served) if served else max(call.end for call in mine)
