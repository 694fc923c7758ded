"""The one summary of a run that every report is made from: versioned, bounded in size, and described by a schema.

`summary.schema.json` says what is in it. Every text in it is printable and cut; times are ms, rates are per second.
"""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from harness.case import INTENTS
from harness.history import TIMES, History
from harness.run_folder import profile_from_facts
from harness.spec import load_spec
from harness.verdict import Verdict
from reports import frames, limits, notable
from reports.escape import visible
from reports.known import allowed
from reports.lean import pushes_of, stages_of
from reports.outcome import outcome

VERSION: Final = 1
GAPS_SHOWN: Final = 20
LONG: Final = 600  # characters of a sentence of ours, which may quote a target in part
COMMAND: Final = 4000  # characters of a command line, which is of no use when cut
FAILURES_SHOWN: Final = 40
LISTED: Final = 60  # entries of what a stage tells about itself
PHASE_FIGURES: Final = (
    "seconds", "due_per_s", "sent_per_s", "answered_per_s", "p50_ms", "p99_ms", "max_ms", "errors",
)  # fmt: skip

Summary = dict[str, Any]


def build_summary(
    history: History,
    verdicts: list[Verdict],
    facts: dict[str, Any],
    gates: list[dict[str, Any]],
    extra: dict[str, dict[str, Any]],
) -> Summary:
    """The summary of a judged run. `facts` is run.json, `gates` what gates.py says, `extra` what stages left behind."""
    kinds = frames.kinds(history)
    return {
        "version": VERSION,
        "contract": str(load_spec().document["info"]["version"]),
        "outcome": outcome(verdicts, facts, gates, history.size),
        "run": _run(history, facts),
        "rules": [_rule(verdict, facts) for verdict in verdicts],
        "gates": [_cleaned(gate) for gate in gates],
        "history": _history(history, kinds),
        "oddest": notable.oddest(history, kinds, _limit_outcomes(facts["profile"])),
        "coverage": _coverage(kinds),
        "statuses": _records(frames.statuses(kinds)),
        "errors": _records(frames.errors(kinds)),
        **_figures(history),
        "slowest": notable.slowest(history),
        "limits": _limits(history, facts),
        "conformance": _conformance(extra.get("conformance", {})),
        "load": _load(extra.get("load", {})),
    }


def _figures(history: History) -> dict[str, Any]:
    """Latency and throughput of the load stage, of all pushes where there was no load.

    Rates are of all requests, latencies of those that were not given up by the harness itself. Each column of times is
    in memory once only, which is what bounds the memory of a report.
    """
    words = pushes_of(history, ["stage", "error"])
    waited, load = ~frames.given_up(words), (words["stage"] == "load").to_numpy()
    chosen, of = (load, "load") if load.any() else (np.ones(len(load), bool), "all stages")
    told = {"figures_of": of, "latency": _latencies(history, words, waited)}
    pushes, kept = pushes_of(history, frames.TIMED, chosen), waited[chosen]
    told["over_time"] = _records(frames.over_time(pushes))
    pushes = pushes if kept.all() else pushes.loc[kept, [*TIMES]]
    curve, heat = frames.latency_curve(pushes), frames.heat(pushes)
    return {**told, "curve": _records(curve), "heat": {"step_s": frames.heat_step_s(pushes), "cells": _records(heat)}}


def _latencies(history: History, words: pd.DataFrame, waited: Any) -> list[dict[str, Any]]:
    """Percentiles of each stage, one stage after the other."""
    found: list[dict[str, Any]] = []
    for stage in words["stage"].unique():
        of = (words["stage"] == stage).to_numpy() & waited
        found += _records(frames.latency_table(pushes_of(history, [*frames.TIMED, "stage", "scenario"], of)))
    return found


def _limits(history: History, facts: dict[str, Any]) -> dict[str, Any]:
    profile = profile_from_facts(facts["profile"], facts["pool"])
    answers = limits.answers_of(history, profile)
    replays = limits.replays_seen(answers)
    answers = replace(answers, call=np.empty(0))  # eight bytes an exchange, and no longer needed
    pushes = limits.coded(history, profile, answers)
    del answers
    return {
        "rate": limits.rate_seen(pushes, profile.rate, profile.target.hosts),
        "challenges": limits.challenges_seen(pushes, profile.challenges, profile.target.hosts),
        "replays": replays,
    }


def _limit_outcomes(profile: dict[str, Any]) -> tuple[str, ...]:
    declared = {"rate": "429", "challenges": "409:CHALLENGE_LIMIT_EXCEEDED"}
    return tuple(outcome for name, outcome in declared.items() if profile[name])


def _run(history: History, facts: dict[str, Any]) -> dict[str, Any]:
    profile, plan = facts["profile"], facts.get("plan") or {}
    stages = [{"name": name, **_cleaned(told)} for name, told in facts.get("stages", {}).items()]
    return {
        "name": visible(facts.get("name", "")),
        "started": visible(facts.get("started", "")),
        "first_exchange": _wall(history),
        "seed": facts.get("seed", 0),
        "command": visible(facts.get("command", ""), COMMAND),
        "target": visible(profile["target"]["base_url"], 400),
        "users": len(facts["pool"]),
        "plan": visible(plan.get("name", "")),
        "stages": stages,
        "declared": _declared(profile),
        "environment": _cleaned(facts.get("environment", {})),
    }


def _wall(history: History) -> str:
    """When the first exchange was sent, in UTC; empty where there is none or its time is no date."""
    try:
        first = datetime.fromtimestamp(history.wall_offset_ns / 1e9, UTC)
    except (OverflowError, OSError, ValueError):
        return ""
    return first.isoformat(timespec="milliseconds") if history.size else ""


def _declared(profile: dict[str, Any]) -> dict[str, Any]:
    """What the profile declares, as flat names and values, without what it leaves out."""
    tables = {"target": profile["target"], "policy": profile["policy"]}
    tables |= {"limits.challenges": profile["challenges"] or {}, "limits.rate": profile["rate"] or {}}
    control = {name: value for name, value in profile["control"].items() if name != "headers"}
    flat = {
        f"{table}.{name}": value
        for table, values in {**tables, "control": control}.items()
        for name, value in values.items()
        if value not in (None, "") and name != "base_url"
    }
    outcomes = {f"outcomes.{name}": ", ".join(values) for name, values in profile.get("outcomes", {}).items()}
    declared: dict[str, Any] = _cleaned(flat | outcomes)
    return declared


def _rule(verdict: Verdict, facts: dict[str, Any]) -> dict[str, Any]:
    from harness.rules import RULES

    known = RULES.get(verdict.rule)
    return {
        "rule": visible(verdict.rule),
        "family": known.family if known else "other",
        "severity": verdict.severity,
        "status": verdict.status,
        "allowed": allowed(verdict.rule, facts),
        "examined": verdict.examined,
        "violations": verdict.violations,
        "message": visible(verdict.message, LONG),
        "hint": visible(" ".join(verdict.hint.split()), LONG),
        "statement": " ".join(known.statement.split()) if known else "",
        "source": " ".join(known.source.split()) if known else "",
        "reproduce": visible(verdict.reproduce, COMMAND),
        "witness": [notable.shown(one) for one in verdict.witness[: notable.WITNESS_MOST]],
    }


def _history(history: History, kinds: pd.DataFrame) -> dict[str, Any]:
    status, users = kinds["status"], history.every(["user"])["user"].to_numpy()
    lost = kinds[((status == 0) | (status >= 500)).to_numpy(dtype=bool) & ~frames.given_up(kinds)]
    pushes, outcomes = int(kinds["count"].sum()), kinds.groupby("outcome", sort=False)["count"].sum()
    return {
        "exchanges": history.size,
        "pushes": pushes,
        "control": history.size - pushes,
        "stages": stages_of(history),
        "outcomes": {str(name): int(n) for name, n in outcomes.sort_values(ascending=False).items()},
        "lost": int(lost["count"].sum()),
        "users": int(pd.unique(users[users >= 0]).size),
        "seconds": round(float(history.every(["received"])["received"].max()) / 1e9, 3) if history.size else 0.0,
        "gaps": [visible(gap, LONG) for gap in history.gaps[:GAPS_SHOWN]],
        "gaps_in_all": len(history.gaps),
        "workers": [
            {"stage": visible(one.stage), "worker": visible(one.worker), "sent": one.sent, "recorded": one.recorded,
             "clean": one.clean}
            for one in history.tallies[:LISTED]
        ],
        "workers_in_all": len(history.tallies),
    }  # fmt: skip


def _coverage(kinds: pd.DataFrame) -> list[dict[str, Any]]:
    """Every kind of request that the contract speaks of: how many were sent in each stage, and the statuses got."""
    counts = kinds.groupby(["intent", "stage"])["count"].sum()
    got = kinds.groupby(["intent", "status"])["count"].sum()
    stages: dict[str, dict[str, int]] = {}
    statuses: dict[str, Counter[str]] = {}
    for row in counts.rename("count").reset_index().to_dict("records"):
        stages.setdefault(str(row["intent"]), {})[str(row["stage"])] = int(row["count"])
    for row in got.rename("count").reset_index().to_dict("records"):
        statuses.setdefault(str(row["intent"]), Counter())[str(row["status"])] += int(row["count"])
    return [
        {
            "intent": intent.id,
            "says": intent.says,
            "rule": intent.rule,
            "sent": stages.get(intent.id, {}),
            "statuses": dict(statuses.get(intent.id, Counter()).most_common(8)),
        }
        for intent in INTENTS.values()
        if intent.id != "control"
    ]


def _conformance(told: dict[str, Any]) -> dict[str, Any]:
    failures = told.get("failures")
    listed = failures[:FAILURES_SHOWN] if isinstance(failures, list) else []
    kept = {name: told[name] for name in ("passed", "failed", "skipped", "cases") if isinstance(told.get(name), int)}
    rows = [
        {name: visible(one.get(name, ""), COMMAND if name in ("curl", "rerun") else LONG)
         for name in ("nodeid", "message", "curl", "rerun")}
        for one in listed if isinstance(one, dict)
    ]  # fmt: skip
    return {**kept, "reasons": _cleaned(told.get("reasons") or {}), "failures": rows} if told else {}


def _load(told: dict[str, Any]) -> dict[str, Any]:
    """What the load stage says it did: occasions of each scenario, notes, how it ended, and what it found out."""
    names = ("ended", "done", "notes", "findings", "lost")
    kept: dict[str, Any] = _cleaned({name: told[name] for name in names if name in told})
    phases = [_phase(one) for one in told.get("phases", [])[:LISTED]]
    return kept | ({"phases": phases} if phases else {})


def _phase(told: dict[str, Any]) -> dict[str, Any]:
    """A phase's name and figures; None for what it does not say."""
    figures = {name: told.get(name) for name in PHASE_FIGURES}
    known = {name: value if type(value) in (int, float) else None for name, value in figures.items()}
    return {"phase": visible(told.get("phase", ""), 120), **known}


def _cleaned(value: Any, depth: int = 4) -> Any:
    """A JSON value of any origin with its texts printable and its size bounded."""
    if isinstance(value, dict):
        items = list(value.items())[:LISTED] if depth else []
        return {visible(name, 120): _cleaned(one, depth - 1) for name, one in items}
    if isinstance(value, list | tuple):
        return [_cleaned(one, depth - 1) for one in value[:LISTED]] if depth else []
    if value is None or isinstance(value, bool | int | float):
        return value
    return visible(value, LONG)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as plain JSON values, texts cut."""
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(name): _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return visible(value) if isinstance(value, str) else value
