"""Reads a history folder into one table for the judge and the reports, whatever state its run left it in."""

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import HarnessError
from harness.history.columns import OUTCOMES, SCHEMA, TIMES, VERSION
from harness.history.earlier import EARLIER, joined, read_earlier
from harness.history.recorder import Tally
from harness.history.shards import MERGED, Gaps, merged_facts, read_tallies, shard_batches, shard_paths

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class History:
    """Every exchange of a run. `frame` is sorted by `sent` and numbered from 0; its columns are those of SCHEMA.

    Times are int64 nanoseconds since the first one (`start_ns` on the monotonic clock). `wall_offset_ns` added to a
    time gives nanoseconds since 1970. `gaps` are sentences on what is known to be missing. `earlier` are exchanges of
    an earlier run whose calls this one made again, at negative times and numbers; None where it made none.

    A part of a history (see `parts`) holds the exchanges of some persons: `numbers` gives for each row its number in
    the whole, and `guests` are rows of other persons that have to do with theirs.
    """

    frame: pd.DataFrame
    tallies: tuple[Tally, ...] = ()
    gaps: tuple[str, ...] = ()
    wall_offset_ns: int = 0
    earlier: pd.DataFrame | None = None
    numbers: Ints | None = None
    guests: Ints | None = None

    @property
    def size(self) -> int:
        """How many exchanges there are."""
        return len(self.frame)

    @cached_property
    def control(self) -> pd.DataFrame:
        """The control calls, by their numbers."""
        return self.frame[(self.frame["operation"] != "push").to_numpy()]

    def at(self, rows: Ints, names: list[str]) -> pd.DataFrame:
        """Some columns of these rows, in this order."""
        return self.frame.loc[rows, names]

    def every(self, names: list[str]) -> pd.DataFrame:
        """Some columns of all rows."""
        return self.frame[names]

    def having(self, words: dict[str, str], names: list[str]) -> pd.DataFrame:
        """Some columns of the rows with these words, by their numbers and in any order."""
        frame = self.every([*words, *names])
        chosen = np.ones(len(frame), np.bool_)
        for name, word in words.items():
            chosen &= (frame[name] == word).to_numpy()
        return frame.loc[chosen, names]

    def number(self, rows: Ints) -> Ints:
        """The numbers of rows in the whole history; what is earlier has its own already."""
        return rows if self.numbers is None else np.where(rows < 0, rows, self.numbers[rows])

    def guest(self, rows: Ints) -> "npt.NDArray[np.bool_]":
        """Which rows are of persons that are judged elsewhere."""
        return np.isin(rows, [] if self.guests is None else self.guests)

    @cached_property
    def pushes(self) -> pd.DataFrame:
        """The exchanges of the operation itself, without control calls."""
        return self.frame[self.frame["operation"] == "push"]

    @cached_property
    def with_earlier(self) -> "History":
        """This history and what an earlier run was answered to the calls made again, which are pushes in it."""
        return self if self.earlier is None else replace(self, frame=joined(self.frame, self.earlier), earlier=None)


def read_history(folder: Path) -> History:
    """The history in `folder`, from shards, from their merge, or from both; HarnessError where it is none."""
    gaps = Gaps([])
    if not folder.is_dir():
        raise HarnessError(f"history {folder}: no such folder", hint="Name a run folder, such as runs/latest.")
    table, offset = _table(folder, gaps)
    tallies = read_tallies(folder, gaps)
    return with_earlier(history_of(table, tuple(tallies), tuple(gaps.sentences), offset), folder)


def with_earlier(history: History, folder: Path) -> History:
    try:
        return replace(history, earlier=read_earlier(folder, history.wall_offset_ns))
    except (OSError, ValueError, TypeError) as error:
        return replace(history, gaps=(*history.gaps, f"{EARLIER} cannot be read ({str(error)[:80]})"))


def history_of(
    table: pa.Table, tallies: tuple[Tally, ...] = (), gaps: tuple[str, ...] = (), wall_offset_ns: int = 0
) -> History:
    """A history from a table of SCHEMA's columns with raw times."""
    frame = table.to_pandas()
    check_values(frame)
    for name in ("stage", "worker"):  # in the order of their texts, whichever was seen first
        frame[name] = frame[name].cat.reorder_categories(sorted(frame[name].cat.categories))
    # Sorting by worker and number too makes the order, and so every verdict, independent of how shards were merged.
    frame = frame.sort_values(["sent", "stage", "worker", "seq"], kind="stable", ignore_index=True)
    start = int(frame[list(TIMES)].min().min()) if len(frame) else 0
    for name in TIMES:
        frame[name] -= start
    return History(frame, tallies, gaps, wall_offset_ns + start)


def _table(folder: Path, gaps: Gaps) -> tuple[pa.Table, int]:
    batches: list[pa.RecordBatch] = []
    offsets: list[int] = []
    if (folder / MERGED).exists():
        table, offset = _merged(folder / MERGED, gaps)
        batches.extend(table.to_batches())
        offsets.append(offset)
    for path in shard_paths(folder):
        for shard, batch in shard_batches(path, gaps):
            batches.append(batch)
            offsets.append(shard.wall_offset_ns)
    table = pa.Table.from_batches(batches, SCHEMA).unify_dictionaries()
    return table, min(offsets, default=0)


def _merged(path: Path, gaps: Gaps) -> tuple[pa.Table, int]:
    try:
        with pq.ParquetFile(path) as file:
            facts = facts_of(path, file)
            gaps.sentences.extend(json.loads(facts.get("gaps", "[]")))
            return file.read(SCHEMA.names).select(SCHEMA.names).cast(SCHEMA), int(facts.get("wall_offset_ns", "0"))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> HarnessError:
    """What is said of a file that cannot be read."""
    told = (str(error).splitlines() or [type(error).__name__])[0][:160]
    hint = "The file is damaged or not a history; run the test again."
    return HarnessError(f"history {path}: cannot be read: {told}", hint=hint)


def facts_of(path: Path, file: pq.ParquetFile) -> dict[str, str]:
    """What a merge says of itself; HarnessError where it is another version's, or lacks columns."""
    facts = merged_facts(file)
    if facts.get("version") != VERSION:
        raise HarnessError(
            f"history {path}: version {facts.get('version', 'unknown')}, but this harness reads {VERSION}",
            hint="Judge it with the harness that wrote it.",
        )
    if missing := [name for name in SCHEMA.names if name not in file.schema_arrow.names]:
        raise HarnessError(
            f"history {path}: it has no column {', '.join(missing[:5])}", hint="Judge the file that the harness wrote."
        )
    return facts


def check_values(frame: pd.DataFrame) -> None:
    """Values that no recorder writes would make rules err, so such a history is refused as a whole."""
    if frame[list(TIMES)].isna().any().any() or (frame["received"] < frame["sent"]).any():
        raise HarnessError("history: an exchange was received before it was sent", hint="The history is damaged.")
    strange = set(frame["outcome"].dropna().unique()) - set(OUTCOMES)
    if strange or frame["outcome"].isna().any():
        raise HarnessError(f"history: unknown outcome {sorted(map(str, strange))[:3]}", hint="The history is damaged.")
