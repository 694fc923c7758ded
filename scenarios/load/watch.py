"""Sees when a target is gone for good, so that a load does not go on for hours against nothing."""

from collections.abc import Sequence
from itertools import takewhile
from time import monotonic_ns
from typing import Final

from harness.history.columns import GIVEN_UP
from scenarios.load.rows import Row

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

    def note(self, rows: Sequence[Row]) -> None:
        """Take these into account, which have ended in this order; usually the last one was answered."""
        since = list(takewhile(lambda row: not row.said.status, reversed(rows)))
        if len(since) < len(rows):
            self._answered = rows[-1 - len(since)].received
            self._failed = self._reached = 0
        errors = [row.said.error for row in since if not row.said.error.startswith(GIVEN_UP)]
        self._failed += len(errors)
        self._reached += sum(not error.startswith("connect") for error in errors)
        self._last = errors[0] if errors else self._last

    def look(self) -> bool:
        """Whether the target is gone."""
        silent_s = (monotonic_ns() - self._answered) / 1e9
        patience_s = REFUSED_S if not self._reached else self._timeout_s + REFUSED_S
        if self._failed >= FEWEST and silent_s > patience_s:
            self.gone = f"no answer for {silent_s:.0f} s, {self._failed:,} requests failed; the last: {self._last}"
        return bool(self.gone)
