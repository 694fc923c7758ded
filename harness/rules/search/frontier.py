"""The frontier search: walks through a person's calls in time and keeps every state that a correct endpoint can be in.

Just-in-time linearisation: a call takes effect at the latest when it ends, in every order with the calls that are open
then. What a configuration is, `states` says.
"""

from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final, NamedTuple

from harness.rules.reading.operations import FOREVER
from harness.rules.search.calls import MAYBE_SETTLED, SETTLED, Call, Terms
from harness.rules.search.plan import Plan
from harness.rules.search.states import BEFORE, Config, States

BUDGET: Final = 200_000  # configurations; about a second
WIDTHS: Final = (50, 2_000)  # configurations kept, before all are

Configs = dict[Config, None]  # a set that remembers its order


class Outcome(NamedTuple):
    """How a search ended. `failed` is the place of the call that no order explains (-1: none); `spent` configurations.

    `decided` is False where the budget ran out before there was an answer.
    """

    failed: int
    spent: int
    decided: bool = True


class _OutOfBudgetError(Exception):
    """Too many configurations."""


def search(calls: Sequence[Call], terms: Terms, budget: int = BUDGET) -> Outcome:
    """Whether some order of the calls, within their intervals, fits the terms.

    One order is enough, and the likeliest few are looked at first. Only where those lead nowhere are all of them.
    """
    plan, spent = Plan(calls, terms), 0
    for width in (*WIDTHS, budget):
        frontier = _Frontier(plan, budget - spent, width)
        try:
            failed = frontier.walk()
        except _OutOfBudgetError:
            return Outcome(-1, spent + frontier.spent, decided=False)
        spent += frontier.spent
        if failed < 0 or frontier.whole:
            return Outcome(failed, spent)
    return Outcome(-1, spent, decided=False)


class _Frontier:
    """`width` configurations are kept at most; `whole` tells whether they were all there are."""

    def __init__(self, plan: Plan, budget: int, width: int) -> None:
        self.plan = plan
        self.calls = plan.calls
        self.terms = plan.terms
        self.states = States(plan)
        self.slots = self.states.slots
        self.budget = budget
        self.width = width
        self.whole = True
        self.spent = 0
        self.configs: Configs = {(0, 0, plan.born, BEFORE, 0): None}
        self.acting: list[int] = []  # open calls that may issue a challenge, by place, the first to end first
        self.idle: dict[int, int] = {}  # by token: open operations of which any is as good as another
        self.watched: dict[int, int] = {}  # open refusals and settles, by place, with the bit that tells they are done
        self.bits: list[int] = []  # those free to be given out
        self.gone = 0  # operations of which no configuration tells any more whether they were issued

    def walk(self) -> int:
        """The place of the first call that fits no order, -1 where all fit."""
        calls = self.calls
        events = [(call.start, 0, n) for n, call in enumerate(calls)]
        # Intervals are closed: of two calls that touch, either may have come first. So sends go before receives.
        events += [(call.end, 1, n) for n, call in enumerate(calls) if call.end < FOREVER]
        events += [(when, 2, slot) for when, slot in self.plan.forgotten]
        events.sort()
        opened, closed = self._openers(), self._closers()
        for _, what, n in events:
            if what == 2:
                self._forget(n)
            elif what == 0:
                opened[calls[n].kind](n)
            elif not closed[calls[n].kind](n):
                return n
            elif n in self.plan.over:
                self._fold(self.plan.over[n])
        return -1

    def _openers(self) -> list[Callable[[int], None]]:
        return [self._open_acting, self._open_acting, *[self._open_watched] * 4]

    def _closers(self) -> list[Callable[[int], bool]]:
        return [self._close_served, self._close_maybe, *[self._close_watched] * 3, self._close_maybe_settled]

    def _open_acting(self, n: int) -> None:
        slot, token = self.slots[n], self.calls[n].token
        bit = 1 << slot
        plan = self.plan
        if plan.early & bit:
            self.configs = dict.fromkeys(self._issued_early(config, slot, token) for config in self.configs)
        if plan.useless & bit or all(config[1] & bit for config in self.configs):
            return
        if plan.idle & bit:
            self.idle[token] = self.idle.get(token, 0) | bit
            return
        insort(self.acting, n, key=lambda place: self.calls[place].end)

    def _issued_early(self, config: Config, slot: int, token: int) -> Config:
        if config[1] >> slot & 1 or not self.states.may_issue(slot, token, config):
            return config
        return self._issued(config, slot, token)

    def _fold(self, slot: int) -> None:
        """Forget which operation it was that is over: at most it counts."""
        if self.plan.slides:
            return
        bit, one = 1 << slot, int(self.plan.counts)
        self.configs = dict.fromkeys(
            (done, issued & ~bit, settled, pending, more + one)
            if issued & bit
            else (done, issued, settled, pending, more)
            for done, issued, settled, pending, more in self.configs
        )

    def _forget(self, slot: int) -> None:
        """Nothing that is still to come asks whether this operation was issued: it has left the window."""
        bit = 1 << slot
        self.gone |= bit
        self.configs = dict.fromkeys((config[0], config[1] & ~bit, *config[2:]) for config in self.configs)

    def _open_watched(self, n: int) -> None:
        bit = self.bits.pop() if self.bits else 1 << len(self.watched)
        self.watched[n] = bit
        self.configs = dict.fromkeys(
            (config[0] | bit, *config[1:]) if self.states.fits(n, config) else config for config in self.configs
        )

    def _close_served(self, n: int) -> bool:
        bit = 1 << self.slots[n]
        self._require(lambda config: bool(config[1] & bit), n)
        if n in self.acting:
            self.acting.remove(n)
        return bool(self.configs)

    def _close_maybe(self, n: int) -> bool:
        slot, token = self.slots[n], self.calls[n].token
        bit = 1 << slot
        if n in self.acting:
            self._allow(lambda config: bool(config[1] & bit), n)
            self.acting.remove(n)
        elif n in self.plan.over and self.idle.get(token, 0) & bit:
            # Whatever else is open may as well come later, so there is one order to try.
            self._keep(self.configs, dict.fromkeys(self._issued_early(one, slot, token) for one in self.configs))
            self.idle[token] &= ~bit
        return True

    def _close_watched(self, n: int) -> bool:
        bit = self.watched[n]
        self._require(lambda config: bool(config[0] & bit))
        self._unwatch(n)
        return bool(self.configs)

    def _close_maybe_settled(self, n: int) -> bool:
        bit = self.watched[n]
        self._allow(lambda config: bool(config[0] & bit))
        self._unwatch(n)
        return True

    def _unwatch(self, n: int) -> None:
        bit = self.watched.pop(n)
        self.configs = dict.fromkeys((config[0] & ~bit, *config[1:]) for config in self.configs)
        self.bits.append(bit)

    def _allow(self, holds: Callable[[Config], bool], issue: int = -1) -> None:
        """Add to the configurations those in which it comes to hold."""
        before = self.configs
        self._require(holds, issue)
        self._keep(before, self.configs)

    def _keep(self, some: Configs, others: Configs) -> None:
        """Keep both, in turn: where not all can be, who knows which of them will be needed."""
        both = dict.fromkeys(config for pair in zip(some, others, strict=False) for config in pair)
        both.update(some if len(some) > len(others) else others)
        self.configs = self._narrowed(both)

    def _narrowed(self, configs: Configs) -> Configs:
        if len(configs) <= self.width:
            return configs
        self.whole = False
        return dict.fromkeys(islice(configs, self.width))

    def _require(self, holds: Callable[[Config], bool], issue: int = -1) -> None:
        """Keep what holds; let the open calls of the others take effect, in all orders, until it does.

        `issue` is the call that has to issue its challenge for it, -1 where it is about something else.
        """
        found = {config: None for config in self.configs if holds(config)}
        if len(found) < len(self.configs):
            acting, alone = self.acting, self._alone(issue)
            if alone:
                # The others only take room away, so they may wait, but for those that may then find none themselves.
                useful = self.plan.short | 1 << self.slots[issue]
                acting = [n for n in acting if useful >> self.slots[n] & 1]
            self._explore(holds, found, acting, alone=alone)
        self.configs = found

    def _alone(self, issue: int) -> bool:
        return issue >= 0 and not self.terms.one_pending and self.calls[issue].op not in self.plan.refused

    def _explore(self, holds: Callable[[Config], bool], found: Configs, acting: list[int], *, alone: bool) -> None:
        """Add to `found` what comes to hold, what takes the fewest steps in the order of ends first."""
        seen = dict(self.configs)
        waiting = [config for config in reversed(self.configs) if config not in found]
        while waiting and len(found) < self.width:
            steps = [config for config in self._next(waiting.pop(), acting, alone) if config not in seen]
            seen.update(dict.fromkeys(steps))
            found.update((config, None) for config in steps if holds(config))
            waiting += [config for config in reversed(steps) if config not in found]
            if self.spent + len(seen) > self.budget:
                break
        self.spent += len(seen)
        self.whole = self.whole and not waiting
        if self.spent > self.budget:
            raise _OutOfBudgetError

    def _next(self, config: Config, acting: list[int], alone: bool) -> Iterable[Config]:
        """The configurations after one open call has changed something; if `alone`, one of `acting`."""
        done, issued, settled, pending, more = config
        for n in acting:
            slot, token = self.slots[n], self.calls[n].token
            if self.plan.first.get(slot, 0) & ~(issued | self.gone):
                continue
            if not issued >> slot & 1 and self.states.may_issue(slot, token, config):
                yield self._issued(config, slot, token)
        if alone:
            return
        for token, idle in self.idle.items():
            first = idle & ~issued
            first &= -first
            if first and self.states.may_issue(first.bit_length() - 1, token, config):
                yield self._issued(config, first.bit_length() - 1, token)
        for n, bit in self.watched.items():
            if self.calls[n].kind in (SETTLED, MAYBE_SETTLED) and not done & bit:
                yield self._settle_down((done | bit, issued, *self.states.settled(n, settled, pending), more))

    def _issued(self, config: Config, slot: int, token: int) -> Config:
        return self._settle_down(self.states.issued(config, slot, token))

    def _settle_down(self, config: Config) -> Config:
        """Let every open call go that changes nothing and fits: it disturbs nobody."""
        done = config[0]
        for n, bit in self.watched.items():
            if not done & bit and self.states.fits(n, config):
                done |= bit
        return (done, *config[1:])
