"""Measures how long `stepup-linearisable` takes over many users of a correct endpoint, in simulated time.

`python -m tests.benchmarks.linearisable [--users 20000] [--calls 50] [--lanes 8] [--terms NAME …]` makes a history for
each of the named terms and judges it by this rule alone. Every user sends so many calls in up to so many lanes at once,
3 % of them very slow, 3 % without an answer, one in six a replay. Prints a table; its last line is JSON.
"""

import argparse
import json
import random
import resource
import time
from collections import deque
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Any, Final

import pyarrow as pa

from harness.history import SCHEMA, History, Tally, history_of
from harness.judge import verdict_on
from harness.pool import pool_of
from harness.profile import ChallengeLimit, Control, Policy, Profile, Target
from harness.rules import RULES

MS: Final = 10**6
FOREVER: Final = 1 << 62
LATENCY_MS: Final = 8.0
SLOW: Final = 0.03  # of the calls, up to two seconds
LOST: Final = 0.03
REPLAYED: Final = 0.16
SETTLED: Final = 0.02
TARGET: Final = Target("http://127.0.0.1:1", exclusive=True, clock_step_ns=MS, late_effect_ns=3000 * MS)


@dataclass(frozen=True)
class Rules:
    """What the endpoint keeps: so many challenges in a window (ns), one pending for a time (ns), settled tokens."""

    limit: int | None = None
    window: int = FOREVER
    pending: int | None = None
    settles: bool = False
    volleys: bool = False  # lanes wait for one another, and send all at once


TERMS: Final = {
    "allow": Rules(),
    "settled": Rules(settles=True),
    "limit": Rules(limit=20, window=3_600_000 * MS),
    "sliding": Rules(limit=5, window=60 * MS),
    "volleys": Rules(limit=20, window=400 * MS, volleys=True),
    "reject": Rules(pending=40 * MS),
    "all": Rules(limit=8, window=200 * MS, pending=30 * MS, settles=True),
}
Row = tuple[int, int, int, str, str | None, int, str, str, str]  # sent, received, user, operation, ref, …


def main() -> None:
    """Measure each of the terms and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--terms", nargs="*", choices=TERMS, default=list(TERMS))
    flags = parser.parse_args()
    print(f"{'terms':>9}  {'calls':>9}  {'seconds':>7}  {'us a call':>9}  verdict")
    told = {}
    for name in flags.terms:
        told[name] = _measured(name, flags.users, flags.calls, flags.lanes)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"users": flags.users, "calls": flags.calls, "seconds": told, "peak_mb": peak_mb}))


def _measured(name: str, users: int, calls: int, lanes: int) -> float:
    """The seconds that the rule takes, after its line of the table was printed."""
    history = _history(TERMS[name], users, calls, lanes)
    profile = _profile(TERMS[name], users)
    began = time.perf_counter()
    verdict = verdict_on(RULES["stepup-linearisable"], history, profile)
    seconds = time.perf_counter() - began
    cost = seconds / max(len(history.frame), 1) * 1e6
    print(
        f"{name:>9}  {len(history.frame):>9,}  {seconds:>7.1f}  {cost:>9.1f}  {verdict.status}: {verdict.message[:90]}"
    )
    return round(seconds, 2)


def _profile(rules: Rules, users: int) -> Profile:
    pool = pool_of([{"token": f"t{n}", "api_key": "k", "channels": ["AUTHY", "BIOMETRIC"]} for n in range(users)])
    limit = None if rules.limit is None else ChallengeLimit(rules.limit, min(rules.window, 10**15), "user")
    policy = Policy() if rules.pending is None else replace(
        Policy(), in_flight="reject", in_flight_for_ns=rules.pending
    )  # fmt: skip
    control = Control(accept="POST /accept/{challenge_id}", reset="POST /reset")
    return Profile(TARGET, pool, policy=policy, challenges=limit, control=control)


def _history(rules: Rules, users: int, calls: int, lanes: int) -> History:
    rows: list[Row] = [(-20 * MS, -10 * MS, -1, "reset", None, 200, "ok", "", "")]
    for user in range(users):
        rows += _Life(user, rules, calls).live(1 + user % lanes)
    sent, received, who, operation, ref, status, outcome, code, given = map(list, zip(*rows, strict=True))
    push = [name == "push" for name in operation]
    columns: dict[str, Any] = {
        "stage": "load", "worker": "w0", "seq": list(range(len(rows))), "scenario": "made", "case": "valid",
        "operation": operation, "intent": ["valid" if one else "control" for one in push], "allowed": "200",
        "method": "POST", "user": who, "key": [0 if one else -1 for one in push],
        "channel": ["AUTHY" if one else "" for one in push], "ref": ref, "intended": sent, "sent": sent,
        "received": received, "status": status, "outcome": outcome, "error_code": code, "challenge_id": given,
        "retry_after": None, "body_fault": "", "error": "", "connection": 0, "headers": None, "body": None, "told": 0,
    }  # fmt: skip
    arrays = [
        pa.array(value if isinstance(value, list) else [value] * len(rows), SCHEMA.field(name).type)
        for name, value in columns.items()
    ]
    tally = Tally("load", "w0", "here", 1, sent=len(rows), recorded=len(rows), clean=True)
    return history_of(pa.Table.from_arrays(arrays, schema=SCHEMA), (tally,))


class _Endpoint:
    """What it remembers of one user."""

    def __init__(self, rules: Rules, user: int) -> None:
        self.rules, self.user = rules, user
        self.refs: dict[str, str] = {}
        self.issued: deque[int] = deque()
        self.pending: tuple[str, int] = ("", 0)
        self.settled = False
        self.count = 0

    def ask(self, now: int, ref: str) -> tuple[int, str, str]:
        """Status, error code and id."""
        if ref in self.refs:
            return 200, "", self.refs[ref]
        rules = self.rules
        if self.settled or (rules.pending is not None and self.pending[0] and now < self.pending[1] + rules.pending):
            return 409, "STATE_INVALID", ""
        while self.issued and self.issued[0] <= now - rules.window:
            self.issued.popleft()
        if rules.limit is not None and len(self.issued) >= rules.limit:
            return 409, "CHALLENGE_LIMIT_EXCEEDED", ""
        given = f"{self.user}-{self.count}"
        self.count += 1
        self.issued.append(now)
        self.refs[ref] = given
        self.pending = given, now
        return 200, "", given

    def settle(self, given: str) -> None:
        self.settled = True
        if self.pending[0] == given:
            self.pending = "", 0


class _Life:
    """One user: each lane sends its next call once it has the answer to the one before."""

    def __init__(self, user: int, rules: Rules, calls: int) -> None:
        self.rng = random.Random(user)
        self.user, self.rules, self.left = user, rules, calls
        self.endpoint = _Endpoint(rules, user)
        self.events: list[tuple[int, int, int, int, str, str]] = []  # effect, number, sent, received, operation, what
        self.sent: list[str] = []
        self.rows: list[Row] = []

    def live(self, lanes: int) -> list[Row]:
        self._start(self.rng.randrange(2000 * MS), lanes)
        while self.events:
            effect, _, sent, received, operation, what = heappop(self.events)
            if operation == "accept":
                self.endpoint.settle(what)
                self.rows.append((sent, received, self.user, "accept", None, 200, "ok", "", what))
            else:
                self._answer(effect, sent, received, what)
            if not self.events and self.left:  # a volley is over
                self._start(max(row[1] for row in self.rows[-lanes:]), lanes)
        return self.rows

    def _start(self, now: int, lanes: int) -> None:
        for _ in range(lanes):
            self._push(now + (0 if self.rules.volleys else self.rng.randrange(20 * MS)))

    def _send(self, now: int, operation: str, what: str) -> None:
        slow = self.rng.random() < SLOW
        took = self.rng.randrange(1, 2000 * MS) if slow else round((LATENCY_MS * self.rng.expovariate(1) + 0.2) * MS)
        heappush(
            self.events, (now + self.rng.randrange(took), self.rng.getrandbits(60), now, now + took, operation, what)
        )

    def _push(self, now: int) -> None:
        if self.left:
            self.left -= 1
            replay = self.sent and self.rng.random() < REPLAYED
            self.sent.append(self.rng.choice(self.sent[-6:]) if replay else f"{self.user}-{self.left}")
            self._send(now, "push", self.sent[-1])

    def _answer(self, effect: int, sent: int, received: int, ref: str) -> None:
        lost = self.rng.random() < LOST
        status, code, given = (0, "", "") if lost and self.rng.random() < 0.5 else self.endpoint.ask(effect, ref)
        outcome = "unknown" if lost else "ok" if status == 200 else "refused"
        told = (0, "unknown", "", "") if lost else (status, outcome, code, given)
        self.rows.append((sent, received, self.user, "push", ref, *told))
        if self.rules.settles and given and not lost and self.rng.random() < SETTLED:
            self._send(received, "accept", given)
        if not self.rules.volleys:
            self._push(received)


if __name__ == "__main__":
    main()
