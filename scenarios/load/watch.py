"""Sees when a target is gone for good, so that a load does not go on for hours against nothing."""

from time import monotonic_ns
from typing import Final

from harness.history import Exchange
from harness.history.columns import GIVEN_UP

REFUSED_S: Final = 10.0  # without an answer while every connection is refused; a service restarts in less
FEWEST: Final = 5  # requests that must have failed meanwhile


class Watch:
    """`gone` is a sentence once the target has answered nothing for too long, '' until then."""

    def __init__(self) -> None:
        self.gone = ""
        self.restart(10.0)

    def restart(self, timeout_s: float) -> None:
        """A new turn, in which an answer is waited for so long."""
        self.gone = ""
        self._timeout_s = timeout_s
        self._answered = monotonic_ns()
        self._failed = 0
        self._reached = 0
        self._last = ""

    def note(self, exchange: Exchange) -> None:
        """Take one exchange into account."""
        if exchange.status:
            self._answered = exchange.received
            if self._failed:
                self._failed = self._reached = 0
        elif not exchange.error.startswith(GIVEN_UP):
            self._failed += 1
            self._reached += not exchange.error.startswith("connect")
            self._last = exchange.error

    def look(self) -> bool:
        """Whether the target is gone."""
        silent_s = (monotonic_ns() - self._answered) / 1e9
        patience_s = REFUSED_S if not self._reached else self._timeout_s + REFUSED_S
        if self._failed >= FEWEST and silent_s > patience_s:
            self.gone = f"no answer for {silent_s:.0f} s, {self._failed:,} requests failed; the last: {self._last}"
        return bool(self.gone)
