"""Sorts the answers of a history into kinds: a rule over single exchanges looks at each kind once, not at each row."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.history import History
from harness.pool import Pool
from harness.profile import Profile
from harness.rules.reading.columns import Ints, once_a_history
from harness.spec import load_spec

KeyFit = Literal["own", "foreign", "unknown"]
OTHER: Final = "?"  # stands for every channel and errorCode that neither document nor case names
LARGEST: Final = 2**62


class Kind(NamedTuple):
    """What answers have in common: all that decides whether such an answer is right.

    `state` is that of the token's user in the pool, empty where the token is none of the pool's. `enrolled` and
    `offered` speak of that user on that channel; `unsaid`: the pool does not tell whether it is offered. `key` says
    whose api-key was sent with it. `fault`: whether the body's form is wrong. `channel` and `code` are `?` where they
    are no documented ones.
    """

    intent: str
    allowed: tuple[str, ...]
    method: str
    status: int
    code: str
    fault: bool
    channel: str
    state: str
    enrolled: bool
    offered: bool
    unsaid: bool
    key: KeyFit


@dataclass(frozen=True)
class Kinds:
    """The answered pushes of a history: `rows` are their positions, `code` numbers the kind of each.

    `count` and `first` give for each kind of `each` how many rows it has and the earliest of them.
    """

    each: tuple[Kind, ...]
    rows: Ints
    code: Ints
    count: Ints
    first: Ints

    def of(self, row: int) -> Kind:
        """The kind of the answer at this position."""
        return self.each[int(self.code[np.searchsorted(self.rows, row)])]

    def rows_of(self, chosen: Iterable[int]) -> Ints:
        """The positions of all rows of the chosen kinds, in order."""
        wanted = np.zeros(len(self.each), dtype=bool)
        wanted[list(chosen)] = True
        return self.rows[wanted[self.code]] if len(self.each) else self.rows


class _Part(NamedTuple):
    """One property of all rows: a number for each row, and what the numbers stand for."""

    codes: npt.NDArray[Any]
    labels: tuple[Any, ...]


@once_a_history
def kinds_of(history: History, profile: Profile) -> Kinds:
    """The kinds of a history; all rules over single exchanges ask for the same."""
    frame = history.frame
    rows = np.flatnonzero((frame["operation"] == "push").to_numpy() & (frame["status"] != 0).to_numpy())
    rows = rows[~history.guest(rows)]
    mixed, radix, labels = np.zeros(len(rows), dtype=np.int64), 1, []
    for part in _parts(frame, rows, profile.pool):
        radix *= len(part.labels)
        if radix > LARGEST:
            raise ValueError("too many different answers to number their kinds")
        mixed *= len(part.labels)
        mixed += part.codes
        labels.append(part.labels)
    code, distinct = pd.factorize(mixed)
    first = np.zeros(len(distinct), dtype=np.int64)
    first[code[::-1]] = rows[::-1]  # of several rows of one kind the last one written stays: the earliest
    each = tuple(_kind(int(number), labels) for number in distinct)
    return Kinds(each, rows, code.astype(np.int64), np.bincount(code, minlength=len(each)).astype(np.int64), first)


def _kind(number: int, labels: list[tuple[Any, ...]]) -> Kind:
    values = []
    for names in reversed(labels):
        number, place = divmod(number, len(names))
        values.append(names[place])
    key, (state, channels, unsupported, unsaid), channel, fault, code, status, method, allowed, intent = values
    told = tuple(one for one in allowed.split(",") if one)
    enrolled, offered = channel in channels, channel not in unsupported
    return Kind(intent, told, method, status, code, fault, channel, state, enrolled, offered, channel in unsaid, key)


def _parts(frame: pd.DataFrame, rows: Ints, pool: Pool) -> Iterator[_Part]:
    """The properties that make a kind, one at a time, in the order in which `_kind` reads them backwards."""
    spec = load_spec()
    allowed = _words(frame["allowed"], rows)
    codes = {one.partition(":")[2] for text in allowed.labels for one in text.split(",")} | {*spec.conflict_codes, ""}
    user, user_class = _users(frame["user"].to_numpy()[rows], pool)
    yield _words(frame["intent"], rows)
    yield allowed
    yield _words(frame["method"], rows)
    yield _numbers(frame["status"].to_numpy()[rows])
    yield _reduced(_words(frame["error_code"], rows), codes)
    yield _flags(_words(frame["body_fault"], rows))
    yield _reduced(_words(frame["channel"], rows), {*spec.channels, ""})
    yield user_class
    yield _keys(frame["key"].to_numpy()[rows], user, pool)


def _words(column: "pd.Series[Any]", rows: Ints) -> _Part:
    """A column of words at these rows; what is missing counts as empty."""
    kept = column if isinstance(column.dtype, pd.CategoricalDtype) else column.astype("category")
    labels = [str(label) for label in kept.cat.categories]
    # The code of what is missing is -1, which numpy takes for the last place.
    return _Part(np.append(np.arange(len(labels)), len(labels))[kept.cat.codes.to_numpy()[rows]], (*labels, ""))


def _numbers(column: npt.NDArray[Any]) -> _Part:
    low, high = (int(column.min()), int(column.max())) if len(column) else (0, 0)
    return _Part(column.astype(np.int64) - low, tuple(range(low, high + 1)))


def _reduced(words: _Part, known: set[str]) -> _Part:
    """The words with all that are not known taken together: a target may make up any number of them."""
    labels = (*sorted(known), OTHER)
    place = {label: number for number, label in enumerate(labels)}
    return _Part(np.array([place.get(one, place[OTHER]) for one in words.labels])[words.codes], labels)


def _flags(words: _Part) -> _Part:
    return _Part(np.array([int(bool(one)) for one in words.labels])[words.codes], (False, True))


def _users(column: npt.NDArray[Any], pool: Pool) -> tuple[Ints, _Part]:
    """Each row's user, -1 where it is none of the pool's, and what of that user decides an answer."""
    user = np.where((column >= 0) & (column < len(pool.users)), column, -1).astype(np.int64)
    classes: dict[Any, int] = {}
    number = [
        classes.setdefault((one.state, one.channels, one.unsupported, pool.unsaid(one)), len(classes))
        for one in pool.users
    ]
    nobody = classes.setdefault(("", (), (), ()), len(classes))
    return user, _Part(np.array([*number, nobody])[user], tuple(classes))


def _keys(column: npt.NDArray[Any], user: Ints, pool: Pool) -> _Part:
    """Whether each row's api-key is one of its user's programme."""
    own, foreign, unknown = 0, 1, 2
    known = np.array([one.key for one in pool.users] + [-1])
    programme = np.array([one.programme for one in pool.users] + [-1])
    pairs = [one.programme * len(known) + one.key for one in pool.users]
    fit = np.full(len(column), own)
    odd = np.flatnonzero(column != known[user])
    belongs = np.isin(programme[user[odd]] * len(known) + column[odd], pairs) | (user[odd] == -1)
    fit[odd] = np.where(belongs, own, foreign)
    fit[column == -1] = unknown
    return _Part(fit, ("own", "foreign", "unknown"))
