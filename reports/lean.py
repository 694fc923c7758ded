"""A history for the reports, in memory only by the columns that are asked for, each as small as it can be.

Texts of few kinds are small numbers, references and ids are hashes, as they are only compared: ten million exchanges
then take 80 MB for a time and 10 to 40 MB for most other columns.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import HarnessError
from harness.history import SCHEMA, TIMES, History
from harness.history.hashing import hashes
from harness.history.survey import Source, Survey, survey
from harness.rules.run import gaps_of

Values = npt.NDArray[Any]
TEXTS: Final = frozenset(one.name for one in SCHEMA if pa.types.is_string(one.type))
HASHED: Final = ("ref", "challenge_id")
EMPTY: Final = hashes(pa.array([""]))[0]  # the hash of the empty text; that of none is 0
SMALL: Final = np.iinfo(np.int16).max  # kinds of texts that two bytes tell apart


@dataclass(frozen=True)
class Lean(History):
    """A history whose exchanges stay in their files: its `frame` is empty, its `gaps` are all that are known.

    `stages` says how many exchanges each stage has recorded.
    """

    files: Survey = field(kw_only=True, repr=False)
    stages: dict[str, int] = field(kw_only=True)

    @property
    def size(self) -> int:
        return len(self.files.place)

    @cached_property
    def control(self) -> pd.DataFrame:
        return self.at(np.flatnonzero(~pushed(self)), SCHEMA.names)

    @cached_property
    def _pushed(self) -> Values:
        return np.asarray(self.every(["operation"])["operation"] == "push")

    def every(self, names: list[str]) -> pd.DataFrame:
        return self.read(names, np.ones(self.size, bool))

    def at(self, rows: Values, names: list[str]) -> pd.DataFrame:
        if not TEXTS.intersection(names):
            chosen = np.zeros(self.size, bool)
            chosen[rows] = True
            frame = self.read(names, chosen).set_index(np.flatnonzero(chosen))
            return frame if len(frame) == len(rows) and (frame.index == rows).all() else frame.loc[rows]
        found = []
        for source, numbers in self._sources():
            mine = np.flatnonzero(np.isin(numbers, rows))
            if len(mine):
                found.append(self._shifted(_rows_of(source, mine, names).to_pandas()).set_index(numbers[mine]))
        none = SCHEMA.empty_table().select(names).to_pandas()
        frame = pd.concat([one.astype(object) for one in found]) if found else none
        return frame.loc[rows]

    def read(self, names: list[str], chosen: Values) -> pd.DataFrame:
        """Some columns of the chosen ones of all exchanges, in order, without copies that double the memory."""
        slot = np.cumsum(chosen, dtype=np.int32) - 1
        columns = {name: _Column(name, int(chosen.sum())) for name in names}
        for source, numbers in self._sources():
            kept = chosen[numbers]
            table, where = source.read(names), slot[numbers[kept]]
            for name, column in columns.items():
                column.take(table[name], kept, where)
            del table
            pa.default_memory_pool().release_unused()  # it would keep what the largest stretch took
        frame = pd.DataFrame({name: column.made() for name, column in columns.items()}, copy=False)
        return self._shifted(frame)

    def chunks(self, names: list[str]) -> Iterator[pd.DataFrame]:
        """Some columns of all exchanges, a stretch at a time, by their numbers and in no order."""
        for source, numbers in self._sources():
            yield self._shifted(source.read(names).to_pandas()).set_index(numbers)

    def _shifted(self, frame: pd.DataFrame) -> pd.DataFrame:
        for name in TIMES:
            if name in frame:
                times: Any = frame[name].to_numpy()
                frame[name] = np.subtract(times, self.files.start_ns, out=times if times.flags.writeable else None)
        return frame

    def _sources(self) -> Iterator[tuple[Any, Values]]:
        for source in self.files.sources:
            yield source, self.files.place[source.first : source.first + source.rows]


def _rows_of(source: Source, places: Values, names: list[str]) -> pa.Table:
    """Some rows of a source by their places in it, in order; of a merge only the row groups that hold them are read."""
    if not source.groups:
        return source.read(names).take(pa.array(places, pa.int64()))
    with pq.ParquetFile(source.path) as file:
        sizes = [file.metadata.row_group(group).num_rows for group in source.groups]
    edges = np.cumsum([0, *sizes])
    within = np.searchsorted(edges, places, side="right") - 1
    wanted = np.unique(within)
    before = np.cumsum([0, *(sizes[group] for group in wanted)])
    table = replace(source, groups=tuple(source.groups[group] for group in wanted)).read(names)
    place = before[np.searchsorted(wanted, within)] + places - edges[within]
    return table.take(pa.array(place, pa.int64()))


class _Column:
    """A column that is filled stretch by stretch."""

    def __init__(self, name: str, rows: int) -> None:
        kind = SCHEMA.field(name).type
        self._words: dict[str, int] | None = {} if pa.types.is_dictionary(kind) else None
        self._hashed = name in HASHED
        dtype: Any = np.int16 if self._words is not None else np.uint64 if self._hashed else object
        if pa.types.is_integer(kind):
            dtype = kind.to_pandas_dtype()
        self._values: Values = np.empty(rows, dtype)

    def take(self, column: Any, kept: Values, where: Values) -> None:
        if self._words is not None:
            values = self._numbers(column.combine_chunks())
        else:
            values = hashes(column) if self._hashed else column.to_numpy()
        self._values[where] = values[kept]

    def _numbers(self, column: Any) -> Values:
        """The numbers of words in this whole column, of which each stretch has numbers of its own."""
        assert self._words is not None
        words = column.dictionary.to_pylist()
        known: Values = np.array([*(self._words.setdefault(word, len(self._words)) for word in words), -1], np.int32)
        if len(self._words) > SMALL and self._values.dtype == np.int16:
            self._values = self._values.astype(np.int32)
        indices: Values = column.indices.fill_null(len(words)).to_numpy()
        return known[indices]

    def made(self) -> Any:
        if self._words is None:
            return self._values
        return pd.Categorical.from_codes(self._values, pd.Index(list(self._words), dtype=object))


def open_history(folder: Path) -> Lean:
    """The history in `folder`; HarnessError where it cannot be read."""
    if not folder.is_dir():
        raise HarnessError(f"history {folder}: no such folder", hint="Name a run folder, such as runs/latest.")
    seen = survey(folder)
    stages = {str(name): int(count) for name, count in seen.shards["stage"].value_counts().items() if count}
    gaps = gaps_of(History(seen.shards, seen.tallies, seen.gaps))
    none = SCHEMA.empty_table().to_pandas()
    files = replace(seen, shards=seen.shards.head(0))
    return Lean(none, seen.tallies, gaps, seen.wall_offset_ns, files=files, stages=stages)


def pushed(history: History) -> Values:
    """Which exchanges are of the operation itself, by their numbers."""
    if isinstance(history, Lean):
        return history._pushed
    return np.asarray(history.frame["operation"] == "push")


def stages_of(history: History) -> dict[str, int]:
    """How many exchanges each stage has recorded."""
    if isinstance(history, Lean):
        return history.stages
    return {str(name): int(count) for name, count in history.frame["stage"].value_counts().items() if count}


def chunks_of(history: History, names: list[str]) -> Iterator[pd.DataFrame]:
    """Some columns of all exchanges by their numbers, a stretch at a time."""
    return history.chunks(names) if isinstance(history, Lean) else iter([history.frame[names]])


def pushes_of(history: History, names: list[str], chosen: Values | None = None) -> pd.DataFrame:
    """Some columns of the pushes of a history in order, or of the `chosen` ones of them; of refs and ids the hashes."""
    if isinstance(history, Lean):
        rows = pushed(history).copy()
        if chosen is not None:
            rows[np.flatnonzero(rows)[~chosen]] = False
        return history.read(names, rows)
    frame = history.pushes[names]
    frame = frame.assign(**{name: hashes(pa.array(frame[name], pa.string())) for name in names if name in HASHED})
    return frame if chosen is None else frame[chosen]
