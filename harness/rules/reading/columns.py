"""The pushes of a history as columns of integers, so that rules can work on millions of them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property, wraps
from typing import Any, Final, Protocol, TypeVar
from weakref import ref as weak

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from harness.history import History
from harness.profile import Profile
from harness.spec import load_spec

Ints = npt.NDArray[np.int64]
T = TypeVar("T")
Flags = npt.NDArray[np.bool_]

NONE: Final = -1  # the code of what is missing: no ref, no id, nobody
# Requests whose recorded user, channel and ref are exactly what the target was sent. The others say two things at
# once, spell them in a way of their own, or break HTTP, so that it is open which operation they ask for.
PLAIN_INTENTS: Final = (
    "valid,replay,pending,new-login,after-accept,after-decline,limit-reached,unregistered,unsupported,ref-odd,"
    "body-sent,accept-odd,any,key-missing,key-empty,key-unknown,key-foreign,token-logged-out,token-impersonator"
)
READ: Final = "user,key,method,channel,ref,intent,sent,received,status,outcome,error_code,challenge_id"
# Letters beyond ASCII in UTF-8, as the history has their bytes: no way of reading a header takes one for another.
_PRINTABLE: Final = r"^(?:[\x20-\x7e]|[\x{c3}-\x{df}][\x{80}-\x{bf}]|[\x{e1}-\x{ec}][\x{80}-\x{bf}]{2})+$"


@dataclass(frozen=True)
class Pushes:
    """The exchanges of the push operation in order of sending, a column each; all int64 or bool, of one length.

    `row` is the place in `history.frame`. Times are ns. `token` is the index in the pool (-1: none of it), `person`,
    `programme` and `key` are its numbers there (-1: nobody's; `key` is the one that was sent). `channel`, `ref`, `id`
    and `code` are numbers of the texts in `channels`, `refs`, `ids`, `codes`; -1 where there is none. `refs` are
    without the blanks around them, which HTTP does not carry (RFC 9110, section 5.5).

    `success`: answered 2xx with an id. `unknown`: it may or may not have had its effect, a 2xx without an id included.
    `refused`: answered 3xx or 4xx. What was never sent is none of the three. `entitled`: an active token with its own
    key on a documented channel that it can be sent a push on. `vague`: the exchange does not tell for sure which
    operation it asks for (see `PLAIN_INTENTS`; an empty ref, one that is no printable text in UTF-8, or longer than the
    target takes). `op` numbers operations from 0 to `ops` - 1; a vague exchange belongs to the operation of its person
    that was given the same id, and otherwise is an operation of its own.
    """

    row: Ints
    sent: Ints
    received: Ints
    token: Ints
    person: Ints
    programme: Ints
    key: Ints
    channel: Ints
    ref: Ints
    id: Ints
    code: Ints
    status: Ints
    intent: Ints
    success: Flags
    unknown: Flags
    refused: Flags
    entitled: Flags
    vague: Flags
    op: Ints
    ops: int
    channels: pd.Index
    refs: pd.Index
    ids: pd.Index
    codes: pd.Index
    intents: pd.Index

    def __len__(self) -> int:
        return len(self.row)

    @cached_property
    def limited(self) -> Flags:
        """Refused by the rate limit."""
        return np.equal(self.status, 429)

    @cached_property
    def exhausted(self) -> Flags:
        """Refused by the challenge limit."""
        return self._conflict("CHALLENGE_LIMIT_EXCEEDED")

    @cached_property
    def state_invalid(self) -> Flags:
        """Refused for the state of the token."""
        return self._conflict("STATE_INVALID")

    def _conflict(self, code: str) -> Flags:
        conflict: Flags = self.has_code(code) & self.refused & (self.status == 409)
        return conflict

    def has_code(self, *names: str) -> Flags:
        return _among(self.code, self.codes, names)

    def has_intent(self, *names: str) -> Flags:
        return _among(self.intent, self.intents, names)

    def refused_in_front(self) -> Flags:
        """Refusals of what breaks HTTP: who finds the fault while the body comes may have handed on the head before."""
        return self.refused & self.has_intent("http-broken")

    def where(self, chosen: Flags) -> "Pushes":
        """The chosen exchanges only; numbers keep their meaning."""
        columns: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        kept: dict[str, Any] = {k: v[chosen] if isinstance(v, np.ndarray) else v for k, v in columns.items()}
        return Pushes(**kept)


@dataclass(frozen=True)
class Elsewhere:
    """What those who look at some scopes of a limit only know of the rest of the history.

    `times` tells for each limit when that began and ended which was sent besides and may count for any scope. `signs`
    are those of all scopes (see `rate_requests.signs_of`).
    """

    times: Mapping[Any, tuple[Ints, Ints]] = field(default_factory=dict)
    signs: frozenset[str] = frozenset()


class Rows(Protocol):
    """The rows of a history that stay on disk; see `History` for what is asked of them."""

    def at(self, rows: Ints, names: list[str], /) -> pd.DataFrame: ...
    def having(self, words: dict[str, str], names: list[str], /) -> pd.DataFrame: ...


@dataclass(frozen=True)
class Whole(History):
    """A history too large for one table: the columns of its pushes, its control calls as `frame`, the rest on disk.

    Of some scopes of a limit only it holds the pushes, the control calls that concern everybody, and `elsewhere`.
    """

    columns: Pushes = field(kw_only=True, repr=False)
    total: int = field(kw_only=True)
    rows: Rows = field(kw_only=True, repr=False)
    elsewhere: Elsewhere | None = field(default=None, kw_only=True, repr=False)

    @property
    def size(self) -> int:
        return self.total

    def at(self, rows: Ints, names: list[str]) -> pd.DataFrame:
        ours = self.rows.at(rows[rows >= 0], names)
        if self.earlier is None or (rows >= 0).all():
            return ours
        return pd.concat([self.earlier.loc[rows[rows < 0], names], ours]).loc[rows]

    @property
    def with_earlier(self) -> History:
        return self

    def every(self, names: list[str]) -> pd.DataFrame:
        return self.rows.having({}, names).sort_index()

    def having(self, words: dict[str, str], names: list[str]) -> pd.DataFrame:
        return self.rows.having(words, names)


_KEPT: Final[list[list[Any]]] = []


def forget() -> None:
    """Let go of the columns that are kept for the last history."""
    for last in _KEPT:
        last.clear()


def once_a_history(make: Callable[[History, Profile], T]) -> Callable[[History, Profile], T]:
    """Keep what `make` gave for the last history and profile while both live, as many rules ask for the same."""
    last: list[Any] = []
    _KEPT.append(last)
    return _keeping(make, last)


def small_once_a_history(make: Callable[[History, Profile], T]) -> Callable[[History, Profile], T]:
    """As `once_a_history`, of what is so small that it need not be forgotten."""
    return _keeping(make, [])


def _keeping(make: Callable[[History, Profile], T], last: list[Any]) -> Callable[[History, Profile], T]:
    @wraps(make)
    def kept(history: History, profile: Profile) -> T:
        if not (last and last[0]() is history.frame and last[1]() is profile and last[2] == history.gaps):
            last[:] = [weak(history.frame), weak(profile), history.gaps, make(history, profile)]
        made: T = last[3]
        return made

    return kept


@once_a_history
def pushes_of(history: History, profile: Profile) -> Pushes:
    """The pushes of a history under a profile; a record that is there twice counts once."""
    if isinstance(history, Whole):
        return history.columns
    pushes = everyone_of(history, profile)
    return pushes if history.guests is None else pushes.where(~history.guest(pushes.row))


@once_a_history
def everyone_of(history: History, profile: Profile) -> Pushes:
    """The pushes of a history or of a part of one, with those of guests."""
    frame = history.frame
    push = (frame["operation"] == "push").to_numpy()
    return _columns(frame.loc[push & ~_recorded_twice(frame), READ.split(",")], profile)


def _recorded_twice(frame: pd.DataFrame) -> Flags:
    """Rows that repeat the one before; the order of a history puts copies of one record side by side."""
    twice = np.ones(len(frame), np.bool_)
    twice[:1] = False
    for name in ("sent", "received", "seq"):
        values = frame[name].to_numpy()
        twice[1:] &= values[1:] == values[:-1]
    for name in ("stage", "worker"):
        codes = frame[name].astype("category").cat.codes.to_numpy()
        twice[1:] &= codes[1:] == codes[:-1]
    return twice


def _columns(frame: pd.DataFrame, profile: Profile) -> Pushes:
    sent, received, status = (frame[name].to_numpy(np.int64) for name in ("sent", "received", "status"))
    token, key = frame["user"].to_numpy(np.int64), frame["key"].to_numpy(np.int64)
    channel, channels = _numbers(frame["channel"])
    ref, refs = _trimmed(*_numbers(frame["ref"]))
    challenge, ids = _numbers(frame["challenge_id"])
    code, codes = _numbers(frame["error_code"])
    intent, intents = _numbers(frame["intent"])
    person, programme = _people(token, profile)
    outcome = frame["outcome"]
    success = (outcome == "ok").to_numpy() & (challenge >= 0)
    vague = ~_among(intent, intents, PLAIN_INTENTS.split(",")) | (token < 0) | _unclear(ref, refs, profile)
    op, ops = _operations(person, channel, ref, np.where(success, challenge, NONE), vague)
    return Pushes(
        row=frame.index.to_numpy(np.int64), sent=sent, received=received, status=status, token=token, person=person,
        programme=programme, key=key, channel=channel, ref=ref, id=challenge, code=code, intent=intent, success=success,
        unknown=(outcome == "unknown").to_numpy() | ((outcome == "ok").to_numpy() & ~success),
        refused=(outcome == "refused").to_numpy() & (status > 0),
        entitled=_entitled(frame, token, key, channel, channels, profile),
        vague=vague, op=op, ops=ops, channels=channels, refs=refs, ids=ids, codes=codes, intents=intents,
    )  # fmt: skip


def _numbers(column: "pd.Series[Any]") -> tuple[Ints, pd.Index]:
    """A number for each distinct text, and the texts; -1 for what is empty in columns that know no None."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        numbers, texts = column.cat.codes.to_numpy().astype(np.int64), pd.Index(column.cat.categories)
    else:
        found, texts = pd.factorize(column)
        numbers = found.astype(np.int64)
    if column.name != "ref":
        for empty in np.flatnonzero(texts == ""):
            numbers[numbers == empty] = NONE
    return numbers, texts


def _trimmed(numbers: Ints, texts: pd.Index) -> tuple[Ints, pd.Index]:
    """Refs without the blanks around them: no target can tell them apart."""
    given = pa.array(texts, pa.string())
    plain = pc.utf8_trim(given, " \t")
    if plain.equals(given):
        return numbers, texts
    renumbered, trimmed = pd.factorize(pd.Series(plain.to_numpy(zero_copy_only=False), dtype="str"))
    return _through(renumbered.astype(np.int64), numbers), trimmed


def _through(table: Ints, numbers: Ints) -> Ints:
    """`table` at each number; -1 stays -1."""
    return np.append(table, NONE)[numbers]


def _among(numbers: Ints, texts: pd.Index, names: Iterable[str]) -> Flags:
    chosen: Flags = np.append(texts.isin(list(names)), False)
    return chosen[numbers]


def _unclear(ref: Ints, refs: pd.Index, profile: Profile) -> Flags:
    """Refs that a correct target may refuse, take for none, or see in another spelling."""
    texts = pa.array(refs, pa.string())
    bad = ~pc.match_substring_regex(texts, _PRINTABLE).to_numpy(zero_copy_only=False)
    if profile.policy.longest_ref is not None:
        bad |= pc.utf8_length(texts).to_numpy(zero_copy_only=False) > profile.policy.longest_ref
    unclear: Flags = np.append(bad.astype(bool), False)
    return unclear[ref]


def _people(token: Ints, profile: Profile) -> tuple[Ints, Ints]:
    """Person and programme of each token; a token that the pool does not hold is a person and programme of its own."""
    users = profile.pool.users
    size = max(len(users), int(token.max(initial=-1)) + 1)
    strangers = range(len(users), size)
    base = 1 + max((max(user.person, user.programme) for user in users), default=NONE)
    person = np.array([*(user.person for user in users), *(base + n for n in strangers)], np.int64)
    programme = np.array([*(user.programme for user in users), *(base + n for n in strangers)], np.int64)
    return _through(person, token), _through(programme, token)


def _entitled(
    frame: pd.DataFrame, token: Ints, key: Ints, channel: Ints, channels: pd.Index, profile: Profile
) -> Flags:
    users = profile.pool.users
    known = (token >= 0) & (token < len(users))
    place = np.where(known, token, 0)
    if not users:
        return known
    active = np.array([user.state == "active" for user in users])[place]
    own_key = np.array([user.key for user in users], np.int64)[place] == key
    names = [*channels, None]  # None at -1, where no channel is
    lists = {user.usable: [name in user.usable for name in names] for user in users}
    usable = np.array([lists[user.usable] for user in users])[place, channel]
    entitled: Flags = known & active & own_key & usable & (frame["method"] == load_spec().method).to_numpy()
    return entitled


def _operations(person: Ints, channel: Ints, ref: Ints, given: Ints, vague: Flags) -> tuple[Ints, int]:
    """The number of each exchange's operation, and how many there are."""
    rows = len(ref)
    known = (ref >= 0) & ~vague
    who = _dense(person * (int(channel.max(initial=0)) + 2) + channel)
    named = _dense(np.where(known, who * (int(ref.max(initial=0)) + 1) + ref, NONE - np.arange(rows, dtype=np.int64)))
    if vague.any():
        _join_by_id(named, person, given, vague)
        named = _dense(named)
    return named, int(named.max(initial=-1)) + 1


def _join_by_id(op: Ints, person: Ints, given: Ints, vague: Flags) -> None:
    """Give vague exchanges with an id the operation in which their person was given it, a clear one if there is one."""
    whose = _dense(person * (int(given.max(initial=0)) + 1) + given)
    has = given >= 0
    order = np.flatnonzero(has)[np.argsort(vague[has], kind="stable")[::-1]]
    first = np.full(int(whose.max(initial=-1)) + 1, NONE, np.int64)
    first[whose[order]] = op[order]  # the last write stays: the earliest clear exchange, else the earliest vague one
    joined = vague & has
    op[joined] = first[whose[joined]]


def _dense(numbers: Ints) -> Ints:
    return np.asarray(pd.factorize(numbers)[0], np.int64)
