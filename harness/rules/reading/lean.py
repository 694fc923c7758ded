"""Keeps the columns of a part's pushes small on disk, and puts those of all parts together again."""

import json
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from harness.history.hashing import hashes
from harness.rules.reading.columns import NONE, Ints, Pushes

Fetch = Callable[[Ints, list[str]], pd.DataFrame]

WORDS: Final = {"channel": "channels", "code": "codes", "intent": "intents"}  # columns of few texts
# The smallest types that hold what there can be of each; the others are flags.
TYPES: Final = {
    "row": np.int32, "sent": np.int64, "received": np.int64, "status": np.int16, "token": np.int32,
    "person": np.int32, "programme": np.int32, "key": np.int32, "channel": np.int8, "ref": np.int64, "id": np.int32,
    "code": np.int32, "intent": np.int16, "op": np.int32,
}  # fmt: skip
COLUMNS: Final = [one.name for one in fields(Pushes) if one.name not in ("ops", "refs", "ids", *WORDS.values())]
SIGN: Final = np.uint64(2**63 - 1)


class Texts:
    """The texts behind the numbers of a column, looked up where one is shown."""

    def __init__(self, columns: Callable[[str], Any], column: str, name: str, fetch: Fetch) -> None:
        self._columns, self._column, self._name, self._fetch = columns, column, name, fetch

    def __getitem__(self, number: Any) -> str:
        return str(self.take(np.array([number]))[0])

    def take(self, numbers: Ints) -> "pd.Index[Any]":
        """The text of each number."""
        wanted, every = np.unique(numbers), self._columns(self._column)
        places = np.flatnonzero(np.isin(every, wanted))
        _, first = np.unique(every[places], return_index=True)
        rows = self._columns("row")[places[first]].astype(np.int64)
        texts = self._fetch(rows, [self._name])[self._name].to_numpy()
        found: pd.Index[Any] = pd.Index(texts[np.searchsorted(wanted, numbers)])
        return found


class Gathered(Pushes):
    """The pushes of a history in parts: a column is put together when it is first looked at."""

    def __init__(self, gather: Callable[[str], Any], **known: Any) -> None:
        for name, value in {"_gather": gather, **known}.items():
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        if name not in COLUMNS:
            raise AttributeError(name)
        object.__setattr__(self, name, self._gather(name))
        return self.__dict__[name]


def keep(pushes: Pushes, rows: Ints, path: Any) -> None:
    """Write a part's columns; `rows` are the numbers of its pushes in the whole history. Refs and ids become hashes."""
    kept: dict[str, Any] = {one.name: getattr(pushes, one.name) for one in fields(Pushes)}
    kept["row"] = rows
    ids = hashes(pa.array(pushes.ids, pa.string()))
    kept["ref"] = np.append(_signed(hashes(pa.array(pushes.refs, pa.string()))), NONE)[pushes.ref]
    texts = {name: [str(text) for text in kept.pop(name)] for name in WORDS.values()}
    del kept["refs"], kept["ids"], kept["ops"]
    columns = {name: np.asarray(column, TYPES.get(name, np.bool_)) for name, column in kept.items()}
    about = np.frombuffer(json.dumps({**texts, "ops": pushes.ops}).encode(), np.uint8)
    np.savez(path, about=about, ids=_signed(ids), **columns)  # type: ignore[arg-type]


def _signed(found: Any) -> Ints:
    """Hashes as numbers that are never -1."""
    signed: Ints = (found & SIGN).astype(np.int64)
    return signed


def alone(path: Path, fetch: Fetch) -> Pushes:
    """The columns of one part."""
    with np.load(path) as kept:
        about = json.loads(kept["about"].tobytes())
        columns = {name: kept[name] for name in COLUMNS}
    return _pushes(columns.__getitem__, about["ops"], {name: about[name] for name in WORDS.values()}, fetch)


def ids_meet(paths: list[Path]) -> bool:
    """Whether persons of several parts were given the same id, or, by 2^-64, ids that only look so."""
    every = [np.zeros(0, np.int64)]
    for one in _each(paths, "ids", "id", "success"):
        given = np.zeros(len(one["ids"]) + 1, np.bool_)
        given[one["id"][one["success"]]] = True
        every.append(one["ids"][given[:-1]])
    ids = np.sort(np.concatenate(every))
    return bool((ids[1:] == ids[:-1]).any())


def together(paths: list[Path], size: int, fetch: Fetch) -> Pushes:
    """The columns of all parts of a history of `size` exchanges, in order of sending."""
    every = _Every(paths, size)
    return _pushes(every.column, int(every.ops[-1]), every.words, fetch)


class _Every:
    """The columns of all parts, of which nothing is read but what is asked for."""

    def __init__(self, paths: list[Path], size: int) -> None:
        self._paths, self._size = paths, size
        self._about = [json.loads(one["about"].tobytes()) for one in _each(paths, "about")]
        self.words = {name: sorted({text for part in self._about for text in part[name]}) for name in WORDS.values()}
        self.ops = np.cumsum([0, *(part["ops"] for part in self._about)])

    def column(self, name: str) -> Any:
        """One column of all parts.

        It is in a file beside the parts, so that it takes memory only where, and as long as, it is looked at.
        """
        whole = np.zeros(sum(map(len, self._places)), TYPES.get(name, np.bool_))
        moved = self._moved(name)
        for n, one in enumerate(_each(self._paths, name)):
            column = one[name]
            if moved is not None:
                column = column + moved[n] if isinstance(moved[n], int) else moved[n][column]
            whole[self._places[n]] = column
        place = self._paths[0].with_name(f"{name}.npy")
        np.save(place, whole)
        return np.load(place, mmap_mode="r").view(np.ndarray)

    @cached_property
    def _places(self) -> list[Any]:
        """For each part the places of its rows in all of them."""
        rows, there = [one["row"] for one in _each(self._paths, "row")], np.zeros(self._size, np.bool_)
        for row in rows:
            there[row] = True
        order = np.cumsum(there, dtype=np.int32) - 1
        return [order[row] for row in rows]

    def _moved(self, name: str) -> list[Any] | None:
        """What the numbers of a column have become, for each part; None where they stay."""
        if name == "id":
            return _joined_ids(self._paths)
        if name == "op":
            return [int(begin) for begin in self.ops]
        if name not in WORDS:
            return None
        words, texts = self.words[WORDS[name]], WORDS[name]
        return [np.array([*(words.index(text) for text in part[texts]), NONE]) for part in self._about]


def _pushes(gather: Callable[[str], Any], ops: int, words: dict[str, list[str]], fetch: Fetch) -> Pushes:
    made = Gathered(gather, ops=ops)
    texts_of: dict[str, Any] = {name: pd.Index(texts) for name, texts in words.items()}
    for name, column, what in (("refs", "ref", "ref"), ("ids", "id", "challenge_id")):
        texts_of[name] = Texts(partial(getattr, made), column, what, fetch)
    made.__dict__.update(texts_of)
    return made


def _each(paths: list[Path], *names: str) -> Iterator[dict[str, Any]]:
    for path in paths:
        with np.load(path) as kept:
            yield {name: kept[name] for name in names}


def _joined_ids(paths: list[Path]) -> list[Any]:
    """For each part the numbers of its ids among those of all parts: the same id has one number."""
    each = [one["ids"] for one in _each(paths, "ids")]
    every = np.concatenate([*each, np.zeros(0, np.int64)])
    order = np.argsort(every, kind="stable")
    same = np.append(False, every[order][1:] == every[order][:-1]) if len(every) else np.zeros(0, np.bool_)
    number = np.empty(len(every), np.int32)
    number[order] = np.cumsum(~same) - 1
    return [np.append(part, NONE) for part in np.split(number, np.cumsum([len(one) for one in each])[:-1])]
