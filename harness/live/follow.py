"""Reads shards that are still being written: each look gives the batches that have become complete since the last."""

import io
from pathlib import Path
from typing import Final

import pyarrow as pa

from harness.errors import HarnessError
from harness.history.columns import SCHEMA
from harness.history.shards import read_batch, shard_paths

MOST: Final = 64 * 2**20  # bytes taken of a shard at a look; the rest waits for the next


class Follower:
    """The shards of one stage in a history folder."""

    def __init__(self, folder: Path, stage: str) -> None:
        self._folder = folder
        self._stage = stage
        self._shards: dict[Path, _Growing] = {}

    def fresh(self) -> pa.Table:
        """The exchanges that were flushed since the last look, with raw times; no row where there are none."""
        for path in shard_paths(self._folder):
            if path.name.startswith(f"{self._stage}-") and path not in self._shards:
                self._shards[path] = _Growing(path)
        batches = [batch for shard in self._shards.values() for batch in shard.complete()]
        return pa.Table.from_batches(batches, SCHEMA).unify_dictionaries()


class _Growing:
    """One shard. An Arrow stream is a row of messages; only whole ones are handed to Arrow's reader, which cannot go on
    after it has met the end of a file within a message."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = 0  # up to where messages were whole
        self._whole = _Pipe()
        self._reader: pa.RecordBatchReader | None = None
        self._seq = 0

    def complete(self) -> list[pa.RecordBatch]:
        try:
            count = self._take()
            if count and self._reader is None:
                self._reader = pa.ipc.open_stream(self._whole)
                count -= 1  # the first message is the schema
            return [self._next() for _ in range(count)]
        except (OSError, pa.ArrowException, HarnessError):
            return []  # the judge will say what is wrong with it

    def _next(self) -> pa.RecordBatch:
        assert self._reader is not None
        batch = read_batch(self._path, self._reader.schema, self._reader.read_next_batch(), self._seq)
        self._seq += batch.num_rows
        return batch

    def _take(self) -> int:
        """Move what has become whole to the pipe; gives how many messages that are no dictionaries it holds."""
        with self._path.open("rb") as file:
            file.seek(self._place)
            fresh = file.read(MOST)
        source, place, count = pa.BufferReader(fresh), 0, 0
        while True:
            try:
                message = pa.ipc.read_message(source)
            except (EOFError, pa.ArrowException, OSError):
                break
            place = source.tell()
            count += message.type != "dictionary"
        self._whole.put(fresh[:place])
        self._place += place
        return count


class _Pipe(io.RawIOBase):
    """Bytes that are put in at one end and read at the other."""

    def __init__(self) -> None:
        self._held = bytearray()

    def put(self, content: bytes) -> None:
        self._held += content

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        taken = bytes(self._held) if size < 0 else bytes(self._held[:size])
        del self._held[: len(taken)]
        return taken
