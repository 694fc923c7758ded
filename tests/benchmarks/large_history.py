"""Makes histories of millions of exchanges of a correct endpoint, always the same ones, as one Parquet file.

A key has 100 persons and 100,000 exchanges in bursts of 40 within a second, more being refused with 429. A fifth of the
persons logs in anew once a challenge was accepted, two of them reach the challenge limit. One exchange in five repeats
a call, one in eight is a duplicate under way at the same time, one new call in a hundred has no answer at first, three
in a hundred carry no ref.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from harness.case import allowed_for
from harness.history import SCHEMA, Tally, outcome_of
from harness.history.columns import VERSION
from harness.history.shards import MERGED
from harness.pool import pool_of
from harness.profile import ChallengeLimit, Control, Policy, Profile, RateLimit, Target

Ints = npt.NDArray[np.int64]

MS: Final = 10**6
SECOND: Final = 10**9
A_KEY: Final = 100_000  # exchanges, about
PERSONS: Final = 100  # of a key
TWICE: Final = 20  # of them, who log in once more
TOKENS: Final = PERSONS + TWICE
WORKERS: Final = 4
ADMITTED, REFUSED = 40, 4  # in a burst
BURST: Final = ADMITTED + REFUSED
EVERY: Final = 2500 * MS
START: Final = 60 * SECOND  # of the first burst, on a clock that runs already
CHALLENGES: Final = 1500
GROUP: Final = 1 << 16  # rows of a Parquet row group
EACH_ODD: Final = 50
# What a conformance stage sends before: intent, method, token, key, channel, status, answer.
ODD: Final = (
    ("token-unknown", "POST", -1, 0, "AUTHY", 401, {"message": "unauthorised"}),
    ("key-unknown", "POST", 0, -1, "AUTHY", 401, {"message": "unauthorised"}),
    ("method-other", "PUT", 0, 0, "AUTHY", 405, {"code": "405", "message": "method not allowed"}),
    ("channel-unknown", "POST", 0, 0, "SMS", 400, {"syntaxErrors": {"invalidFields": [{"fieldName": "channel"}]}}),
)


def profile_for(rows: int) -> Profile:
    """The profile under which a history of so many rows was recorded."""
    users = [
        {"token": f"token-{key}-{n}", "api_key": f"key-{key}", "channels": ["AUTHY", "BIOMETRIC"],
         "user": f"person-{key}-{n if n < PERSONS else (n - PERSONS) * 5 + 4}"}
        for key in range(_keys(rows)) for n in range(TOKENS)
    ]  # fmt: skip
    return Profile(
        target=Target("http://127.0.0.1:1", exclusive=True, clock_step_ns=MS, late_effect_ns=30 * SECOND),
        pool=pool_of(users),
        policy=Policy(),
        challenges=ChallengeLimit(CHALLENGES, 24 * 3600 * SECOND, "user"),
        rate=RateLimit(ADMITTED, SECOND, "sliding-window", "api-key", retry_after=True, counts_replays=True),
        control=Control(accept="POST /accept/{challenge_id}", pushes="GET /pushes", reset="POST /reset"),
    )


def write(folder: Path, rows: int) -> Path:
    """Write a history of about so many rows into `folder`, unless it is there; gives the Parquet file."""
    path = folder / MERGED
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    profile, fresh = profile_for(rows), path.with_suffix(".new")
    keys = np.array_split(np.arange(_keys(rows)), WORKERS)
    with pq.ParquetWriter(fresh, SCHEMA, compression="zstd") as writer:
        pushed, last = 0, 0
        for number, mine in enumerate(keys):
            shard = _Shard(mine, np.random.default_rng(number), profile)
            pushed, last = pushed + shard.pushed, max(last, shard.last)
            _write(folder, writer, "load", f"w{number}", shard.table())
        _write(folder, writer, "control", "main", _control(profile, pushed, last))
        writer.add_key_value_metadata({"version": VERSION, "wall_offset_ns": "0", "gaps": "[]"})
    fresh.replace(path)
    return path


def _keys(rows: int) -> int:
    return max(rows // A_KEY, WORKERS)


def _write(folder: Path, writer: pq.ParquetWriter, stage: str, worker: str, columns: dict[str, Any]) -> None:
    count = len(columns["sent"])
    given: dict[str, Any] = {"stage": pa.scalar(stage), "worker": pa.scalar(worker), "seq": np.arange(count), **columns}
    arrays: list[Any] = []
    for field in SCHEMA:
        value: Any = given.get(field.name, pa.scalar(None, field.type))
        plain = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        constant: Any = isinstance(value, pa.Scalar)
        made: Any = pa.array([value.as_py()] * count) if constant else pa.array(value)
        arrays.append(made.cast(plain).dictionary_encode() if plain != field.type else made.cast(plain))
    columns_ = [one.cast(field.type) for one, field in zip(arrays, SCHEMA, strict=True)]
    writer.write_table(pa.Table.from_arrays(columns_, schema=SCHEMA), GROUP)
    told = Tally(stage, worker, "host", 1, sent=count, recorded=count, clean=True)
    (folder / f"{stage}-{worker}.tally.json").write_text(json.dumps({"version": VERSION, **asdict(told)}))


@dataclass(frozen=True)
class _Calls:
    """What is sent, in order of key, burst and place in it; `op` numbers the calls of a person."""

    key: Ints
    burst: Ints
    person: Ints
    fresh: npt.NDArray[np.bool_]
    limited: npt.NDArray[np.bool_]
    sent: Ints
    op: Ints


class _Shard:
    """The exchanges of some keys, all made by one process of the load stage."""

    def __init__(self, keys: Ints, random: np.random.Generator, profile: Profile) -> None:
        self.profile, self.random = profile, random
        self.bursts = A_KEY // BURST
        self.calls = calls = _calls(keys, self.bursts, random)
        self.owner = calls.key * PERSONS + calls.person
        made = np.zeros(int(self.owner.max()) + 1, np.int64)
        np.maximum.at(made, self.owner[calls.fresh], calls.op[calls.fresh] + 1)
        self.pushed = int(np.minimum(made, CHALLENGES).sum())
        self.last = int(calls.sent.max())
        self.again = _logins(keys, self.bursts)

    def table(self) -> dict[str, Any]:
        """All columns that are not the same everywhere, in order of sending."""
        pushes = self._pushes()
        settles = self._settles(pushes)
        rows = {name: np.concatenate([pushes[name], *(one[name] for one in settles)]) for name in pushes}
        order = np.argsort(rows["sent"], kind="stable")
        rows = {name: column[order] for name, column in rows.items()}
        return _spelt(rows, self.profile)

    def _pushes(self) -> dict[str, Ints]:
        calls, random = self.calls, self.random
        count = len(calls.key)
        slow = np.where(random.random(count) < 0.01, 20.0, 1.0)
        took = (1 + random.exponential(6.0, count) * slow).clip(max=900) * MS
        full = (calls.op >= CHALLENGES) & ~calls.limited
        lost = calls.fresh & ~full & (random.random(count) < 0.01)
        status = np.select([calls.limited, full, lost], [429, 409, 0], 200)
        alone = np.bincount(_number(self.owner, calls.op))[_number(self.owner, calls.op)] == 1
        named = ~(alone & calls.fresh & ~lost & (random.random(count) < 0.03))
        second = (calls.person % 5 == 4) & (calls.burst > self.again[self.owner])
        token = calls.key * TOKENS + np.where(second, PERSONS + calls.person // 5, calls.person)
        return {
            "sent": calls.sent, "received": calls.sent + np.where(lost, 2 * SECOND, took.astype(np.int64)),
            "user": token, "key": calls.key, "status": status, "call": _number(self.owner, calls.op),
            "named": named.astype(np.int64), "channel": calls.op % 2,
            "kind": np.where(calls.fresh | calls.limited, 0, 1),
        }  # fmt: skip

    def _settles(self, pushes: dict[str, Ints]) -> list[dict[str, Ints]]:
        """An accept of the last challenge of each first login, and two calls that are refused for it."""
        owner, burst = self.owner, self.calls.burst
        mine = np.flatnonzero((pushes["status"] == 200) & (owner % 5 == 4) & (burst <= self.again[owner]))
        last = np.zeros(int(owner.max()) + 1, np.int64)
        last[owner[mine]] = mine  # the last write stays
        rows = last[np.unique(owner[mine])]
        at = START + self.again[owner[rows]] * EVERY + 1400 * MS
        made = []
        for kind, after, status in ((2, 0, 200), (3, 200, 409), (3, 240, 409)):
            one = {name: column[rows].copy() for name, column in pushes.items()}
            one["sent"], one["received"] = at + after * MS, at + (after + 8) * MS
            one["status"][:], one["kind"][:], one["named"][:] = status, kind, 0
            made.append(one)
        return made


def _calls(keys: Ints, bursts: int, random: np.random.Generator) -> _Calls:
    shape = (len(keys), bursts, BURST)
    key, burst, place = (
        np.broadcast_to(axis, shape).ravel() for axis in np.ix_(keys, np.arange(bursts), np.arange(BURST))
    )
    draw = random.random(len(key))
    limited, fresh, twin = place >= ADMITTED, draw < 0.68, (draw > 0.88) & (place > 0) & (place < ADMITTED)
    twin[1:] &= ~twin[:-1]
    person = (PERSONS * random.random(len(key)) ** 1.5).astype(np.int64)
    sent = START + burst * EVERY + place * 5 * MS + random.integers(0, MS, len(key))
    person[twin], sent[twin] = person[np.flatnonzero(twin) - 1], sent[np.flatnonzero(twin) - 1] + MS // 5
    owner = key * PERSONS + person
    order = np.argsort(owner, kind="stable")
    begins = np.append(True, owner[order][1:] != owner[order][:-1])
    passed = order[~limited[order]]
    fresh &= ~limited & ~twin
    fresh[passed[np.append(True, owner[passed][1:] != owner[passed][:-1])]] = True
    total = np.cumsum(fresh[order])
    so_far: Ints = total - np.maximum.accumulate(np.where(begins, total - fresh[order], 0))
    op = np.empty(len(key), np.int64)
    # What the rate limit refuses is called again, with its ref, when the person makes the next new call.
    op[order] = so_far - 1 + limited[order]
    return _Calls(key, burst, person, fresh, limited, sent, op)


def _logins(keys: Ints, bursts: int) -> Ints:
    """By person the burst after which those who log in twice do so: one person of a key after another."""
    person = np.arange((int(keys.max()) + 1) * PERSONS) % PERSONS
    return bursts // 2 + person // 5


def _number(owner: Ints, op: Ints) -> Ints:
    return owner * (A_KEY // 2) + op


def _spelt(rows: dict[str, Ints], profile: Profile) -> dict[str, Any]:
    """Columns of the history from numbers; a text that follows from the number of a call needs no memory."""
    kinds = ("valid", "replay", "control", "after-accept")
    served, push = rows["status"] == 200, rows["kind"] != 2
    refused = np.where(rows["status"] == 429, 0, np.where(rows["kind"] == 3, 2, 1))
    # Calls without a ref are not repeated, and have an id of their own like all others.
    ids = _uuids(rows["call"], 1)
    refs = pc.if_else(pa.array(push & (rows["named"] > 0)), _uuids(rows["call"], 2), None)
    words = {
        "operation": _words(rows["kind"], ("push", "push", "accept", "push")),
        "intent": _words(rows["kind"], kinds),
        "allowed": _words(rows["kind"], [",".join(allowed_for(kind, profile)) for kind in kinds]),
        "channel": pc.if_else(pa.array(push), _words(rows["channel"], ("AUTHY", "BIOMETRIC")), ""),
        "outcome": _words((~served).astype(np.int64) + (rows["status"] == 0), ("ok", "refused", "unknown")),
        "error_code": _words(np.where(served | (rows["status"] == 0), 3, refused), _CODES),
        "error": _words((rows["status"] == 0).astype(np.int64), ("", "timeout")),
    }
    return {
        **_EMPTY, **words, **{name: rows[name] for name in ("user", "key", "sent", "received", "status")},
        "scenario": pa.scalar("mixed"), "case": pa.scalar("load-mixed"), "method": pa.scalar("POST"),
        "intended": rows["sent"] - MS // 10, "connection": rows["user"], "ref": refs,
        "challenge_id": pc.if_else(pa.array(served), ids, ""),
        "retry_after": pc.if_else(pa.array(rows["status"] == 429), "2", None),
    }  # fmt: skip


_CODES: Final = ("", "CHALLENGE_LIMIT_EXCEEDED", "STATE_INVALID", "")
_EMPTY: Final = {"body_fault": pa.scalar(""), "error": pa.scalar(""), "told": pa.scalar(-1)}


def _words(numbers: Ints, texts: Iterable[str]) -> Any:
    return pa.array(list(texts)).take(pa.array(numbers, pa.int64()))


_HEX: Final = np.frombuffer(b"0123456789abcdef", np.uint8)


def _uuids(numbers: Ints, seed: int) -> Any:
    """A text of 36 characters for each number, in the form of a UUID and without order (splitmix64)."""
    halves = []
    for half in range(2):
        x = numbers.astype(np.uint64) * np.uint64(2) + np.uint64(half) + np.uint64(seed << 56)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
            x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
        halves.append(x.byteswap().view(np.uint8).reshape(-1, 8))
    data = np.concatenate(halves, axis=1)
    digits = np.stack([_HEX[data >> 4], _HEX[data & 15]], axis=2).reshape(len(numbers), 32)
    text = np.full((len(numbers), 36), ord("-"), np.uint8)
    for begin, end, at in ((0, 8, 0), (8, 12, 9), (12, 16, 14), (16, 20, 19), (20, 32, 24)):
        text[:, at : at + end - begin] = digits[:, begin:end]
    offsets = np.arange(0, 36 * (len(numbers) + 1), 36, dtype=np.int64)
    begins, letters = (pa.py_buffer(one.tobytes()) for one in (offsets, text))
    return pa.LargeStringArray.from_buffers(len(numbers), begins, letters).cast(pa.string())


def _control(profile: Profile, pushed: int, last: int) -> dict[str, Any]:
    """A reset, the pushes counted before and after, and a conformance stage of four kinds of wrong requests."""
    calls = (("reset", 0, -1), ("pushes", 1, 0), ("pushes", last // SECOND + 60, pushed))
    rows: list[dict[str, Any]] = [
        {**_PLAIN, "operation": name, "intent": "control", "allowed": "2xx", "sent": at * SECOND, "told": told}
        for name, at, told in calls
    ]
    for number, (intent, method, user, key, channel, status, answer) in enumerate(ODD * EACH_ODD):
        sent = 2 * SECOND + number * 100 * MS
        headers = {"allow": "POST", "www-authenticate": "Bearer"}
        rows.append({
            **_PLAIN, "intent": intent, "method": method, "user": user, "key": key, "channel": channel, "sent": sent,
            "status": status, "outcome": outcome_of(status), "allowed": ",".join(allowed_for(intent, profile)),
            "body": json.dumps(answer).replace('"channel"}', '"channel", "error": "IN"}'),
            "headers": json.dumps(headers), "ref": f"odd-{number}",
        })  # fmt: skip
    for row in rows:
        row["received"], row["intended"] = row["sent"] + 5 * MS, row["sent"]
    return {name: [row[name] for row in rows] for name in rows[0]}


_PLAIN: Final[dict[str, Any]] = {
    "scenario": "control", "case": "control", "operation": "push", "intent": "valid", "allowed": "200",
    "method": "POST", "user": -1, "key": -1, "channel": "", "status": 200, "outcome": "ok", "error_code": "",
    "challenge_id": "", "body_fault": "", "error": "", "connection": -1, "told": -1, "ref": None, "headers": None,
    "body": None,
}  # fmt: skip
