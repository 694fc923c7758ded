"""The challenge limit: users, or a programme, driven to it and beyond, at once and one by one, over both channels.

Exercises challenge-limit-upper, -lower, -isolated, -replay-free, -refusal-free, and idempotent-after-unknown by
counting: where answers were lost and asked for again, a hidden second challenge makes the limit come early. Wants some
five scopes driven each way.
"""

import random
from typing import Final

from harness.history import Exchange
from harness.spec import load_spec
from scenarios.load import green
from scenarios.load.idempotency import PATIENCE_S, TRIES
from scenarios.load.scopes import challenge_scope
from scenarios.load.session import Token
from scenarios.load.work import Work

LANES: Final = 8  # scopes driven side by side
BEYOND: Final = 5  # requests at once beyond what is left
LAST: Final = 8  # challenges left when those one by one give way to all at once
MOST_AT_ONCE: Final = 48
MOST_SPARE: Final = 30  # requests beyond what should be left, until one is refused
COST: Final = 1.5  # requests for each challenge, with the replays and refusals in between
MOST_ONE_BY_ONE: Final = 40  # challenges of a scope; of a larger limit, those before them are asked for at once


def run(work: Work) -> None:
    """Drive each scope once, in the ways in turn, as far as time allows."""
    scopes: dict[int, list[Token]] = {}
    for token in work.tokens:
        scopes.setdefault(challenge_scope(work.session.profile, token.user), []).append(token)
    waiting = list(enumerate(scopes.values()))

    def lane() -> None:
        while waiting and not work.over:
            number, tokens = waiting.pop(0)
            _Scope(work, number, tokens).run()

    green.join([green.spawn(lane) for _ in range(_lanes(work, len(waiting)))])


def _lanes(work: Work, scopes: int) -> int:
    """As many scopes side by side as can reach their limit in the time there is: half-way to it none says anything."""
    pacers = {token.pacer for token in work.tokens}
    requests = sum(pacer.per_second for pacer in pacers) * (work.part.end_s - work.part.start_s)
    reached = requests / (COST * max(token.ledger.count for token in work.tokens))
    return int(max(1, min(LANES, scopes, reached)))


class _Scope:
    def __init__(self, work: Work, number: int, tokens: list[Token]) -> None:
        self.work = work
        self.rng: random.Random = work.rng(number)
        self.tokens = tokens
        self.ledger = tokens[0].ledger
        self.number = number
        self.refusals = 0

    def run(self) -> None:
        """One way to the limit, then what must hold at it."""
        ways = (self._rush, self._creep, self._lost)
        way = ways[self.number % len(ways)]
        way()
        self._until_refused()
        if self.work.over:
            return
        self._at_limit()
        self.work.done["scopes driven to the limit" if self.refusals else "scopes not refused"] += 1
        self.work.done[f"by {way.__name__.strip('_')}"] += 1

    def _token(self) -> Token:
        return self.rng.choice(self.tokens)

    def _rush(self) -> None:
        """As many at once as the rate allows, over both channels, up to some more than may be served."""
        while not self.work.over and not self.refusals:
            room = min(self._room(), MOST_AT_ONCE)
            left = self.ledger.left()
            if left + BEYOND <= room:
                if left > self._last():
                    self._volley(left - self._last())
                self._volley(min(left, self._last()) + BEYOND)
                return
            # The last volley should have what is left to win and more that must lose.
            self._volley(min(room, max(left - room + BEYOND, 1)))
            self._between()

    def _fill(self) -> None:
        """All at once until few enough are left to go one by one."""
        while not self.work.over and not self.refusals and self.ledger.left() > MOST_ONE_BY_ONE:
            self._volley(min(self._room(), MOST_AT_ONCE, self.ledger.left() - MOST_ONE_BY_ONE))
            self._between()

    def _creep(self) -> None:
        """One by one with replays and refusals in between, then the last ones at once."""
        self._fill()
        last = min(self._last(LAST // 2), self._room() - 1)
        while not self.work.over and not self.refusals and self.ledger.left() > last:
            if not self._one():
                return
            if self.rng.random() < 0.3:
                self._between()
        self._volley(min(self.ledger.left() + BEYOND, max(self._room(), 1)))

    def _lost(self) -> None:
        """All but one with their answers lost, each asked for again until it is there; then fresh ones until refused.

        Each ref counts once, whatever became of its first request: a refusal before the limit shows a hidden double.
        """
        self._fill()
        while not self.work.over and not self.refusals and self.ledger.left() > 1:
            token = self._token()
            if not token.pacer.take(1, self.work.deadline_ns) or not self.ledger.take():
                return
            channel, ref = self.rng.choice(token.user.usable), self.work.session.ref()
            call = self.work.call(token, channel, ref, also="409" if self.work.session.conflicts else "")
            lost = self.work.session.desk.cut(call, self.rng.choice(PATIENCE_S), reset=self.rng.random() < 0.5)
            self.work.session.remember(lost)
            for _ in range(TRIES):
                again = self.work.ask(token, self.work.call(token, channel, ref, "replay", also="409"))
                if again is None or again.outcome == "ok" or again.error_code == "CHALLENGE_LIMIT_EXCEEDED":
                    break
                self.work.nap(0.05)
            self.work.done["answers lost"] += 1

    def _until_refused(self) -> None:
        """What was lost before is taken to have been given, and may not have been: a few more may be served."""
        for _ in range(MOST_SPARE):
            if self.refusals or self.work.over or not self._one():
                return

    def _at_limit(self) -> None:
        """Replays are still served, fresh refs are not, and a refused ref is refused again."""
        self._between()
        self._one()
        self._between()

    def _last(self, most: int = 1 << 20) -> int:
        """How many challenges are left to the last volley: tokens that take two places at a time race for one only."""
        return 1 if len(self.tokens) > 1 else most

    def _room(self) -> int:
        """How many requests all tokens of the scope may send at once."""
        pacers = {token.pacer: token.pacer.capacity for token in self.tokens}
        return min(sum(pacers.values()), 1 << 20)

    def _volley(self, many: int) -> None:
        """Fresh refs at once, from all tokens of the scope, over their channels."""
        chosen = [self.tokens[number % len(self.tokens)] for number in range(max(many, 1))]
        calls = [
            self.work.call(token, token.user.usable[number % len(token.user.usable)], self.work.session.ref())
            for number, token in enumerate(chosen)
        ]
        self.ledger.take(min(len(calls), self.ledger.left()))
        self._seen(self.work.together(chosen, calls))
        self.work.done["volleys"] += 1

    def _one(self) -> bool:
        token = self._token()
        self.ledger.take()
        call = self.work.call(token, self.rng.choice(token.user.usable), self.work.session.ref())
        exchange = self.work.ask(token, call)
        self._seen([exchange] if exchange else [])
        return exchange is not None

    def _between(self) -> None:
        """What costs no challenge: a replay, and a channel that the user is not enrolled on."""
        token = self._token()
        if token.made:
            self.work.ask(token, self.work.call(token, *self.rng.choice(token.made), "replay"))
        for channel in load_spec().channels:
            if channel not in token.user.channels and channel not in token.user.unsupported:
                self.work.ask(token, self.work.call(token, channel, self.work.session.ref(), "unregistered"))

    def _seen(self, exchanges: list[Exchange]) -> None:
        self.refusals += sum(exchange.error_code == "CHALLENGE_LIMIT_EXCEEDED" for exchange in exchanges)
