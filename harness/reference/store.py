"""Everything that the service remembers, in one SQLite file that all its processes share."""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from harness.reference.answers import Refused

BUSY_S: Final = 30.0
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refs (
    person TEXT, channel TEXT, ref TEXT, challenge TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (person, channel, ref)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS claims (
    person TEXT, channel TEXT, ref TEXT, owner TEXT NOT NULL, until INTEGER NOT NULL,
    PRIMARY KEY (person, channel, ref)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS challenges (
    id TEXT PRIMARY KEY, token TEXT NOT NULL, at INTEGER NOT NULL, outcome TEXT NOT NULL DEFAULT 'pending'
    ) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pending (token TEXT PRIMARY KEY, challenge TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settled (token TEXT PRIMARY KEY, outcome TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pushes (challenge TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS hits (
    scope TEXT, slot INTEGER, at INTEGER NOT NULL, PRIMARY KEY (scope, slot)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS meters (scope TEXT PRIMARY KEY, at INTEGER NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID;
"""
FORGOTTEN: Final = ("hits", "meters", "pending", "claims")  # by a reset: limits, and challenges that are under way


class Key(NamedTuple):
    """What makes an operation the same operation."""

    person: str
    channel: str
    ref: str


class Meter(NamedTuple):
    """The one state that a limit keeps for a scope: a time and a number."""

    at: int
    used: int


class Challenge(NamedTuple):
    """A challenge that was issued."""

    id: str
    token: str
    at: int
    outcome: str


class Store:
    """The database, open in one process. Reads and writes that belong together stand in one `transaction`."""

    def __init__(self, path: Path) -> None:
        self._lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        self._db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, cached_statements=64)
        with self._alone():  # the change to WAL fails at once where another process makes it, whatever the timeout
            self._db.execute("PRAGMA journal_mode = WAL")
        # What was committed outlives any process, which is what the tests kill; only a crash of the whole machine
        # could lose it, and waiting for the disk would cost more time than all the rest.
        self._db.execute("PRAGMA synchronous = OFF")
        with self.transaction():
            for statement in SCHEMA.split(";"):
                self._db.execute(statement)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """One at a time over all processes; a refusal is an outcome like any other and commits what it counted."""
        with self._alone():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except Refused:
                self._db.execute("COMMIT")
                raise
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait in the kernel, which wakes the next one at once, where SQLite would sleep and look again."""
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        self._db.close()
        os.close(self._lock)

    def row(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        """The first row of a query, None where there is none."""
        row: tuple[Any, ...] | None = self._db.execute(sql, values).fetchone()
        return row

    def do(self, sql: str, *values: Any) -> None:
        self._db.execute(sql, values)

    def fact(self, name: str) -> int | None:
        row = self.row("SELECT value FROM facts WHERE name = ?", name)
        return None if row is None else row[0]

    def keep_fact(self, name: str, value: int) -> None:
        self.do("INSERT OR REPLACE INTO facts VALUES (?, ?)", name, value)

    def challenge_of(self, key: Key, since: int) -> str | None:
        """The challenge that this operation was given at `since` or later."""
        row = self.row(
            "SELECT challenge FROM refs WHERE person = ? AND channel = ? AND ref = ? AND at >= ?", *key, since
        )
        return None if row is None else row[0]

    def keep_ref(self, key: Key, challenge: str, at: int) -> None:
        self.do("INSERT OR REPLACE INTO refs VALUES (?, ?, ?, ?, ?)", *key, challenge, at)

    def forget_refs(self, before: int) -> None:
        self.do("DELETE FROM refs WHERE at < ?", before)

    def claimed(self, key: Key, now: int) -> str | None:
        """Who is working on this operation."""
        row = self.row("SELECT owner FROM claims WHERE person = ? AND channel = ? AND ref = ? AND until > ?", *key, now)
        return None if row is None else row[0]

    def claim(self, key: Key, owner: str, until: int) -> None:
        self.do("INSERT OR REPLACE INTO claims VALUES (?, ?, ?, ?, ?)", *key, owner, until)

    def unclaim(self, key: Key, owner: str) -> None:
        self.do("DELETE FROM claims WHERE person = ? AND channel = ? AND ref = ? AND owner = ?", *key, owner)

    def add_challenge(self, challenge: str, token: str, at: int) -> None:
        self.do("INSERT INTO challenges (id, token, at) VALUES (?, ?, ?)", challenge, token, at)
        self.do("INSERT OR REPLACE INTO pending VALUES (?, ?, ?)", token, challenge, at)

    def challenge(self, challenge: str) -> Challenge | None:
        row = self.row("SELECT id, token, at, outcome FROM challenges WHERE id = ?", challenge)
        return None if row is None else Challenge(*row)

    def pending_since(self, token: str) -> int | None:
        """When the token's latest challenge was issued, None where it has none or it is settled."""
        row = self.row("SELECT at FROM pending WHERE token = ?", token)
        return None if row is None else row[0]

    def settle(self, challenge: Challenge, outcome: str) -> None:
        self.do("UPDATE challenges SET outcome = ? WHERE id = ?", outcome, challenge.id)
        self.do("INSERT OR IGNORE INTO settled VALUES (?, ?)", challenge.token, outcome)
        self.do("DELETE FROM pending WHERE token = ?", challenge.token)

    def is_settled(self, token: str) -> bool:
        return self.row("SELECT 1 FROM settled WHERE token = ?", token) is not None

    def add_push(self, challenge: str) -> None:
        self.do("INSERT INTO pushes VALUES (?)", challenge)

    def pushes(self) -> int:
        row = self.row("SELECT count(*) FROM pushes")
        return 0 if row is None else row[0]

    def hit(self, scope: str, slot: int) -> int | None:
        row = self.row("SELECT at FROM hits WHERE scope = ? AND slot = ?", scope, slot)
        return None if row is None else row[0]

    def keep_hit(self, scope: str, slot: int, at: int) -> None:
        self.do("INSERT OR REPLACE INTO hits VALUES (?, ?, ?)", scope, slot, at)

    def meter(self, scope: str) -> Meter:
        row = self.row("SELECT at, used FROM meters WHERE scope = ?", scope)
        return Meter(0, 0) if row is None else Meter(*row)

    def keep_meter(self, scope: str, meter: Meter) -> None:
        self.do("INSERT OR REPLACE INTO meters VALUES (?, ?, ?)", scope, *meter)

    def reset(self) -> None:
        """Forget limits and challenges under way. Refs are kept for their time, and what is settled stays settled."""
        for table in FORGOTTEN:
            self.do(f"DELETE FROM {table}")  # noqa: S608  (names of our own)
