"""Recorded histories as JSON lines, read with the profile they were recorded under and the verdict they expect.

Line 1 is an object of these keys, all optional but `expect`:
    why        what the file shows
    profile    tables as in profile.toml, merged over a loopback target that nobody else uses
    pool       rows as in users.json; left out: `POOL` below
    expect     pass | fail | inconclusive | not-exercised
    examined   how many occasions the rule counts
    witness    the exchanges of the first violation, by number: the first exchange is 0
    minimal    false where the witness' exchanges are not each needed for the failure (default: true)
    gaps       what is missing from the history, a sentence each
    tallies    what the workers say of themselves; left out: that all is there

Every other line is an exchange: `t` holds the times of sending and receiving in ms, `ref` is null where none was sent,
`id` stands for challenge_id, `code` for error_code, `op` for operation; columns go by their names, `intended` in ms,
`headers` and `body` also as JSON values. What is left out has the value of an uneventful 200 of user 0 on AUTHY.
"""

import json
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from harness.case import INTENTS, allowed_for
from harness.config import check, schema
from harness.history import SCHEMA, History, Tally, history_of, outcome_of
from harness.pool import Pool, pool_of
from harness.profile import Profile, profile_of

BOTH: Final = ["AUTHY", "BIOMETRIC"]
POOL: Final[list[dict[str, Any]]] = [
    *({"token": f"token-{n}", "api_key": "key-a", "channels": BOTH, "user": f"person-{n}"} for n in range(8)),
    {"token": "token-8", "api_key": "key-b", "channels": BOTH},
    {"token": "token-9", "api_key": "key-b", "channels": BOTH},
    {"token": "token-10", "api_key": "key-a", "channels": BOTH, "state": "logged_out"},
    {"token": "token-11", "api_key": "key-a", "channels": BOTH, "state": "impersonator"},
    {"token": "token-12", "api_key": "key-a", "channels": ["AUTHY"]},
    {"token": "token-13", "api_key": "key-a", "channels": BOTH, "user": "person-0"},  # user 0, logged in once more
    {"token": "token-14", "api_key": "key-c", "channels": BOTH, "unsupported": ["BIOMETRIC"]},
]
PROFILE: Final[dict[str, Any]] = {
    "target": {"base_url": "http://127.0.0.1:8921", "exclusive": True},
    "credentials": {"users": "users.json"},
}
SHORT: Final = {"id": "challenge_id", "code": "error_code", "op": "operation"}
HEADER: Final = {"why", "profile", "pool", "expect", "examined", "witness", "minimal", "gaps", "tallies"}
STATUSES: Final = ("pass", "fail", "inconclusive", "not-exercised")


@dataclass(frozen=True)
class Expectation:
    """The verdict that a file expects. `lines` gives for each row of the history's frame its number in the file."""

    status: str
    examined: int | None
    witness: tuple[int, ...] | None
    minimal: bool
    lines: tuple[int, ...]


def load_case(path: Path) -> tuple[History, Profile, Expectation]:
    """The history, the profile and the expected verdict in the file at `path`; ValueError where it is not valid."""
    head, rows = read_lines(path)
    profile = make_profile(head.get("profile"), head.get("pool"))
    table = _table([_exchange(row, line, profile) for line, row in enumerate(rows)])
    history = _history(table, head.get("tallies"), head.get("gaps", []))
    witness = head.get("witness")
    expectation = Expectation(
        status=head["expect"],
        examined=head.get("examined"),
        witness=None if witness is None else tuple(witness),
        minimal=head.get("minimal", True),
        lines=_lines(table),
    )
    return history, profile, expectation


def read_lines(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The head and the exchanges of a file, unchanged."""
    head, *rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    if unknown := set(head) - HEADER:
        raise ValueError(f"{path}: line 1: unknown keys {sorted(unknown)}")
    if head.get("expect") not in STATUSES:
        raise ValueError(f"{path}: line 1: expect must be one of {STATUSES}")
    return head, rows


def make_history(
    rows: list[dict[str, Any]],
    profile: dict[str, Any] | None = None,
    pool: list[dict[str, Any]] | None = None,
    *,
    tallies: list[dict[str, Any]] | None = None,
    gaps: list[str] | None = None,
) -> tuple[History, Profile]:
    """A history of exchanges in the form of the files, and the profile that goes with it."""
    made = make_profile(profile, pool)
    table = _table([_exchange(row, line, made) for line, row in enumerate(rows)])
    return _history(table, tallies, gaps or []), made


def make_profile(profile: dict[str, Any] | None = None, pool: list[dict[str, Any]] | None = None) -> Profile:
    """A profile from tables as in profile.toml, merged over the default ones, and rows as in users.json."""
    table = _merged(PROFILE, profile or {})
    check(table, schema("profile.schema.json"), "profile")
    return profile_of(table, pool_of(deepcopy(POOL) if pool is None else pool), Path("profile.toml"))


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {k: _merged(base[k], v) if isinstance(base.get(k), dict) else v for k, v in over.items()}
    return {**base, **both}


def _exchange(row: dict[str, Any], line: int, profile: Profile) -> dict[str, Any]:
    """The full row of one line; its number in the file becomes its number in its shard."""
    given = {SHORT.get(name, name): value for name, value in row.items() if name != "t"}
    if unknown := set(given) - set(SCHEMA.names):
        raise ValueError(f"exchange {line}: unknown keys {sorted(unknown)}")
    if given.get("intent", "valid") not in INTENTS:
        raise ValueError(f"exchange {line}: unknown intent {given['intent']!r}")
    sent, received = (round(time * 1e6) for time in row["t"])
    intended = round(given.pop("intended") * 1e6) if "intended" in given else sent
    for name in ("headers", "body"):
        if not isinstance(given.get(name), str | None):
            given[name] = json.dumps(given[name])
    full = {**_defaults(given, line, profile), **given}
    return {**full, "intended": intended, "sent": sent, "received": received}


def _defaults(given: dict[str, Any], line: int, profile: Profile) -> dict[str, Any]:
    push = given.get("operation", "push") == "push"
    intent = given.get("intent", "valid" if push else "control")
    user = given.get("user", 0 if push else -1)
    status = given.get("status", 200)
    return {
        "stage": "load", "worker": "w0", "seq": line, "scenario": "test", "case": intent,
        "operation": "push", "intent": intent, "allowed": ",".join(allowed_for(intent, profile)), "method": "POST",
        "user": user, "key": _key(profile.pool, user), "channel": "AUTHY" if push else "", "ref": None,
        "status": status, "outcome": outcome_of(status), "error_code": "",
        "challenge_id": f"challenge-{line}" if push and status == 200 else "", "retry_after": None,
        "body_fault": "", "error": "", "connection": 0, "headers": None, "body": None, "told": 0,
    }  # fmt: skip


def _key(pool: Pool, user: int) -> int:
    return pool.users[user].key if 0 <= user < len(pool.users) else -1


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    arrays = [pa.array([row[name] for row in rows], SCHEMA.field(name).type) for name in SCHEMA.names]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _history(table: pa.Table, tallies: list[dict[str, Any]] | None, gaps: list[str]) -> History:
    if tallies is None:
        count = Counter(zip(table["stage"].to_pylist(), table["worker"].to_pylist(), strict=True))
        tallies = [{"stage": s, "worker": w, "sent": n, "recorded": n} for (s, w), n in count.items()]
    made = [Tally(**{"host": "localhost", "pid": 1, "clean": True, **tally}) for tally in tallies]
    return history_of(table, tuple(made), tuple(gaps))


def _lines(table: pa.Table) -> tuple[int, ...]:
    """The order in which reading puts the rows, found by letting a column carry their numbers through it."""
    numbered = table.set_column(SCHEMA.get_field_index("told"), "told", pa.array(range(len(table)), pa.int64()))
    return tuple(int(line) for line in history_of(numbered).frame["told"])
