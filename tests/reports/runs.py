"""Run folders of every kind, written through the real recorder: passing, failing, partial, empty, hostile."""

import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from harness.history import Exchange, Recorder, outcome_of, read_history
from harness.pool import pool_of
from harness.profile import Profile, profile_of
from harness.run_folder import RunFolder, create, open_run, write_json
from harness.verdict import Verdict, to_json
from reports.summary import Summary, build_summary

USERS: Final = 40
MS: Final = 10**6
PROFILE: Final[dict[str, Any]] = {
    "target": {"base_url": "http://127.0.0.1:8921/multi", "exclusive": True},
    "credentials": {"users": "users.json"},
    "limits": {
        "challenges": {"count": 5, "window": "24h", "scope": "user"},
        "rate": {"count": 50, "window": "1s", "algorithm": "sliding-window", "scope": "api-key"},
    },
    "control": {"reset": "POST /simulate/reset"},
}
HOSTILE: Final = (
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "]]><!--", "::error::owned", "=cmd|' /C calc'!A0",
    "\x1b[31mred\x1b[0m", "\u202etxt.exe", "a\x00b\ud800c\ufffe", "| a | b |\n# heading", "`` ` ``` code",
    "@everyone #1", "![x](http://evil.example/x.png)", "https://evil.example", "&amp;&#60;", "日本語 العربية हिन्दी 🙂",
    "x" * 1_000_000,
)  # fmt: skip


def make_profile() -> Profile:
    rows = [
        {"token": f"token-of-user-{n:04}", "api_key": f"key-of-programme-{n % 2}", "channels": ["AUTHY", "BIOMETRIC"]}
        for n in range(USERS)
    ]
    return profile_of(PROFILE, pool_of(rows), Path("profile.toml"))


def exchange(at_ms: float, took_ms: float, **given: Any) -> Exchange:
    """An uneventful success of user 0 that takes `took_ms` from `at_ms` on, with columns replaced by name."""
    sent, received = round(at_ms * MS), round((at_ms + took_ms) * MS)
    user = given.get("user", 0)
    status = given.get("status", 200)
    base = Exchange(
        scenario="background", case="valid", operation="push", intent="valid", allowed="200", method="POST", user=user,
        key=user % 2, channel="AUTHY", ref=None, intended=sent, sent=sent, received=received, status=status,
        outcome=outcome_of(status), error_code="", challenge_id="", retry_after=None, body_fault="", error="",
        connection=1, headers=None, body=None, told=0,
    )  # fmt: skip
    return base._replace(**given)


def traffic(count: int, seed: int = 1) -> list[Exchange]:
    """Load as a correct target answers it: fresh calls and replays, some refused, in order of sending."""
    rng = random.Random(seed)
    rows: list[Exchange] = []
    known: list[Exchange] = []
    for n in range(count):
        at, took = n * 8.0 + rng.random(), rng.lognormvariate(1.6, 0.5)
        user = rng.randrange(USERS)
        if known and rng.random() < 0.8:
            old = rng.choice(known)
            one = exchange(
                at, took, user=old.user, ref=old.ref, challenge_id=old.challenge_id, scenario="idempotency",
                intent="replay", case="replay",
            )  # fmt: skip
        elif rng.random() < 0.4:
            one = exchange(at, took, user=user, status=429, retry_after="1", scenario="rate-limit", ref=f"ref-{n}")
        elif sum(old.user == user for old in known) >= 5:
            one = exchange(
                at, took, user=user, status=409, error_code="CHALLENGE_LIMIT_EXCEEDED", ref=f"ref-{n}",
                scenario="challenge-limit",
            )  # fmt: skip
        else:
            one = exchange(at, took, user=user, ref=f"ref-{n}", challenge_id=f"challenge-{n}")
            known.append(one)
        if rng.random() < 0.1:
            one = one._replace(intended=one.intended - round(rng.random() * 20 * MS))
        rows.append(one)
    return rows


def hostile_traffic() -> list[Exchange]:
    """Every hostile text in every column that a target or a caller writes."""
    rows = []
    for n, text in enumerate(HOSTILE):
        told = text.encode("utf-8", "replace").decode()
        given = dict.fromkeys(("ref", "challenge_id", "error_code", "case", "retry_after", "body_fault"), told)
        given |= {"scenario": told[:200], "error": told if n % 4 == 2 else ""}
        rows.append(exchange(20.0 * n, 5.0, user=n % USERS, status=(200, 409, 0, 500)[n % 4], **given))
    return rows


def record(folder: RunFolder, rows: list[Exchange], stage: str = "load", worker: str = "w0") -> None:
    recorder = Recorder(folder.history, stage, worker)
    for row in rows:
        recorder.add(row)
    recorder.close(sent=len(rows), engine=len(rows))


def witness(*rows: tuple[int, Exchange]) -> list[dict[str, Any]]:
    """Exchanges as a verdict holds them."""
    found = []
    for place, row in rows:
        times = {f"{name}_ms": round(getattr(row, name) / 1e6, 3) for name in ("intended", "sent", "received")}
        full = {"row": place, "stage": "load", "worker": "w0", "seq": place, **row._asdict(), **times}
        found.append({name: value for name, value in full.items() if value not in (None, "")})
    return found


def verdicts_passing() -> list[Verdict]:
    def kept(rule: str, examined: int) -> Verdict:
        return Verdict(rule, "must", "pass", examined, f"held on {examined:,} occasions")

    names = (
        "documented-status", "response-schema", "no-server-error", "auth-required", "tenant-isolation",
        "idempotent-replay", "idempotent-concurrent", "challenge-limit-upper", "rate-limit-upper", "history-complete",
    )  # fmt: skip
    found = [kept(name, 100 * (place + 3) ** 2) for place, name in enumerate(names)]
    found.append(
        Verdict(
            "ref-retention", "must", "inconclusive", 12, "held on 12 occasions, but none was older than 40 s",
            "Run a soak of more than 24 hours.",
        )
    )  # fmt: skip
    found.append(
        Verdict(
            "settled-token", "must", "not-exercised", 0, "nothing in this history could have broken it",
            "The profile names no control call to accept a challenge.",
        )
    )  # fmt: skip
    return found


def verdicts_failing() -> list[Verdict]:
    first = exchange(100, 9, user=7, ref="order-77", challenge_id="c-1")
    second = exchange(103, 8, user=7, ref="order-77", challenge_id="c-2", connection=2)
    rate = [exchange(2000 + 3 * n, 4, user=n % USERS, ref=f"r{n}", challenge_id=f"r-{n}") for n in range(51)]
    broken = {
        "idempotent-concurrent": Verdict(
            "idempotent-concurrent", "must", "fail", 412,
            "2 overlapping calls of user 7 on AUTHY with ref 'order-77' got c-1 and c-2. 3 more such violations.",
            "Look at the place where a reference is looked up and stored: both must be one atomic step.",
            witness((4, first), (5, second)), "stepup load --scenario idempotency --seed 1 --profile profile.toml", 4,
        ),
        "rate-limit-upper": Verdict(
            "rate-limit-upper", "must", "fail", 90, "51 requests were admitted within 0.157 s, where 50 in 1 s may be.",
            "Count and admit in one atomic step.", witness(*enumerate(rate, 200)),
            "stepup load --scenario rate-limit --seed 1", 1,
        ),
    }  # fmt: skip
    advice = Verdict(
        "unauthorised-challenge", "should", "fail", 30, "a 401 came without WWW-Authenticate", "Send it (RFC 9110).",
        witness((9, exchange(1, 2, status=401))), "curl -X POST http://127.0.0.1:8921/multi", 30,
    )  # fmt: skip
    return [*(broken.get(one.rule, one) for one in verdicts_passing()), advice]


def verdicts_hostile() -> list[Verdict]:
    rows = witness(*enumerate(hostile_traffic()))
    text = " ".join(HOSTILE).encode("utf-8", "replace").decode()
    return [
        Verdict("documented-status", "must", "fail", 16, text, text, rows, text, 16),
        Verdict("response-schema", "must", "inconclusive", 16, text, text, rows, text, 16),
        Verdict("history-complete", "must", "not-exercised", 0, text, text),
    ]


def gates(missed: bool) -> list[dict[str, Any]]:
    return [
        {"metric": "latency_p99", "limit": 50e6, "value": 18.2e6, "status": "pass", "samples": 2300,
         "message": "18.2 ms, at most 50 ms"},
        {"metric": "error_rate", "limit": 0.01, "value": 0.02 if missed else 0.0,
         "status": "fail" if missed else "pass", "samples": 2300,
         "message": "2.0 %, at most 1.0 %" if missed else "0.0 %, at most 1.0 %"},
    ]  # fmt: skip


def make_run(path: Path, kind: str, *, count: int = 2400) -> Summary:
    """A run folder of a kind (passing, failing, partial, empty, hostile) at `path`, and its summary."""
    folder = create(path, kind, make_profile(), seed=1, command="stepup run --profile profile.toml --seed 1")
    folder.facts["plan"] = {"name": "default", "gates": {"error_rate": 0.01}}
    folder.facts["stages"] = {"conformance": {"exit": 0, "seconds": 9.1, "timed_out": False}}
    made = {"passing": verdicts_passing, "failing": verdicts_failing, "hostile": verdicts_hostile}
    verdicts = made.get(kind, verdicts_passing)()
    rows = {"empty": [], "hostile": hostile_traffic()}.get(kind) if kind in ("empty", "hostile") else traffic(count)
    record(folder, rows or [])
    if kind == "empty":
        verdicts = [replace(one, status="not-exercised", examined=0, message="no exchange") for one in verdicts]
    if kind == "partial":
        folder.facts["interrupted"] = True
        folder.facts["stages"]["load"] = {"exit": -9, "seconds": 3.0, "timed_out": False, "note": "ended by a signal"}
        shard = next(folder.history.glob("*.arrow"))
        shard.write_bytes(shard.read_bytes()[:-700])
    folder.save()
    write_json(path / "verdicts.json", to_json(verdicts))
    told = gates(kind == "failing") if kind in ("passing", "failing") else []
    return build_summary(read_history(folder.history), verdicts, open_run(path).facts, told, extra(kind))


def extra(kind: str) -> dict[str, dict[str, Any]]:
    if kind == "empty":
        return {}
    text = "\x1b[2J<b>" if kind == "hostile" else "expected 401, got 200"
    failure = {"nodeid": "test_access.py::test_key", "message": text, "curl": f"curl -H '{text}'", "rerun": "stepup …"}
    failed = [failure] if kind in ("failing", "hostile") else []
    told = {"passed": 1200, "failed": len(failed), "skipped": 3, "cases": 1203 + len(failed), "failures": failed}
    load = {"done": {"idempotency": {"bursts": 300}}, "notes": [text], "deals": [{}], "phases": phases(text)}
    sentence = "capacity: 300 requests a second were held, 450 were not: 2 % of the answers were errors"
    return {"conformance": told, "load": {**load, "findings": [text if kind == "hostile" else sentence]}}


def phases(name: str) -> list[dict[str, Any]]:
    """Steps of a search in the order in which they were made, and one of another name that says nothing else."""
    figures = {"seconds": 3.0, "sent_per_s": 200.0, "p50_ms": 2.1, "max_ms": 80.0, "errors": 0}
    rates = {200.0: 14.0, 450.0: 90.0, 300.0: 20.0}
    steps = [
        {**figures, "phase": f"step {n}", "due_per_s": rate, "answered_per_s": rate * 0.9, "p99_ms": p99}
        for n, (rate, p99) in enumerate(rates.items(), 1)
    ]
    return [*steps, {"phase": name, "p50_ms": name}]


def write_all(folder: Path) -> None:
    """Every kind of run below `folder`, with its reports: to look at."""
    from reports import write_reports

    for kind in ("passing", "failing", "partial", "empty", "hostile"):
        started = time.monotonic()
        write_reports(folder / kind, make_run(folder / kind, kind))
        print(kind, (folder / kind / "report.html").stat().st_size, round(time.monotonic() - started, 2))  # noqa: T201
