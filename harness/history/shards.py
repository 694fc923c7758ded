"""Shards on disk: reading them up to where they were cut off, and merging them into one Parquet file."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import HarnessError
from harness.history.columns import RECORDED, SCHEMA, VERSION
from harness.history.recorder import Tally

MERGED = "history.parquet"


@dataclass(frozen=True)
class Shard:
    """One process' stream. `wall_offset_ns` added to its times gives nanoseconds since 1970."""

    path: Path
    stage: str
    worker: str
    wall_offset_ns: int


@dataclass
class Gaps:
    """What is known to be missing from a history, a sentence each."""

    sentences: list[str]


def shard_paths(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.arrow"))


def shard_batches(path: Path, gaps: Gaps) -> Iterator[tuple[Shard, pa.RecordBatch]]:
    """The batches of a shard with the reader's columns added; what is cut off or damaged becomes a gap."""
    seq = 0
    try:
        with path.open("rb") as file, pa.ipc.open_stream(file) as reader:
            shard = _shard(path, reader.schema)
            for batch in reader:
                yield shard, _with_source(batch, shard, seq)
                seq += batch.num_rows
    except (pa.ArrowInvalid, pa.ArrowSerializationError, OSError) as error:
        first = str(error).split("\n")[0][:120]
        gaps.sentences.append(f"{path.name} ends early, after {seq:,} exchanges ({first})")


def read_batch(path: Path, schema: pa.Schema, batch: pa.RecordBatch, seq: int) -> pa.RecordBatch:
    """A batch of the shard at `path`, whose stream has this schema, with the reader's columns; `seq` is its first
    row's number. HarnessError where the shard is of another version."""
    return _with_source(batch, _shard(path, schema), seq)


def _shard(path: Path, schema: pa.Schema) -> Shard:
    facts = {k.decode(): v.decode() for k, v in (schema.metadata or {}).items()}
    if facts.get("version") != VERSION:
        raise HarnessError(
            f"history {path}: version {facts.get('version', 'unknown')!s}, but this harness reads {VERSION}",
            hint="Judge it with the harness that wrote it.",
        )
    if schema.names != RECORDED.names:
        raise HarnessError(f"history {path}: its columns are not those of version {VERSION}")
    return Shard(path, facts["stage"], facts["worker"], int(facts["wall_offset_ns"]))


def _with_source(batch: pa.RecordBatch, shard: Shard, seq: int) -> pa.RecordBatch:
    rows = batch.num_rows
    source = [
        pa.array([shard.stage] * rows, SCHEMA.field("stage").type),
        pa.array([shard.worker] * rows, SCHEMA.field("worker").type),
        pa.array(range(seq, seq + rows), pa.int64()),
    ]
    return pa.record_batch([*source, *batch.columns], schema=SCHEMA)


def compact(folder: Path) -> None:
    """Merge all shards of a history folder into one Parquet file, batch by batch, and remove them.

    The merged file takes its place only when it is complete; a stop half-way leaves the shards as they were. An
    earlier merge (another stage's) is carried over.
    """
    paths = shard_paths(folder)
    if not paths:
        return
    gaps = Gaps(read_gaps(folder))
    fresh = folder / (MERGED + ".new")
    offsets: list[int] = []
    with pq.ParquetWriter(fresh, SCHEMA, compression="zstd") as writer:
        if (folder / MERGED).exists():
            with pq.ParquetFile(folder / MERGED) as old:
                offsets.append(merged_offset(old))
                for batch in old.iter_batches():
                    writer.write_batch(batch.cast(SCHEMA))
        for path in paths:
            for shard, batch in shard_batches(path, gaps):
                offsets.append(shard.wall_offset_ns)
                writer.write_batch(batch)
        told = {"version": VERSION, "wall_offset_ns": str(min(offsets, default=0)), "gaps": json.dumps(gaps.sentences)}
        writer.add_key_value_metadata(told)
    fresh.replace(folder / MERGED)
    for path in paths:
        path.unlink()


def merged_facts(file: pq.ParquetFile) -> dict[str, str]:
    return {k.decode(): v.decode() for k, v in (file.metadata.metadata or {}).items() if k != b"ARROW:schema"}


def merged_offset(file: pq.ParquetFile) -> int:
    return int(merged_facts(file).get("wall_offset_ns", "0"))


def read_gaps(folder: Path) -> list[str]:
    """The gaps found when the shards were merged."""
    if not (folder / MERGED).exists():
        return []
    with pq.ParquetFile(folder / MERGED) as file:
        found: list[str] = json.loads(merged_facts(file).get("gaps", "[]"))
    return found


def read_tallies(folder: Path, gaps: Gaps) -> list[Tally]:
    """The tallies of all processes; one that cannot be read becomes a gap."""
    tallies = []
    known = {one.name for one in fields(Tally)}
    for path in sorted(folder.glob("*.tally.json")):
        try:
            told = json.loads(path.read_text())
            tallies.append(Tally(**{name: value for name, value in told.items() if name in known}))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            gaps.sentences.append(f"{path.name} cannot be read ({type(error).__name__})")
    return tallies
