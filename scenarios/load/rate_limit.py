"""The rate limit from below, at and above it: each scope is driven on a schedule of its own by one greenlet.

Exercises rate-limit-upper, -lower, -retry-after, -isolated, -recovers, -no-effect. To say what a target's true limit is
a history needs windows that were filled to the count and refusals after exactly that many: each pattern below gives
one or the other whatever the algorithm is, and wants some five occasions on at least two scopes.
"""

import random
from collections.abc import Callable
from math import ceil
from time import monotonic_ns
from typing import Final

from harness.history import Exchange
from harness.spec import load_spec
from scenarios.load import green
from scenarios.load.rows import Call
from scenarios.load.scopes import rate_scope, windows_of
from scenarios.load.session import Token
from scenarios.load.work import Work

SCOPES: Final = 6  # driven side by side
FASTEST: Final = 4000  # requests a second that one process can send to one scope beside its other work
PROBES: Final = 6  # requests one by one at the edge of the limit
OUTRUN: Final = 2.5  # times the limit, at which it is filled at least
LONGEST_NS: Final = 2 * 10**9  # that filling it may take
MOST_LANES: Final = 8  # requests under way at a time while it is filled; a higher limit is filled at once first
IN_A_ROW: Final = 50  # refusals, as a client makes them that comes back at once
ASKED: Final = 60  # requests after the limit was used up at once, until surely a window has passed
EACH: Final = 50  # parts of a window between them: a window that ends early by more than one of these is seen
OTHERWISE: Final = 3  # one call in so many is on a channel that the user has, as long as there is room for challenges
KEPT: Final = 1  # challenges that are left alone
QUIET_S: Final = 0.25  # between requests of the scope that must not be refused


def run(work: Work) -> None:
    """Drive some scopes to their limit and keep one quiet, until the part's end."""
    scopes: dict[int, list[Token]] = {}
    for token in work.tokens:
        scopes.setdefault(rate_scope(work.session.profile, token.user), []).append(token)
    # Persons with several tokens are driven: a limit kept for each token would else go unseen.
    quiet = scopes.pop(min(scopes, key=lambda one: (len(scopes[one]), -one))) if len(scopes) > 1 else []
    lanes = [_Scope(work, number, tokens).run for number, tokens in list(scopes.items())[:SCOPES]]
    green.join([green.spawn(lane) for lane in lanes] + [green.spawn(_keep_quiet, work, quiet)])


def _keep_quiet(work: Work, tokens: list[Token]) -> None:
    """Far below the limit while others are above theirs: none of these may be refused."""
    calls = _Calls(work, tokens, work.rng("quiet"))
    while tokens and work.nap(max(QUIET_S, 3 * tokens[0].pacer.window_ns / 1e9 / max(tokens[0].pacer.count, 1))):
        token, call = calls.next()
        if token.pacer.try_take():
            work.session.desk.ask(call)
            work.done["quiet requests"] += 1


class _Calls:
    """What is sent: requests that surely count. Fresh refs do, with a challenge or without; replays where declared."""

    def __init__(self, work: Work, tokens: list[Token], rng: random.Random) -> None:
        self._work = work
        self._tokens = tokens
        self._rng = rng
        self._place = 0
        rate = work.session.profile.rate
        self._replays = rate is not None and rate.counts_replays is True
        self._also = "409:STATE_INVALID" if work.session.rejects else ""

    def next(self) -> tuple[Token, Call]:
        self._place += 1
        token = self._tokens[self._place % len(self._tokens)]
        if self._replays and token.made and self._rng.random() < 0.5:
            return token, self._work.call(token, *self._rng.choice(token.made), "replay")
        for channel in load_spec().channels:
            # 409 costs no challenge, and is counted like any other answer; some calls of the other channel are as well.
            lacking = channel not in token.user.channels and channel not in token.user.unsupported
            if lacking and (self._place % OTHERWISE or token.ledger.left() <= KEPT):
                return token, self._work.call(token, channel, self._work.session.ref(), "unregistered")
        token.ledger.take()
        channel = self._rng.choice(token.user.usable)
        return token, self._work.call(token, channel, self._work.session.ref(), "valid", self._also)


class _Scope:
    """One scope: patterns of requests, in an order of its own, with a rest before each that empties its window."""

    def __init__(self, work: Work, number: int, tokens: list[Token]) -> None:
        rate = work.session.profile.rate
        assert rate is not None
        self.work = work
        self.rng = work.rng("scope", number)
        self.calls = _Calls(work, tokens, self.rng)
        self.count, self.window_ns = windows_of(rate)
        self.interval_ns = rate.window_ns // rate.count
        self.step_ns = work.session.profile.target.clock_step_ns
        self.under_way = self.asked = self.refusals = 0
        self.refused: Exchange | None = None
        self.open = True
        self.number = number
        self.pacer = tokens[0].pacer
        self.patterns = [
            self._edge, self._burst, self._come_back, self._rush, self._burst, self._hammer, self._edge, self._steady,
            self._burst, self._over,
        ]  # fmt: skip

    def run(self) -> None:
        turn = self.number  # each scope begins elsewhere, so that a short stage sees most of them
        while not self.work.over:
            pattern: Callable[[], None] = self.patterns[turn % len(self.patterns)]
            if turn > self.number or not self.pacer.idle():
                self._rest()
            if self.work.over:
                return
            self.work.done[pattern.__name__.strip("_")] += 1
            pattern()
            self._settle()
            turn += 1

    def _began(self) -> None:
        self.under_way += 1
        self.asked += 1
        self.work.done["requests at the limit"] += 1

    def _fire(self, due: int = 0) -> None:
        self._began()
        self.work.session.desk.fire(self.calls.next()[1], self._answered, due)

    def _answered(self, exchange: Exchange) -> None:
        self.under_way -= 1
        self.work.session.remember(exchange)
        if exchange.status == 429:
            self.refused = exchange
            self.refusals += 1
            self.work.done["refusals"] += 1

    def _at_once(self, many: int) -> None:
        """As fast as can be; many of them are under way at a time."""
        for number in range(many):
            self._fire()
            if number % 50 == 49:
                green.sleep(0)

    def _spaced(self, many: int, gap_ns: int) -> None:
        """On an even schedule, whatever the answers are."""
        start = monotonic_ns()
        for number in range(many):
            due = start + number * gap_ns
            while (early := due - monotonic_ns()) > 0:
                green.sleep(early / 1e9)
            if self.work.over:
                return
            self._fire(due)

    def _settle(self) -> None:
        """Wait for all answers."""
        while self.under_way and self.work.nap(0.002):
            pass

    def _one_by_one(self, many: int) -> None:
        for _ in range(many):
            if self.work.over:
                return
            self._fire()
            self._settle()

    def _rest(self) -> None:
        """Longer than the window, by a random part of it: what follows begins at any phase of a fixed window."""
        self.work.nap((self.window_ns * (1.05 + 0.5 * self.rng.random()) + 2 * self.step_ns) / 1e9)

    def _edge(self) -> None:
        """The first refusal with little under way tells what the limit is, and more of them that it holds."""
        self._fill()
        self._one_by_one(PROBES)

    def _fill(self) -> None:
        """Until something is refused, and no faster than it takes to outrun the limit, so that little is under way."""
        began, refused = monotonic_ns(), self.refusals
        self._one_by_one(PROBES)
        each_ns = (monotonic_ns() - began) / PROBES
        lanes = ceil(self.count * each_ns / min(self.window_ns / OUTRUN, LONGEST_NS))
        if lanes > MOST_LANES:
            self._at_once(self.count - 1 - PROBES)
            self._settle()
        most = self.asked + 3 * self.count

        def lane() -> None:
            while self.asked < most and self.refusals == refused and not self.work.over:
                self._began()
                self._answered(self.work.session.desk.ask(self.calls.next()[1]))

        green.join([green.spawn(lane) for _ in range(min(lanes, MOST_LANES))])

    def _burst(self) -> None:
        """Half as many again as may be served, at once; then one at a time for longer than a window.

        The limit is used up in a moment that is known well, and so is the moment when more is admitted: whatever the
        way of counting, a window that is too short shows within one or two of these.
        """
        self._at_once(self.count + max(self.count // 2, 1))
        self._settle()
        self._spaced(ASKED, self.window_ns // EACH)

    def _hammer(self) -> None:
        """Refused many times in a row: a target that shuts callers out for that, and for longer, is seen then."""
        self._fill()
        self._at_once(IN_A_ROW)
        self._settle()
        self._rest()
        self._one_by_one(1)

    def _rush(self) -> None:
        """Three times the count over a window, from idle."""
        many = 3 * self.count
        if many * 10**9 / self.window_ns > FASTEST:
            self._burst()
            return
        self._spaced(many, self.window_ns // many)

    def _steady(self) -> None:
        """Just under the limit for two windows: none may be refused."""
        gap = max(round(self.interval_ns / 0.9), self.interval_ns + 1)
        self._spaced(max(2, 2 * self.window_ns // gap), gap)

    def _over(self) -> None:
        """Twice the limit for two windows."""
        gap = max(self.interval_ns // 2, 10**9 // FASTEST)
        self._spaced(max(2, 2 * self.window_ns // gap), gap)

    def _come_back(self) -> None:
        """Refused, waiting as long as Retry-After says, and not a moment more; then again after a whole window."""
        self._fill()
        # Only a refusal that was asked for when nothing else was under way says clearly when to come back.
        self.refused = None
        for _ in range(PROBES):
            if self.refused is None:
                self._one_by_one(1)
        refused = self.refused
        if refused is None:
            return
        told = refused.retry_after or ""
        if told.isascii() and told.isdigit():
            back = refused.received + int(told) * 10**9 + 2 * self.step_ns + round(2.5e-4 * int(told) * 1e9)
            if back < self.work.deadline_ns:
                self.work.nap((back - monotonic_ns()) / 1e9)
                while monotonic_ns() < back:
                    green.sleep(0.0005)
                self._one_by_one(1)
                self.work.done["came back as told"] += 1
        self._rest()
        self._one_by_one(1)
