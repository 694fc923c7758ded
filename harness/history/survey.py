"""Looks over the files of a history before its exchanges are read: how many there are, from whom, in which order."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.history.columns import RECORDED, SCHEMA, TIMES
from harness.history.reader import Ints, check_values, damaged, facts_of
from harness.history.recorder import Tally
from harness.history.shards import MERGED, Gaps, read_tallies, shard_batches, shard_paths

CHUNK_BYTES: Final = 64 << 20  # of a source, once decoded
NEEDED: Final = ["stage", "worker", "seq", "user", "outcome", *TIMES]


@dataclass(frozen=True)
class Source:
    """A stretch of a history: row groups of the merge, or a shard (no groups); its rows are numbered from `first`."""

    path: Path
    groups: tuple[int, ...]
    first: int
    rows: int

    def read(self, names: list[str] | None = None) -> pa.Table:
        """Some columns of the stretch, or all."""
        try:
            if self.groups:
                with pq.ParquetFile(self.path) as file:
                    table = file.read_row_groups(list(self.groups), columns=names)
            else:
                table = pa.Table.from_batches([batch for _, batch in shard_batches(self.path, Gaps([]))], SCHEMA)
            table = table.select(names or SCHEMA.names)
            return table.cast(pa.schema([SCHEMA.field(name) for name in table.column_names])).unify_dictionaries()
        except (pa.ArrowException, OSError, ValueError) as error:
            raise damaged(self.path, error) from error


@dataclass(frozen=True)
class Survey:
    """A history's files. `place` holds the number of each row, in order of the sources, once all are in order.

    `shards` has stage, worker and seq of all rows; `start_ns` is the earliest time. `asked` says how many rows
    each `user` has.
    """

    sources: tuple[Source, ...]
    place: "np.ndarray[tuple[int], np.dtype[np.int32]]"
    shards: pd.DataFrame
    start_ns: int
    wall_offset_ns: int
    tallies: tuple[Tally, ...]
    gaps: tuple[str, ...]
    asked: "pd.Series[Any]"


def size_of(folder: Path) -> int:
    """About how many exchanges a history has, from what its files say of themselves."""
    merged, rows = folder / MERGED, 0
    try:
        if merged.exists():
            rows = int(pq.read_metadata(merged).num_rows)
    except (pa.ArrowException, OSError):
        return 0  # whoever reads it says what is wrong
    # A record takes at least its fixed columns.
    fixed = sum(field.type.bit_width // 8 for field in RECORDED if pa.types.is_primitive(field.type))
    return rows + int(sum(path.stat().st_size // fixed for path in shard_paths(folder)))


def survey(folder: Path) -> Survey:
    """The files of the history in `folder`; HarnessError where they cannot be judged."""
    gaps = Gaps([])
    offsets: list[int] = []
    sources = list(_sources(folder, gaps, offsets))
    rows = sum(source.rows for source in sources)
    sent, seq, shard = np.empty(rows, np.int64), np.empty(rows, np.int64), np.empty(rows, np.int32)
    names: dict[tuple[str, str], int] = {}
    start = np.iinfo(np.int64).max
    asked: list[pd.Series[Any]] = [pd.Series([], dtype=np.int64)]
    for source in sources:
        frame, mine = source.read(NEEDED).to_pandas(), slice(source.first, source.first + source.rows)
        check_values(frame)
        sent[mine], seq[mine] = frame["sent"], frame["seq"]
        shard[mine] = _numbered(frame, names)
        asked.append(frame["user"].value_counts())
        start = min(start, int(frame[list(TIMES)].min().min()) if len(frame) else start)
    tallies = tuple(read_tallies(folder, gaps))
    shards = _shards(shard, seq, list(names))
    place = _places(sent, shard, seq, list(names))
    total = pd.concat(asked).groupby(level=0).sum()
    wall = min(offsets, default=0) + start
    return Survey(tuple(sources), place, shards, start, wall, tallies, tuple(gaps.sentences), total)


def _sources(folder: Path, gaps: Gaps, offsets: list[int]) -> Iterator[Source]:
    first = 0
    for source in (*_merged(folder / MERGED, gaps, offsets), *_streams(folder, gaps, offsets)):
        yield replace(source, first=first)
        first += source.rows


def _merged(path: Path, gaps: Gaps, offsets: list[int]) -> Iterator[Source]:
    if not path.exists():
        return
    try:
        with pq.ParquetFile(path) as file:
            facts, about = facts_of(path, file), file.metadata
    except (pa.ArrowException, OSError, ValueError) as error:
        raise damaged(path, error) from error
    gaps.sentences.extend(json.loads(facts.get("gaps", "[]")))
    offsets.append(int(facts.get("wall_offset_ns", "0")))
    groups: list[int] = []
    rows = size = 0
    for number in range(about.num_row_groups):
        group = about.row_group(number)
        groups, rows, size = [*groups, number], rows + group.num_rows, size + group.total_byte_size
        if size >= CHUNK_BYTES or number == about.num_row_groups - 1:
            yield Source(path, tuple(groups), 0, rows)
            groups, rows, size = [], 0, 0


def _streams(folder: Path, gaps: Gaps, offsets: list[int]) -> Iterator[Source]:
    for path in shard_paths(folder):
        rows = 0
        for shard, batch in shard_batches(path, gaps):
            rows += batch.num_rows
            offsets.append(shard.wall_offset_ns)
        if rows:
            yield Source(path, (), 0, rows)


def _numbered(frame: pd.DataFrame, names: dict[tuple[str, str], int]) -> Ints:
    """The number of each row's shard, new ones added to `names`."""
    stage, worker = frame["stage"].cat, frame["worker"].cat
    pair = stage.codes.to_numpy(np.int64) * len(worker.categories) + worker.codes.to_numpy(np.int64)
    codes, pairs = pd.factorize(pair)
    numbers = []
    for one in pairs.tolist():
        first, second = divmod(one, len(worker.categories))
        name = (str(stage.categories[first]), str(worker.categories[second]))
        numbers.append(names.setdefault(name, len(names)))
    return np.array(numbers, np.int64)[codes] if numbers else np.zeros(0, np.int64)


def _shards(shard: Any, seq: Ints, names: list[tuple[str, str]]) -> pd.DataFrame:
    columns: dict[str, Any] = {"seq": seq}
    for place, name in enumerate(("stage", "worker")):
        words = sorted({one[place] for one in names})
        codes = np.array([words.index(one[place]) for one in names], np.int32)
        chosen: Any = codes[shard] if names else codes
        columns[name] = pd.Categorical.from_codes(chosen, pd.Index(words, dtype="str"))
    return pd.DataFrame(columns)


def _places(sent: Ints, shard: Any, seq: Ints, names: list[tuple[str, str]]) -> Any:
    """The number of each row in order of sending, then of stage, worker and number, as `history_of` has it."""
    order = np.argsort(sent, kind="stable")
    same = np.append(False, sent[order][1:] == sent[order][:-1])
    tied = np.flatnonzero(same | np.append(same[1:], False))
    among = np.argsort(np.array(sorted(range(len(names)), key=names.__getitem__), np.int64))
    rows = order[tied]
    order[tied] = rows[np.lexsort((seq[rows], among[shard[rows]], sent[rows]))] if len(rows) else rows
    place = np.empty(len(sent), np.int32)
    place[order] = np.arange(len(sent), dtype=np.int32)
    return place
