"""Reads off a run's history so far what earlier stages have used up: challenges, requests, tokens that are spent."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic_ns
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from harness.history.columns import SCHEMA
from harness.history.shards import MERGED, Gaps, shard_batches, shard_paths
from harness.profile import Profile
from scenarios.load.limits import MARGIN
from scenarios.load.scopes import challenge_scope, rate_scope, windows_of

COLUMNS = ["operation", "user", "channel", "ref", "sent", "received", "outcome", "challenge_id"]


@dataclass(frozen=True)
class Usage:
    """`challenges` that may have been issued, by scope; `pending`: when a token's last challenge has surely expired
    (ns of the monotonic clock); `settled`: tokens whose challenge was accepted or declined; `requests` that may still
    count against the rate, by scope."""

    challenges: Counter[int] = field(default_factory=Counter)
    pending: dict[int, int] = field(default_factory=dict)
    settled: frozenset[int] = frozenset()
    requests: Counter[int] = field(default_factory=Counter)


def read_usage(folder: Path, profile: Profile) -> Usage:
    """What the exchanges in the history `folder` have used up since the target was last reset."""
    return usage_of(_rows(folder), profile)


def usage_of(rows: list[dict[str, Any]], profile: Profile) -> Usage:
    """What these rows have used up."""
    resets = [row["sent"] for row in rows if row["operation"] == "reset" and row["outcome"] != "refused"]
    since = max(resets, default=0)
    users = profile.pool.users
    operations: dict[tuple[Any, ...], dict[str, Any]] = {}
    for place, row in enumerate(rows):
        counts = row["operation"] == "push" and row["outcome"] != "refused" and 0 <= row["user"] < len(users)
        if counts and row["received"] >= since:
            key = (users[row["user"]].person, row["channel"], row["ref"] if row["ref"] is not None else place)
            # What was answered counts from its first answer: a replay renews nothing.
            if key not in operations or operations[key]["outcome"] == "unknown":
                operations[key] = row
    requests = _requests(rows, since, profile)
    return Usage(_challenges(operations, profile), _pending(operations, profile), _settled(rows), requests)


def _settled(rows: list[dict[str, Any]]) -> frozenset[int]:
    """The tokens that somebody settled and that were given no other challenge since: a reset may free them."""
    settled: set[int] = set()
    given = {""}
    for row in sorted(rows, key=lambda row: int(row["sent"])):
        if row["operation"] in ("accept", "decline") and row["outcome"] != "refused":
            settled.add(row["user"])
        elif row["operation"] == "push" and row["outcome"] == "ok" and row["challenge_id"] not in given:
            given.add(row["challenge_id"])
            settled.discard(row["user"])
    return frozenset(settled)


def _requests(rows: list[dict[str, Any]], since: int, profile: Profile) -> Counter[int]:
    if profile.rate is None:
        return Counter()
    begin = max(since, monotonic_ns() - round(windows_of(profile.rate)[1] * MARGIN))
    users = profile.pool.users
    return Counter(
        rate_scope(profile, users[row["user"]])
        for row in rows
        if row["operation"] == "push" and row["received"] > begin and 0 <= row["user"] < len(users)
    )


def _challenges(operations: dict[tuple[Any, ...], dict[str, Any]], profile: Profile) -> Counter[int]:
    """Those whose window has not passed; a lost request may have its effect at any later time, so it is kept."""
    window = round(profile.challenges.window_ns * MARGIN) if profile.challenges else 0
    now = monotonic_ns()
    return Counter(
        challenge_scope(profile, profile.pool.users[row["user"]])
        for row in operations.values()
        if row["outcome"] == "unknown" or not window or row["received"] + window > now
    )


def _pending(operations: dict[tuple[Any, ...], dict[str, Any]], profile: Profile) -> dict[int, int]:
    if profile.policy.in_flight != "reject":
        return {}
    lasts = profile.policy.in_flight_for_ns
    until: dict[int, int] = {}
    for row in operations.values():
        ends = row["received"] + round(lasts * MARGIN) if lasts else 1 << 62
        until[row["user"]] = max(until.get(row["user"], 0), ends)
    return until


def _rows(folder: Path) -> list[dict[str, Any]]:
    """The needed columns of all rows; what cannot be read is left out, as the judge will name it."""
    batches: list[pa.RecordBatch] = []
    gaps = Gaps([])
    if (folder / MERGED).exists():
        batches.extend(pq.read_table(folder / MERGED, columns=COLUMNS).to_batches())
    for path in shard_paths(folder):
        batches.extend(batch.select(COLUMNS) for _, batch in shard_batches(path, gaps))
    schema = pa.schema([SCHEMA.field(name) for name in COLUMNS])
    return [row for batch in batches for row in batch.cast(schema).to_pylist()]
