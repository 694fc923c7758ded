"""The credentials pool: users with their tokens, keys, programmes and enrolments, read from a JSON file."""

import json
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from harness.config import check, read_text, schema
from harness.errors import HarnessError, suggest
from harness.spec import load_spec

State = Literal["active", "logged_out", "impersonator"]


@dataclass(frozen=True)
class User:
    """One token of the pool. `index` is its place there and its only name in histories.

    `person` and `programme` are numbers: entries of one person share limits and refs, entries of one programme share
    the programme's limit. `key` numbers the distinct api-keys. `channels` are those enrolled on, `unsupported` those
    that the programme does not offer. `name` is the pool's name for the person, empty where it has none.
    """

    index: int
    state: State
    channels: tuple[str, ...]
    person: int
    programme: int
    key: int
    unsupported: tuple[str, ...] = ()
    token: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)
    name: str = field(default="", repr=False)

    @property
    def usable(self) -> tuple[str, ...]:
        """The channels on which this user can be sent a push."""
        return tuple(channel for channel in self.channels if channel not in self.unsupported)

    def facts(self) -> dict[str, Any]:
        """What may be written to a run folder: everything but the token, the key and the person's name."""
        return {name: value for name, value in asdict(self).items() if name not in ("token", "api_key", "name")}


@dataclass(frozen=True)
class Pool:
    """All users that a run may use, in the order of their file."""

    users: tuple[User, ...]

    @cached_property
    def _in_use(self) -> dict[int, frozenset[str]]:
        """Of each programme the channels on which somebody is enrolled, which it therefore offers."""
        channels: dict[int, set[str]] = {}
        for user in self.users:
            channels.setdefault(user.programme, set()).update(user.channels)
        return {programme: frozenset(names) for programme, names in channels.items()}

    def unsaid(self, user: User) -> tuple[str, ...]:
        """The channels of which the pool does not tell whether the user's programme offers them."""
        told = {*user.unsupported, *self._in_use[user.programme]}
        return tuple(channel for channel in load_spec().channels if channel not in told)

    def secrets(self) -> list[str]:
        return sorted({user.token for user in self.users} | {user.api_key for user in self.users})

    @cached_property
    def active(self) -> tuple[User, ...]:
        return tuple(user for user in self.users if user.state == "active")

    def facts(self) -> list[dict[str, Any]]:
        """The pool without secrets, for run.json."""
        return [user.facts() for user in self.users]


def read_pool(path: Path) -> Pool:
    """The pool in the JSON file at `path`; HarnessError where it is not usable, without ever quoting a secret."""
    text = read_text(path, "credentials pool")
    where = f"credentials pool {path}"
    try:
        rows = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise HarnessError(f"{where}: not JSON: {getattr(error, 'msg', 'nested too deeply')}") from error
    _check_rows(rows, where)
    pool = pool_of(rows, where)
    if not any(user.usable for user in pool.active):
        raise HarnessError(
            f"{where}: no active user is enrolled on a channel that the programme offers",
            hint="At least one user needs state 'active' and channels such as [\"AUTHY\"].",
        )
    return pool


def _check_rows(rows: Any, where: str) -> None:
    """Check each row by itself, so that the error names its place and never shows its secrets."""
    if not isinstance(rows, list):
        raise HarnessError(f"{where}: must be a list of users", hint='[{"token": …, "api_key": …, "channels": […]}]')
    if not rows:
        raise HarnessError(f"{where}: has no users", hint="Nothing can be tested without at least one user.")
    for place, row in enumerate(rows):
        shown = row
        if isinstance(row, dict):
            _refuse_misspelt(row, f"{where}: user {place}")
            # Errors quote what they refuse, so they are only ever shown a stand-in for the token and the key.
            shown = {k: _masked(v) if k in ("token", "api_key") else v for k, v in row.items()}
        check(shown, schema("users.schema.json"), f"{where}: user {place}")
        unknown = [channel for channel in row["channels"] if channel not in load_spec().channels]
        if unknown:
            raise HarnessError(
                f"{where}: user {place}: channels: {unknown[0][:40]!r} is no channel",
                hint=suggest(unknown[0], list(load_spec().channels)),
            )


def _refuse_misspelt(row: dict[str, Any], where: str) -> None:
    """A pool may carry notes of its owner's, but a key that is nearly one of ours is a slip that would be missed."""
    known = list(schema("users.schema.json")["properties"])
    for name in row:
        if name not in known and get_close_matches(name, known, n=1, cutoff=0.75):
            raise HarnessError(f"{where}: unknown key '{name[:40]}'", hint=suggest(name, known))


def _masked(value: Any) -> Any:
    if not isinstance(value, str) or not value:
        return "" if isinstance(value, str) else None
    fits = value.isascii() and value.isprintable() and " " not in value
    return "x" if fits else "not printable ASCII"


def pool_of(rows: list[dict[str, Any]], where: str = "credentials pool") -> Pool:
    """A pool from checked rows; users who share an api_key are of one programme unless `programme` says more."""
    seen: dict[str, int] = {}
    for place, row in enumerate(rows):
        if row["token"] in seen:
            raise HarnessError(
                f"{where}: users {seen[row['token']]} and {place} have the same token",
                hint="Limits and states are kept for each token; leave one of the two out.",
            )
        seen[row["token"]] = place
    key, programme, person = _Numbers(), _Numbers(), _Numbers()
    users = tuple(
        User(
            index=place,
            state=row.get("state", "active"),
            channels=tuple(dict.fromkeys(row["channels"])),
            person=person.of(("named", row["user"]) if "user" in row else ("token", row["token"])),
            programme=programme.of(("named", row["programme"]) if "programme" in row else ("key", row["api_key"])),
            key=key.of(row["api_key"]),
            unsupported=tuple(dict.fromkeys(row.get("unsupported", []))),
            token=row["token"],
            api_key=row["api_key"],
            name=str(row.get("user", "")),
        )
        for place, row in enumerate(rows)
    )
    return Pool(users)


class _Numbers:
    """Numbers things in the order in which they are first seen."""

    def __init__(self) -> None:
        self._seen: dict[Any, int] = {}

    def of(self, thing: Any) -> int:
        return self._seen.setdefault(thing, len(self._seen))


def pool_from_facts(facts: list[dict[str, Any]]) -> Pool:
    """The pool of a run folder: all that rules need to know, and no secrets."""
    lists = ("channels", "unsupported")
    rows: list[dict[str, Any]] = [{k: tuple(v) if k in lists else v for k, v in row.items()} for row in facts]
    return Pool(tuple(User(**row) for row in rows))
