"""Splits a history that is too large for one table into parts on disk, each with all exchanges of some persons.

Control calls that concern everybody are in every part. With them a part has *guests*: settles of challenges that its
persons were given too, and exchanges of other persons with the same refs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from harness.history.columns import SCHEMA, TIMES
from harness.history.hashing import Hashes, hashes
from harness.history.reader import Ints
from harness.history.survey import Source

EVERYBODYS: Final = ("reset", "pushes")
SETTLES: Final = ("accept", "decline")
MOST_GUESTS: Final = 50  # exchanges of one ref that others have too; the earliest ones matter
AT_ONCE: Final = 1 << 20  # rows of shared refs looked at together
NUMBER: Final = "number"  # the column that holds a row's number in the whole history
NOBODYS: Final = 1  # the place, behind those of the parts, of settles that do not say whose they are

PartOf = Callable[[Ints], "npt.NDArray[np.uint16]"]


@dataclass(frozen=True)
class Parts:
    """`count` parts of a history of `size` exchanges, in files below `folder`: `part-source.arrow`."""

    folder: Path
    count: int
    size: int

    def table(self, part: int) -> tuple[pa.Table, Ints, Ints]:
        """The exchanges of a part in order, their numbers in the whole, and the places of the guests among them."""
        guests = self._visitors[part]
        tables = [_empty(), *(self._file(path) for which in (part, self.count) for path in self._paths(which))]
        tables += [self._taken(guests, [*SCHEMA.names, NUMBER])] if len(guests) else []
        table = pa.concat_tables(tables).unify_dictionaries()
        numbers = table[NUMBER].to_numpy()
        order = np.argsort(numbers, kind="stable")
        numbers = numbers[order].astype(np.int64)
        return (
            table.drop_columns([NUMBER]).take(pa.array(order, pa.int64())),
            numbers,
            np.flatnonzero(np.isin(numbers, guests)),
        )

    def columns(self) -> list[Path]:
        """Where the columns of each part's pushes are kept once it was looked at."""
        return [self.folder / f"{part:05d}.npz" for part in range(self.count)]

    def everybodys(self) -> pd.DataFrame:
        """The control calls that concern everybody, by their numbers."""
        calls = [self._file(path) for path in self._paths(self.count)]
        frame = pa.concat_tables([_empty(), *calls]).unify_dictionaries().to_pandas()
        return frame.set_index(NUMBER).sort_index()

    def control(self) -> pd.DataFrame:
        """The control calls of all parts by their numbers."""
        calls = [self._file(path).filter(pc.field("operation") != "push") for path in self._paths()]
        frame = pa.concat_tables([_empty(), *calls]).unify_dictionaries().to_pandas()
        return frame.set_index(NUMBER).sort_index()

    def at(self, numbers: Ints, names: list[str]) -> pd.DataFrame:
        """Some columns of these rows of the whole history."""
        wanted = np.unique(numbers)
        table = self._taken(wanted, [*names, NUMBER]).sort_by(NUMBER)
        frame = table.drop_columns([NUMBER]).to_pandas()
        frame.index = pd.Index(wanted)
        return frame if len(wanted) == len(numbers) and (wanted == numbers).all() else frame.loc[numbers]

    def having(self, words: dict[str, str], names: list[str]) -> pd.DataFrame:
        """Some columns of words and numbers, of which none may be missing, of rows with these words, in no order."""
        known: dict[str, dict[str, int]] = {name: {} for name in names if _has_words(name)}
        found: dict[str, list[Any]] = {name: [np.zeros(0, np.int32)] for name in [*names, NUMBER]}
        for path in self._paths():  # one after another, as each takes memory while it is open
            table = self._file(path)
            chosen = _with_words(table, words)
            for name, columns in found.items():
                column: Any = table[name].combine_chunks()
                if name in known:
                    numbers = [known[name].setdefault(word, len(known[name])) for word in column.dictionary.to_pylist()]
                    column = pa.array(numbers, pa.int32()).take(column.indices)
                columns.append(column.to_numpy()[chosen])
        whole: dict[str, Any] = {}
        for name in [*found]:  # each is let go of as it is put together
            whole[name] = np.concatenate(found.pop(name))
        for name, told in known.items():
            whole[name] = pd.Categorical.from_codes(whole[name], pd.Index(list(told), dtype="str"))
        return pd.DataFrame(whole, index=pd.Index(whole.pop(NUMBER)), copy=False)

    def _taken(self, wanted: Ints, names: list[str]) -> pa.Table:
        """Rows by their sorted numbers, in no order."""
        where = self._part_of[wanted]
        order = np.argsort(where, kind="stable")
        edges = np.searchsorted(where[order], np.arange(self.count + NOBODYS + 2))
        found = []
        for part in np.unique(where).tolist():
            mine = wanted[order[edges[part] : edges[part + 1]]]
            for path in self._paths(part):
                table = self._file(path).select(names)
                there = np.searchsorted(numbers := table[NUMBER].to_numpy(), mine)
                there = there[np.append(numbers, -1)[there] == mine]
                found.append(table.take(pa.array(there, pa.int64())))
        return pa.concat_tables([_empty().select(names), *found]).unify_dictionaries()

    def _paths(self, part: int | None = None) -> list[Path]:
        return sorted(self.folder.glob("*.arrow" if part is None else f"{part:05d}-*.arrow"))

    @staticmethod
    def _file(path: Path) -> pa.Table:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()

    @cached_property
    def _part_of(self) -> "npt.NDArray[np.uint16]":
        part_of: npt.NDArray[np.uint16] = np.load(self.folder / "part_of.npy", mmap_mode="r")
        return part_of

    @cached_property
    def _visitors(self) -> dict[int, Ints]:
        with np.load(self.folder / "visitors.npz") as kept:
            return {part: kept[str(part)] for part in range(self.count)}


def _has_words(name: str) -> bool:
    return pa.types.is_dictionary(SCHEMA.field(name).type)


def _with_words(table: pa.Table, words: dict[str, str]) -> "npt.NDArray[np.bool_]":
    """Which rows of a table have these words."""
    chosen = np.ones(len(table), np.bool_)
    for name, word in words.items():
        column: Any = table[name].combine_chunks()
        chosen &= column.indices.to_numpy() == column.dictionary.index(word).as_py()
    return chosen


def _empty() -> pa.Table:
    return SCHEMA.append(pa.field(NUMBER, pa.int32())).empty_table()


@dataclass(frozen=True)
class _Keys:
    """What decides where rows are needed: number, part, operation (push, settle or neither), hashes of ref and id."""

    number: Any
    part: Any
    push: Any
    settle: Any
    ref: Hashes
    id: Hashes


def scatter(source: Source, number: Any, start_ns: int, part_of: PartOf, parts: Parts) -> None:
    """Write the rows of a source, which have these numbers, into the files of their users' parts."""
    table = source.read()
    for name in TIMES:
        place = table.schema.get_field_index(name)
        table = table.set_column(place, SCHEMA.field(name), pc.subtract(table[name], start_ns))
    table = table.append_column(NUMBER, pa.array(number, pa.int32()))
    keys = _keys(table, part_of, parts.count)
    order = np.argsort(number, kind="stable")
    order = order[np.argsort(keys.part[order], kind="stable")]
    ordered, table = table.take(pa.array(order, pa.int64())), table.slice(0, 0)
    edges = np.searchsorted(keys.part[order], np.arange(parts.count + NOBODYS + 2))
    for part in np.unique(keys.part).tolist():
        mine = ordered.slice(edges[part], edges[part + 1] - edges[part]).combine_chunks()
        path = parts.folder / f"{part:05d}-{source.first:012d}.arrow"
        with path.open("wb") as file, pa.ipc.new_file(file, mine.schema) as writer:
            writer.write_table(mine)
    np.savez(parts.folder / f"keys-{source.first:012d}.npz", **vars(keys))


def _keys(table: pa.Table, part_of: PartOf, count: int) -> _Keys:
    user = table["user"].to_numpy().astype(np.int64)
    part = part_of(user)
    operation = table["operation"].to_pandas()
    settle = operation.isin(SETTLES).to_numpy()
    part[operation.isin(EVERYBODYS).to_numpy()] = count
    part[settle & (user < 0)] = count + NOBODYS
    push = (operation == "push").to_numpy()
    refs, ids = hashes(pc.utf8_trim(table["ref"], " \t")), hashes(table["challenge_id"])
    return _Keys(table[NUMBER].to_numpy(), part, push, settle, refs, ids)


def link(parts: Parts) -> None:
    """Find the guests of each part, once all rows are in their files."""
    paths = sorted(parts.folder.glob("keys-*.npz"))
    part_of = np.zeros(parts.size, np.uint16)
    for keys in _each(paths, "number", "part"):
        part_of[keys["number"]] = keys["part"]
    np.save(parts.folder / "part_of.npy", part_of)
    found: list[pd.DataFrame] = [*_sharing(paths), *_settling(paths, parts.count)]
    guests = pd.concat([_nothing("for", "number"), *found])
    visitors = {str(part): np.zeros(0, np.int64) for part in range(parts.count)}
    for part, rows in guests.groupby("for")["number"]:
        visitors[str(part)] = np.unique(rows.to_numpy(np.int64))
    np.savez(parts.folder / "visitors.npz", **visitors)  # type: ignore[arg-type]  # stubs take all names for flags
    for path in paths:
        path.unlink()


def _each(paths: list[Path], *names: str) -> Iterator[dict[str, Any]]:
    for path in paths:
        with np.load(path) as kept:
            yield {name: kept[name] for name in names}


def _sharing(paths: list[Path]) -> Iterator[pd.DataFrame]:
    """The earliest pushes of each ref that persons of several parts have, for those parts that they are not in."""
    named = list(_each(paths, "ref", "part"))
    ref, part = (np.concatenate([one[name] for one in named] or [np.zeros(0, np.uint64)]) for name in ("ref", "part"))
    del named
    shared = _of_several(ref, part)
    if not len(shared):
        return
    rows = pd.concat([_having(keys, "ref", shared) for keys in _each(paths, "ref", "part", "number", "push")])
    rows = rows.sort_values(["ref", "number"])
    turn = rows["ref"].rank(method="dense").to_numpy().astype(np.int64) * AT_ONCE // max(len(rows), 1)
    for _, some in rows.groupby(turn):
        first = some[some.groupby("ref").cumcount() < MOST_GUESTS]
        pairs = some[["ref", "part"]].drop_duplicates().merge(first, on="ref", suffixes=("_for", ""))
        pairs = pairs[pairs["part_for"] != pairs["part"]]
        yield pairs.rename(columns={"part_for": "for"})[["for", "number"]].astype(np.int64)


def _of_several(ref: Hashes, part: Any) -> Hashes:
    """The refs that rows of several parts have, and others of which the first bits are the same.

    The number of the part takes the place of the last bits, so that one sort of numbers brings them side by side.
    """
    bits = np.uint64(int(part.max(initial=0)).bit_length())
    both = ref[ref != 0] >> bits << bits
    both |= part[ref != 0]
    both.sort()
    same = ((both[1:] ^ both[:-1]) >> bits == 0) & (both[1:] != both[:-1])
    begins = np.unique(both[1:][same] >> bits)
    if not len(begins):
        return begins
    place = np.minimum(np.searchsorted(begins, ref >> bits), len(begins) - 1)
    return np.unique(ref[(begins[place] == ref >> bits) & (ref != 0)])


def _having(keys: dict[str, Any], name: str, values: Any) -> pd.DataFrame:
    """The pushes whose `name` is one of the sorted values."""
    place = np.minimum(np.searchsorted(values, keys[name]), len(values) - 1)
    chosen = (values[place] == keys[name]) & keys["push"]
    return pd.DataFrame({one: column[chosen] for one, column in keys.items()})


def _settling(paths: list[Path], count: int) -> Iterator[pd.DataFrame]:
    """The settles of challenges that persons of other parts were given, or of which nobody knows whose they were.

    With each settle come all that was given the same challenge, and what else was sent for the same calls.
    """
    wanted = ("id", "part", "number", "settle")
    calls = pd.concat([pd.DataFrame(keys)[keys["settle"]] for keys in _each(paths, *wanted)] or [_nothing(*wanted)])
    if not len(calls):
        return
    ids = np.unique(calls["id"].to_numpy())
    given = pd.concat([_having(keys, "id", ids) for keys in _each(paths, *wanted, "push", "ref")])
    given = given[given["id"] != 0]
    both = pd.concat([calls[["id", "part"]], given[["id", "part"]]]).drop_duplicates()
    several = both["id"][both["id"].duplicated()].unique()
    if len(several):
        yield _elsewhere(paths, calls[calls["id"].isin(several)], given[given["id"].isin(several)], both, count)
    stray = calls[(calls["part"] == count + NOBODYS) & ~calls["id"].isin(given["id"])]["number"]
    for part in range(count):
        yield pd.DataFrame({"for": part, "number": stray}).astype(np.int64)


def _elsewhere(
    paths: list[Path], calls: pd.DataFrame, given: pd.DataFrame, both: pd.DataFrame, count: int
) -> pd.DataFrame:
    """What the parts that have to do with some challenges need of each other."""
    refs = np.unique(given["ref"].to_numpy())
    named = pd.concat([_having(keys, "ref", refs) for keys in _each(paths, "ref", "part", "number", "push")])
    same_call = given[given["ref"] != 0][["id", "ref", "part"]].merge(named, on=["ref", "part"])
    rows = pd.concat([one[["id", "part", "number"]] for one in (calls, given, same_call)]).drop_duplicates()
    parts = both[both["part"] < count].rename(columns={"part": "for"})
    needed = parts.merge(rows, on="id")
    return needed[needed["for"] != needed["part"]][["for", "number"]].astype(np.int64)


def _nothing(*names: str) -> pd.DataFrame:
    return pd.DataFrame({name: np.zeros(0, np.int64) for name in names})
