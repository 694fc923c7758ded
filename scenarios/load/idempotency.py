"""Idempotency under concurrency: one ref many times at once, again later, after a lost answer, and nearly the same.

Exercises idempotent-replay, -concurrent, -after-unknown, -scope, ref-exact, ref-not-spent-by-refusal, no-ref-no-replay,
challenge-id-unique. Wants hundreds of bursts: bursts of 2 to 16 duplicates within 1 ms of each other see a
look-then-write gap of 1 ms with 95 % after some 30, one of 0.1 ms after some 300.
"""

import random
from collections import Counter
from collections.abc import Callable
from time import monotonic_ns
from typing import Final

from harness.history import Exchange
from scenarios.load import green
from scenarios.load.session import LONG_REF, PLAIN_REF, Token
from scenarios.load.work import Work

LANES: Final = 6  # greenlets, each with tokens of its own
RATE: Final = 40.0  # groups a second where the plan does not say
SIZES: Final = (2, 2, 3, 4, 6, 8, 8, 12, 16)  # duplicates of a burst; 8 to 16 see most for what they cost
SPREAD_NS: Final = 20_000_000
PATIENCE_S: Final = (0.0, 0.0, 0.0, 0.0005, 0.002, 0.005, 0.02)  # how long a caller waits that gives up
TRIES: Final = 6  # of a retry, until it gets a definite answer
CUT_SHARE: Final = 4  # one token in so many is used for lost answers: those may count against limits for ever


def run(work: Work) -> None:
    """Work in lanes until the part's end."""
    persons = list(dict.fromkeys(token.user.person for token in work.tokens))
    lanes = max(1, min(LANES, len(persons)))
    dealt = [frozenset(persons[number::lanes]) for number in range(lanes)]
    green.join([green.spawn(_Lane(work, number, lanes, mine).run) for number, mine in enumerate(dealt)])


class _Lane:
    """One greenlet's tokens, used in turn; each group of requests is about one ref or a few."""

    def __init__(self, work: Work, number: int, lanes: int, here: frozenset[int]) -> None:
        self.work = work
        self.rng = work.rng(number)
        self.pause_s = lanes / (work.part.stage.rate or RATE)
        mine = [token for token in work.tokens if token.user.person in here]
        logins = Counter(token.user.person for token in mine)
        single = [token for token in mine if logins[token.user.person] == 1] or mine
        cuts = work.part.cuts
        self.cut = mine if cuts == "only" else single[::CUT_SHARE] if cuts == "some" and len(mine) > 1 else []
        self.whole = [] if cuts == "only" else [token for token in mine if token not in self.cut]
        self.several = [token for token in self.whole if logins[token.user.person] > 1]
        self.kinds = self._order()

    def _order(self) -> list[Callable[[], bool]]:
        """Kinds of groups, each early once, so that a small budget of challenges sees them all; then by weight."""
        if not self.whole:
            return [self._lost]
        each = [self._burst, self._channels, self._near, self._persons, self._no_ref, self._spread, self._revisit]
        each += [self._logins] if self.several else []
        each += [self._near, self._near] if self.work.session.rejects else []  # one at a time, where else it is two
        weighted = (
            [self._burst] * 10 + [self._revisit] * 3 + [self._spread] * 2 + each + [self._lost] * (4 if self.cut else 0)
        )
        self.rng.shuffle(weighted)
        return [self._burst, *([self._lost] if self.cut else []), *each[1:], *weighted]

    def run(self) -> None:
        turn = 0
        due = self.work.start_ns + round(self.rng.random() * self.pause_s * 1e9)
        while not self.work.over and self.work.nap((due - monotonic_ns()) / 1e9):
            # A group that could do nothing (no rate or no challenge left for its tokens) lets others go first.
            if not self.kinds[turn % len(self.kinds)]():
                self.work.nap()
            turn += 1
            if turn == len(self.kinds):
                self.rng.shuffle(self.kinds)
            due = max(due + round(self.pause_s * 1e9), monotonic_ns() - round(self.pause_s * 1e9))

    def _next(self, many: int, among: list[Token] | None = None, *, free: bool = False) -> Token | None:
        """The next token whose rate leaves so many requests now; `free`: one without a pending challenge in its way."""
        tokens = self.whole if among is None else among
        for _ in range(len(tokens)):
            token = tokens.pop(0)
            tokens.append(token)
            if free and monotonic_ns() < token.free_at:
                continue
            if token.pacer.free() >= min(many, token.pacer.capacity):
                return token
        return None

    def _channel(self, token: Token) -> str:
        return self.rng.choice(token.user.usable)

    def _fresh(self, token: Token, channel: str) -> tuple[str, str, str]:
        """Channel, ref and intent of a new operation, or of an old one where no challenge may be asked for."""
        if self.work.session.may_begin(token):
            return channel, self.work.session.ref(), "valid"
        if token.made:
            return *self.rng.choice(token.made), "replay"
        return channel, "", ""

    def _burst(self, spread: bool = False) -> bool:
        size = self.rng.choice(SIZES)
        token = self._next(size + 1)
        if token is None:
            return False
        size = min(size, max(token.pacer.capacity - 1, 1))
        channel, ref, intent = self._fresh(token, self._channel(token))
        if not intent:
            return False
        offsets = sorted(self.rng.randrange(SPREAD_NS) for _ in range(size)) if spread else ()
        self._duplicates(token, channel, ref, intent, size, offsets)
        if self.rng.random() < 0.5:
            self._again(token, channel, ref)
        return True

    def _spread(self) -> bool:
        return self._burst(spread=True)

    def _duplicates(
        self, token: Token, channel: str, ref: str, intent: str, size: int, spread: list[int] | tuple[()] = ()
    ) -> list[Exchange]:
        """The same call `size` times at once; what is recorded as the first decides nothing."""
        call = self.work.call(token, channel, ref, intent, self._also())
        exchanges = self.work.together([token] * size, [call] * size, spread)
        self.work.done["bursts"] += bool(exchanges) and size > 1
        self.work.done["duplicates"] += len(exchanges)
        if any(exchange.status == 429 for exchange in exchanges):
            self._again(token, channel, ref)
        return exchanges

    def _also(self) -> str:
        return "409" if self.work.session.conflicts else ""

    def _again(self, token: Token, channel: str, ref: str) -> bool:
        self.work.done["replays"] += 1
        return self.work.ask(token, self.work.call(token, channel, ref, "replay")) is not None

    def _revisit(self) -> bool:
        """Old refs again, of any age, one after another over whatever connections are free."""
        token = self._next(4)
        if token is None or not token.made:
            return False
        for _ in range(min(self.rng.randrange(1, 5), token.pacer.capacity)):
            self._again(token, *self.rng.choice(token.made))
        return True

    def _channels(self) -> bool:
        """One ref on both channels at once: two operations."""
        token = self._next(4)
        if token is None or len(token.user.usable) < 2 or token.pacer.capacity < 2 or self.work.session.rejects:
            return False
        if not self.work.session.may_begin(token, many=2):
            return False
        ref = self.work.session.ref()
        calls = [self.work.call(token, channel, ref, also=self._also()) for channel in token.user.usable]
        size = min(2, token.pacer.capacity // len(calls)) * len(calls)
        self.work.together([token] * size, (calls * 2)[:size])
        self.work.done["same ref, other channel"] += 1
        return True

    def _persons(self) -> bool:
        """One ref of two users at once: two operations, and nobody is given the other's challenge."""
        first, second = self._next(2, free=True), self._next(2, free=True)
        if first is None or second is None or first.user.person == second.user.person:
            return False
        shared = [channel for channel in first.user.usable if channel in second.user.usable]
        if not shared or not (self.work.session.may_begin(first) and self.work.session.may_begin(second)):
            return False
        ref, channel = self.work.session.ref(), self.rng.choice(shared)
        if first.pacer is second.pacer and first.pacer.capacity < 2:
            return False
        self.work.together(
            [first, second], [self.work.call(token, channel, ref, also=self._also()) for token in (first, second)]
        )
        self.work.done["same ref, other user"] += 1
        return True

    def _logins(self) -> bool:
        """One ref by two tokens of one person, at once or in turn: one operation, as refs are the person's."""
        first = self._next(4, self.several)
        if first is None or self.work.session.rejects:  # whose challenge is pending would depend on who came first
            return False
        others = [one for one in self.several if one.user.person == first.user.person and one is not first]
        if not others:
            return False
        other = others[0]
        shared = [channel for channel in first.user.usable if channel in other.user.usable]
        if not shared or first.pacer.capacity < 4 or not self.work.session.may_begin(first):
            return False
        ref, channel, pair = self.work.session.ref(), self.rng.choice(shared), [first, other]
        calls = [self.work.call(token, channel, ref, also=self._also()) for token in pair]
        if self.rng.random() < 0.5:
            self.work.together(pair, calls)
        else:
            _ = [self.work.ask(token, call) for token, call in zip(pair, calls, strict=True)]
        self._again(self.rng.choice(pair), channel, ref)
        self.work.done["same ref, other login"] += 1
        return True

    def _near(self) -> bool:
        """A ref and one that differs in as little as possible, at once or one after another: two operations."""
        if self.work.session.rejects:
            return self._near_old()
        token = self._next(3)
        if token is None or token.pacer.capacity < 2:
            return False
        if not self.work.session.may_begin(token, many=2):
            return False
        channel = self._channel(token)
        first, second, intent = near_refs(
            self.work.session.ref(), self.work.session.profile.policy.longest_ref, self.rng
        )
        calls = [self.work.call(token, channel, ref, intent) for ref in (first, second)]
        if self.rng.random() < 0.5:
            self.work.together([token] * 2, calls)
        else:
            _ = [self.work.ask(token, call) for call in calls]
        self._again(token, channel, self.rng.choice((first, second))) if intent == "valid" else None
        self.work.done["nearly the same refs"] += 1
        return True

    def _near_old(self) -> bool:
        """Where a token has one challenge at a time: a ref that is nearly an earlier one, and that one again."""
        token = self._next(2, free=True)
        if token is None or not token.made or not self.work.session.may_begin(token):
            return False
        channel, ref = self.rng.choice(token.made)
        near = self.rng.choice((ref.swapcase(), ref[:-1] + ("x" if ref[-1] != "x" else "y")))
        self.work.ask(token, self.work.call(token, channel, near))
        self._again(token, channel, ref)
        self.work.done["nearly the same refs"] += 1
        return True

    def _no_ref(self) -> bool:
        """Two requests without a ref: two operations."""
        token = self._next(2)
        if token is None or self.work.session.rejects or not self.work.session.may_begin(token, many=2):
            return False
        call = self.work.call(token, self._channel(token), None)
        if self.rng.random() < 0.5 and token.pacer.capacity >= 2:
            self.work.together([token] * 2, [call] * 2)
        else:
            _ = [self.work.ask(token, call) for _ in range(2)]
        self.work.done["without ref"] += 2
        return True

    def _lost(self) -> bool:
        """A caller that gives up, once or more, and asks again at once with the same ref until it gets an answer."""
        token = self._next(4, self.cut)
        if token is None:
            return False
        channel, ref, intent = self._fresh(token, self._channel(token))
        if intent != "valid":
            return self._again(token, channel, ref) if intent else False
        for number in range(self.rng.choice((1, 1, 2, 3))):
            if not token.pacer.take(1, self.work.deadline_ns):
                return True
            call = self.work.call(token, channel, ref, "replay" if number else "valid", self._also())
            lost = self.work.session.desk.cut(call, self.rng.choice(PATIENCE_S), reset=self.rng.random() < 0.5)
            self.work.session.remember(lost)
        self.work.done["answers lost"] += 1
        size = 2 if self.rng.random() < 0.4 and token.pacer.capacity >= 2 else 1
        self._duplicates(token, channel, ref, "replay", size)
        self._until_definite(token, channel, ref)
        return True

    def _until_definite(self, token: Token, channel: str, ref: str) -> None:
        for _ in range(TRIES):
            exchange = self.work.ask(token, self.work.call(token, channel, ref, "replay", self._also()))
            if exchange is None or exchange.outcome == "ok":
                self.work.done["answers found again"] += exchange is not None
                return
            if exchange.status not in (0, 409, 429) and exchange.status < 500:
                return
            self.work.nap(0.05)


def near_refs(ref: str, longest: int | None, rng: random.Random) -> tuple[str, str, str]:
    """Two refs that are nearly the same, and their intent: long ones may be refused where the target does not say."""
    room = longest or PLAIN_REF
    ways = [(ref, ref.swapcase()), (ref, ref[:-1] + ("x" if ref[-1] != "x" else "y"))]
    if len(ref) < room:
        ways += [(ref, ref + "0"), (ref, "0" + ref), (ref.ljust(room, "-"), ref.ljust(room - 1, "-") + "_")]
    if longest is None:
        ways.append((ref.ljust(LONG_REF - 1, "-") + "a", ref.ljust(LONG_REF - 1, "-") + "b"))
    first, second = rng.choice(ways)
    return first, second, "ref-odd" if len(second) > room else "valid"
