"""Chooses what steady traffic sends next, and sends it by a schedule whether or not earlier requests have returned."""

from bisect import bisect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import accumulate
from time import monotonic_ns
from typing import Final

from harness.history import Exchange
from harness.spec import load_spec
from scenarios.load import green
from scenarios.load.rows import Call
from scenarios.load.session import Token
from scenarios.load.work import Work

LOOKED_AT: Final = 64  # tokens tried for one arrival before it is held back
# Of a challenge limit that background leaves: a user's to itself, so that fresh refs last; a programme's to others.
KEPT: Final = {"user": 0.25, "programme": 0.75}
OVERTIME_NS: Final = 10**9  # after the end, in which arrivals are sent that were due before it
BEHIND: Final = 4096  # arrivals sent in one go after a pause, before others get their turn


@dataclass
class Offered:
    """What became of the arrivals of a schedule: how many were `due`, `held_back` for a limit, `left_out` as too many
    waited already; how many ns each was dealt with late."""

    due: int = 0
    held_back: int = 0
    left_out: int = 0
    late: list[int] = field(default_factory=list)


def offer(
    work: Work, traffic: "Traffic", offsets: Iterable[int], start_ns: int, end_ns: int,
    answered: Callable[[Exchange], None],
) -> Offered:  # fmt: skip
    """Send at these offsets (ns) from `start_ns`; gives up a while after `end_ns`, and when the load is stopped."""
    offered, desk, backlog = Offered(), work.session.desk, work.part.stage.backlog
    lately = work.session.late
    many = 0
    for offset in offsets:
        due = start_ns + offset
        while (early := due - monotonic_ns()) > 0:
            green.sleep(early / 1e9)
        if desk.stopped or work.session.enough or monotonic_ns() > end_ns + OVERTIME_NS:
            break
        offered.due += 1
        offered.late.append(-early)
        lately.append(-early)
        full = 0 < backlog <= desk.backlog()
        call = None if full else traffic.next()
        if call is None:
            offered.left_out += full
            offered.held_back += not full
        else:
            desk.fire(call, answered, due, patient=True)
        many = many + 1 if early <= 0 else 0
        if many % BEHIND == BEHIND - 1:
            green.sleep(0)
    return offered


class Traffic:
    """Chooses what is sent next."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._rng = work.rng("traffic")
        self._random = self._rng.random
        self._tokens = list(work.tokens)
        self._rng.shuffle(self._tokens)
        self._place = 0
        weights = work.part.stage.weights
        makers: dict[str, Callable[[Token], Call | None]] = {
            "replay": self._replay, "fresh": self._fresh, "near": self._near, "refused": self._refused,
        }  # fmt: skip
        self._makers = [makers[name] for name in weights]
        self._weights = list(accumulate(weights.values()))

    def next(self) -> Call | None:
        """The next call, of a token whose rate leaves room for it; None when there is none."""
        token = self._free_token()
        if token is None:
            return None
        make = self._makers[bisect(self._weights, self._random() * self._weights[-1], 0, len(self._weights) - 1)]
        call = make(token) or self._fresh(token) or self._replay(token) or self._refused(token)
        if call is None:
            token.pacer.cancel()
        return call

    def answered(self, exchange: Exchange) -> None:
        if exchange.intent == "valid":
            self._work.session.remember(exchange)

    def _free_token(self) -> Token | None:
        for _ in range(min(LOOKED_AT, len(self._tokens))):
            self._place = (self._place + 1) % len(self._tokens)
            token = self._tokens[self._place]
            if token.pacer.try_take():
                return token
        return None

    def _replay(self, token: Token) -> Call | None:
        made = token.made
        if not made:
            return None
        chosen = made[int(self._random() * len(made))]
        call = token.replays.get(chosen)
        if call is None:  # most of what is sent has been sent before, so its bytes are kept
            call = token.replays[chosen] = self._work.call(token, *chosen, "replay")
        return call

    def _fresh(self, token: Token) -> Call | None:
        limit = self._work.session.profile.challenges
        keep = int(limit.count * KEPT[limit.scope]) if limit else 0
        if not self._work.session.may_begin(token, keep):
            return None
        return self._work.call(token, self._rng.choice(token.user.usable), self._work.session.ref())

    def _near(self, token: Token) -> Call | None:
        if not token.made or self._work.session.rejects or not self._work.session.may_begin(token):
            return None
        channel, ref = self._rng.choice(token.made)
        near = ref[:-1] + self._rng.choice("XYZ")
        # The token's refs are its own, but a near one may have been sent before: then it is a replay, and as good.
        return self._work.call(token, channel, near)

    def _refused(self, token: Token) -> Call | None:
        """A channel that the user is not enrolled on, or that the programme does not offer."""
        for channel in load_spec().channels:
            if channel in token.user.unsupported:
                return self._work.call(token, channel, self._work.session.ref(), "unsupported")
            if channel not in token.user.channels:
                return self._work.call(token, channel, self._work.session.ref(), "unregistered")
        return None
