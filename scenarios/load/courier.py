"""Brings the records of a worker on another host to the master, which keeps its shard: no shared disk is needed."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from locust.exception import RPCError

from harness.history import Exchange, Recorder
from harness.history.columns import COLUMNS
from harness.history.recorder import BATCH, FROM_TARGET
from harness.profile import Profile
from harness.redact import Redactor
from scenarios.load.clock import Clock

MOST_KEPT: Final = 500_000  # rows kept while the master cannot be reached; beyond it rows are lost, and counted as such
_PLACES: Final = tuple(COLUMNS.index(name) for name in FROM_TARGET)


class Courier(Recorder):
    """A recorder whose shard is the master's: batches of rows go there, redacted, in the master's time.

    The two clocks are known to differ by `offset_ns` give or take `error_ns`, so each exchange's interval from send to
    receive is widened by the error on both sides: a rule that may only blame what no placement in the interval explains
    stays right.
    """

    def __init__(self, redactor: Redactor, clock: Clock, send: Callable[[list[list[Any]]], object]) -> None:
        self.recorded = 0
        self._redactor = redactor
        self._clock = clock
        self._send = send
        self._kept: list[Exchange] = []

    def add(self, exchange: Exchange) -> None:
        """Keep one exchange; it goes with the next batch."""
        offset, error = self._clock.offset_ns, self._clock.error_ns
        self._kept.append(
            exchange._replace(
                intended=exchange.intended + offset - error,
                sent=exchange.sent + offset - error,
                received=exchange.received + offset + error,
            )
        )
        if len(self._kept) >= BATCH:
            self.flush()

    def write(self, columns: Mapping[str, Any]) -> None:
        """Keep rows that are given as columns: tuples, or arrays of numbers."""
        plain = [column.tolist() if isinstance(column := columns[name], np.ndarray) else column for name in COLUMNS]
        for row in zip(*plain, strict=True):
            self.add(Exchange(*row))

    def flush(self) -> None:
        """Send what has gathered; it is kept for the next time where the master cannot be reached."""
        rows, self._kept = self._kept, []
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            try:
                self._send([self._cleaned_row(row) for row in batch])
            except RPCError:
                self._kept = rows[start:][-MOST_KEPT:]
                return
            self.recorded += len(batch)

    def close(self, *, sent: int, engine: int | None = None) -> None:  # noqa: ARG002  the master hears them by itself
        """Send the rest; the master ends the shard when it is told the counts."""
        self.flush()

    def _cleaned_row(self, row: Exchange) -> list[Any]:
        values: list[Any] = list(row)
        for place in _PLACES:
            if values[place] and self._redactor.holds(values[place]):
                values[place] = self._redactor.clean(values[place])
        return values


class Collector:
    """The master's side: a shard for each worker of another host."""

    def __init__(self, profile: Profile, folder: Any) -> None:
        self._redactor = Redactor(profile.secrets())
        self._folder = folder
        self._recorders: dict[str, Recorder] = {}

    def open(self, worker: str) -> None:
        """Begin a worker's shard; it counts as lost until it is closed."""
        self._recorders[worker] = Recorder(self._folder, "load", worker, self._redactor)

    def take(self, worker: str, rows: list[list[Any]]) -> None:
        """Keep a batch of a worker's rows."""
        recorder = self._recorders[worker]
        for row in rows:
            recorder.add(Exchange(*row))
        recorder.flush()

    def close(self, worker: str, sent: int, engine: int) -> None:
        """End a worker's shard: it has told how many exchanges it sent, and how many its engine counted."""
        recorder = self._recorders.pop(worker, None)
        if recorder is not None:
            recorder.close(sent=sent, engine=engine)
