"""Writes the exchanges of one process into a shard of its own: an Arrow stream whose flushed part survives a kill."""

import io
import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from harness.errors import HarnessError
from harness.history.columns import COLUMNS, RECORDED, VERSION, Exchange
from harness.redact import Redactor

# Only these columns hold text that the target wrote, and a target may echo what it was sent.
FROM_TARGET = ("error_code", "challenge_id", "retry_after", "body_fault", "error", "headers", "body")
BUFFER = 1 << 20  # bytes; a batch is dozens of small pieces, which go to the system in one write
BATCH = 512  # rows; writing them takes about 0.5 ms, which is what a flush may add to one request's latency
# Columns that hardly ever say the same in each row of a batch.
_VARIED = frozenset({"user", "key", "ref", "intended", "sent", "received", "challenge_id", "connection"})
_REMEMBERED = 256  # arrays of columns that do


@dataclass(frozen=True)
class Tally:
    """What one process says of its own shard: `sent` counted by its client, `recorded` by its recorder.

    `engine` is what the load engine's own statistics count, None where there is no such engine. `clean` is False until
    the process has closed its shard, so a process that was killed is known by it.
    """

    stage: str
    worker: str
    host: str
    pid: int
    sent: int = 0
    recorded: int = 0
    engine: int | None = None
    clean: bool = False

    def write(self, folder: Path) -> None:
        """Write or replace the tally's file; a reader sees the old one or the new one, never a part."""
        path = folder / f"{self.stage}-{self.worker}.tally.json"
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps({"version": VERSION, **asdict(self)}))
        fresh.replace(path)


class Recorder:
    """The one writer of a shard. `add` costs a list append; every `BATCH` rows are written out together."""

    def __init__(
        self, folder: Path, stage: str, worker: str, redactor: Redactor | None = None, *, batch: int = BATCH
    ) -> None:
        self.tally = Tally(stage, worker, socket.gethostname(), os.getpid())
        self.recorded = 0
        self._folder = folder
        self._batch = batch
        self._redactor = redactor or Redactor([])
        self._rows: list[Exchange] = []
        self._same: dict[tuple[str, Any, int], pa.Array[Any]] = {}
        offset = time.time_ns() - time.monotonic_ns()
        facts = {"version": VERSION, "stage": stage, "worker": worker, "wall_offset_ns": str(offset)}
        path = folder / f"{stage}-{worker}.arrow"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = io.BufferedWriter(path.open("xb", buffering=0), BUFFER)
            self._writer = pa.ipc.new_stream(self._file, RECORDED.with_metadata(facts), options=_OPTIONS)
            self._file.flush()
            self.tally.write(folder)
        except OSError as error:
            raise HarnessError(
                f"history {path}: {error.strerror}", hint="Choose a writable run folder that is not in use: --out DIR."
            ) from error

    def add(self, exchange: Exchange) -> None:
        """Keep one exchange; it is on disk after the next flush."""
        self._rows.append(exchange)
        if len(self._rows) >= self._batch:
            self.flush()

    def flush(self) -> None:
        """Write what has gathered as one record batch; HarnessError when the disk is full."""
        if not self._rows:
            return
        rows, self._rows = self._rows, []
        self.write(dict(zip(COLUMNS, zip(*rows, strict=True), strict=True)))

    def write(self, columns: Mapping[str, Any]) -> None:
        """Write columns, by the names of `COLUMNS`, as one record batch: a tuple each, an array where it is of numbers
        without gaps. HarnessError when the disk is full."""
        arrays = [self._array(name, columns[name]) for name in COLUMNS]
        count = len(arrays[0])
        try:
            self._writer.write_batch(pa.record_batch(arrays, schema=RECORDED))
            self._file.flush()
        except OSError as error:
            raise HarnessError(
                f"history {self._file.name}: {error.strerror}: {count} exchanges could not be kept",
                hint="Free some disk space, or choose another run folder with --out DIR.",
            ) from error
        self.recorded += count

    def _array(self, name: str, values: Any) -> Any:
        kind = RECORDED.field(name).type
        if isinstance(values, np.ndarray):
            return pa.array(values).cast(kind)
        if name in _VARIED or values.count(values[0]) < len(values):
            return pa.array(self._cleaned(values) if name in FROM_TARGET else values, kind)
        # Under load most columns say the same all batch long, and in the next one.
        known = (name, values[0], len(values))
        array = self._same.get(known)
        if array is None:
            if len(self._same) >= _REMEMBERED:
                self._same.clear()
            array = self._same[known] = pa.array(self._cleaned(values) if name in FROM_TARGET else values, kind)
        return array

    def _cleaned(self, texts: tuple[Any, ...]) -> tuple[Any, ...]:
        # One search over what the column says is the usual cost; only a column that holds a secret is rewritten.
        told = "\n".join(filter(None, set(texts)))
        if not told or not self._redactor.holds(told):
            return texts
        return tuple(self._redactor.clean(text) if text else text for text in texts)

    def close(self, *, sent: int, engine: int | None = None) -> None:
        """Flush, end the stream and write the closing tally."""
        self.flush()
        self._writer.close()
        self._file.close()
        told = {**asdict(self.tally), "sent": sent, "recorded": self.recorded, "engine": engine, "clean": True}
        Tally(**told).write(self._folder)


# Each batch of a stream carries its own new dictionary entries as a delta, so that batches stay small.
_OPTIONS = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
