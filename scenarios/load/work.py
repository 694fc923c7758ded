"""One scenario at work: its part of the deal, its random numbers, and helpers that every scenario needs."""

import random
from collections import Counter
from collections.abc import Sequence
from time import monotonic_ns
from typing import Final

from harness.history import Exchange
from scenarios.load import green
from scenarios.load.part import Part
from scenarios.load.phases import Phase
from scenarios.load.rows import Call
from scenarios.load.session import Session, Token

IDLE_S: Final = 0.01  # how long a scenario waits that can do nothing at the moment


class Work:
    """What a scenario's `run` gets. `done` counts the occasions it made, by name; `phases` are those of steady traffic,
    `findings` sentences."""

    def __init__(self, part: Part, session: Session, start_ns: int) -> None:
        self.part = part
        self.session = session
        self.scenario = part.stage.scenario
        self.tokens = [session.token(index) for index in part.users]
        self.start_ns = start_ns + round(part.start_s * 1e9)
        self.deadline_ns = start_ns + round(part.end_s * 1e9)
        self.done: Counter[str] = Counter()
        self.phases: list[Phase] = []
        self.findings: list[str] = []

    @property
    def over(self) -> bool:
        return monotonic_ns() >= self.deadline_ns or self.session.desk.stopped or self.session.enough

    def rng(self, *names: object) -> random.Random:
        """Random numbers of this part, the same again for the same seed."""
        return self.session.rng(self.scenario, self.part.start_s, *names)

    def call(self, token: Token, channel: str, ref: str | None, intent: str = "valid", also: str = "") -> Call:
        return self.session.call(token, channel, ref, self.scenario, intent, also)

    def ask(self, token: Token, call: Call) -> Exchange | None:
        """Send a call when the token's rate allows it, and wait; None when there is no time left."""
        if not token.pacer.take(1, self.deadline_ns):
            return None
        exchange = self.session.desk.ask(call)
        self.session.remember(exchange)
        return exchange

    def together(self, tokens: Sequence[Token], calls: Sequence[Call], spread: Sequence[int] = ()) -> list[Exchange]:
        """Send calls at one moment when the rates of their tokens allow it; empty when there is no time left."""
        needs = Counter(token.pacer for token in tokens)
        for pacer, many in needs.items():
            if not pacer.take(many, self.deadline_ns):
                return []
        exchanges = self.session.desk.together(calls, spread)
        for exchange in exchanges:
            self.session.remember(exchange)
        return exchanges

    def nap(self, seconds: float = IDLE_S) -> bool:
        """Wait, but not beyond the end; whether there is time left."""
        green.sleep(min(seconds, max((self.deadline_ns - monotonic_ns()) / 1e9, 0.0)))
        return not self.over
