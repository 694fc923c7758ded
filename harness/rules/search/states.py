"""What state a correct endpoint can be in as the search sees it, and what each call makes of it.

A configuration is a tuple of sets of bits and a number: calls done (of the refusals and settles that are open),
operations issued, what settles did to each token, (where only one challenge may be pending) the last one of each token,
and how many more were issued by operations that are over.
"""

from typing import Final

from harness.rules.reading.operations import FOREVER
from harness.rules.search.calls import LIMITED, MAY_REFUSE, MUST_REFUSE, REFUSED, Call
from harness.rules.search.plan import Plan

WIDTH: Final = 32  # bits that hold the last challenge of a token: its operation's number plus 1, or one of the next two
BEFORE: Final = 0  # perhaps one from before the calls began
NOBODY: Final = (1 << WIDTH) - 1  # none: it was settled

Config = tuple[int, int, int, int, int]


class States:
    """The states that a person's calls, as planned, can lead to. Calls are named by their place, operations by bit."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.calls = plan.calls
        self.terms = plan.terms
        self.slots = [plan.slot.get(call.op, -1) for call in plan.calls]

    def issued(self, config: Config, slot: int, token: int) -> Config:
        """The configuration after the operation was issued."""
        done, issued, settled, pending, more = config
        if self.terms.one_pending:
            pending = _with_last(pending, token, slot + 1)
        return done, issued | 1 << slot, settled, pending, more

    def may_issue(self, slot: int, token: int, config: Config) -> bool:
        """Whether the operation may get a challenge now: not settled, nothing pending, below the limit."""
        _, issued, settled, pending, more = config
        if settled >> 2 * token & MUST_REFUSE:
            return False
        plan = self.plan
        if self.terms.one_pending:
            last = _last(pending, token)
            surely = last not in (BEFORE, NOBODY) and plan.end[slot] - plan.since[last - 1] < self.terms.pending_surely
            if surely:
                return False
        most = self.terms.most
        if not plan.limited or most is None or plan.end[slot] == FOREVER:
            return True
        return (issued >> plan.before_window[slot]).bit_count() + more < most

    def settled(self, n: int, settled: int, pending: int) -> tuple[int, int]:
        """What a settle makes of the tokens' states and of their pending challenges."""
        call, slot = self.calls[n], self.slots[n]
        settled |= call.effect << 2 * call.token
        # A challenge that was not seen may be any.
        if self.terms.one_pending and (call.op < 0 or (slot >= 0 and _last(pending, call.token) == slot + 1)):
            pending = _with_last(pending, call.token, NOBODY)
        return settled, pending

    def fits(self, n: int, config: Config) -> bool:
        """Whether a refusal is right, or a settle changes nothing, in this state."""
        _, issued, settled, pending, more = config
        call = self.calls[n]
        if call.kind == REFUSED:
            return bool(settled >> 2 * call.token & MAY_REFUSE) or self._may_be_pending(call, pending)
        if call.kind == LIMITED:
            if self.slots[n] >= 0 and issued >> self.slots[n] & 1:
                return False
            counted = (issued & self.plan.counted[n]).bit_count() + more
            return call.start <= self.terms.cold or counted >= self.terms.fewest
        # While its challenge may still come, a settle may still have something to do.
        early = self.terms.one_pending and (call.op < 0 or not issued >> max(self.slots[n], 0) & 1)
        return not early and self.settled(n, settled, pending) == (settled, pending)

    def _may_be_pending(self, call: Call, pending: int) -> bool:
        if not self.terms.refuses_pending:
            return False
        last = _last(pending, call.token)
        if last == NOBODY:
            return False
        issued = self.terms.begin if last == BEFORE else self.plan.end[last - 1]
        return call.start - issued < self.terms.pending_possibly


def _last(pending: int, token: int) -> int:
    return pending >> WIDTH * token & NOBODY


def _with_last(pending: int, token: int, last: int) -> int:
    return pending & ~(NOBODY << WIDTH * token) | last << WIDTH * token
