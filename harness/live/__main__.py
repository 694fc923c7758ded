"""The process that judges while a stage runs: `python -m harness.live RUN_FOLDER STAGE`; ends when its input does.

Each look prints one line of JSON, see `Glance`. It takes only processor time that nobody else wants.
"""

import contextlib
import json
import os
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from harness.allowances import allowances_in, day_of
from harness.gates import evaluate_gates
from harness.history import SCHEMA, History, Tally, history_of
from harness.judge import verdict_on
from harness.live.follow import Follower
from harness.rules import RULES, Rule
from harness.run_folder import RunFolder, open_run

EVERY_S: Final = 3.0
SHARE: Final = 0.2  # of a processor that it takes at most: the longer a look takes, the later comes the next
MOST: Final = 20_000  # exchanges that rules look at a time; the newest where there are more
GATED: Final = 500_000  # exchanges that gates are told from at most; the newest where there are more
AGAIN: Final = 4_000  # of the last look, so that what contradicts each other may be flushed in two
WIDE: Final = ("ref", "challenge_id", "retry_after", "headers", "body")  # columns that gates do not read
UNFINISHED: Final = ("the run goes on",)  # a part of the history is missing, as rules have to know


class Looker:
    """Holds what earlier looks have found."""

    def __init__(self, run: RunFolder, stage: str) -> None:
        self._run = run
        self._follower = Follower(run.history, stage)
        self._profile = run.profile
        self._last = SCHEMA.empty_table()
        self._counted = 0
        self._held: set[str] = set()
        self._broken: dict[str, dict[str, Any]] = {}
        plan = run.facts.get("plan") or {}
        self._gates: dict[str, float] = plan.get("gates", {}) if stage == "load" else {}
        self._fatal: list[str] = plan.get("abort_on_fail", [])
        self._after_ns = float(plan.get("abort_after_s", 0.0)) * 1e9
        self._slim: list[pa.Table] = []

    def look(self) -> dict[str, Any]:
        """What is known with what has been flushed since the last look."""
        fresh = self._follower.fresh()
        self._counted += len(fresh)
        if len(fresh):
            self._judge(fresh)
        gates, abort = self._decide(fresh)
        return {"exchanges": self._counted, "held": len(self._held - set(self._broken)),
                "broken": list(self._broken.values()), "gates": gates, "abort": abort}  # fmt: skip

    def _judge(self, fresh: pa.Table) -> None:
        table = pa.concat_tables([self._last, fresh])
        table = table.slice(max(0, len(table) - MOST)).unify_dictionaries()
        self._last = table.slice(max(0, len(table) - AGAIN))
        history = History(history_of(table).frame, gaps=UNFINISHED)
        for rule in RULES.values():
            if rule.scope == "run" or not rule.stands(self._profile):
                continue
            verdict = verdict_on(rule, history, self._profile)
            if verdict.status == "fail" and rule.id not in self._broken:
                self._broken[rule.id] = self._found(rule, verdict.message)
            elif verdict.examined:
                self._held.add(rule.id)

    def _found(self, rule: Rule, message: str) -> dict[str, Any]:
        known = allowances_in(self._run.facts).get(rule.id)
        allowed = known is not None and not known.expired(day_of(str(self._run.facts.get("started", ""))))
        return {"rule": rule.id, "counts": rule.severity == "must" and not allowed, "message": message}

    def _decide(self, fresh: pa.Table) -> tuple[list[dict[str, str]], str]:
        """The gates over the load so far, or the newest part of a long one, and the sentence that ends it."""
        if not self._gates:
            return [], ""
        self._slim.append(_slim(fresh))
        while len(self._slim) > 1 and sum(map(len, self._slim[1:])) >= GATED:
            del self._slim[0]
        table = pa.concat_tables(self._slim).unify_dictionaries()
        history = history_of(table, tuple(_tallies(table)))
        numbers = history.frame.groupby(["stage", "worker"], observed=True)["seq"]
        history.frame["seq"] -= numbers.transform("min")  # nothing is missing that was left out here
        told = [
            {"metric": str(one["metric"]), "status": str(one["status"]), "message": one["message"].split("; ")[0]}
            for one in evaluate_gates(self._gates, history)
        ]
        seen_ns = int(history.frame["received"].max()) if len(history.frame) else 0
        missed = [one for one in told if one["status"] == "fail" and one["metric"] in self._fatal]
        if not missed or seen_ns < self._after_ns:
            return told, ""
        return told, f"the gate {missed[0]['metric']} is missed: {missed[0]['message']}"


def _tallies(table: pa.Table) -> Iterator[Tally]:
    """What the processes would say of themselves if the run ended here, so that nothing counts as lost."""
    for one in table.group_by(["stage", "worker"]).aggregate([([], "count_all")]).to_pylist():
        yield Tally(one["stage"], one["worker"], "", 0, one["count_all"], one["count_all"], clean=True)


def _slim(table: pa.Table) -> pa.Table:
    """The rows without their long texts."""
    for name in WIDE:
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), pa.nulls(len(table), table.schema.field(place).type))
    return table


def step_back() -> None:
    """Let every other process go first."""
    os.nice(19)
    with contextlib.suppress(AttributeError, OSError):  # Linux only
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def main(folder: str, stage: str) -> None:
    """Look again and again until the input ends."""
    step_back()
    looker, pause_s = Looker(open_run(Path(folder)), stage), 0.0
    while not select.select([sys.stdin], [], [], pause_s)[0]:
        began = time.thread_time()
        print(json.dumps(looker.look()), flush=True)  # noqa: T201
        pause_s = max(EVERY_S, (time.thread_time() - began) / SHARE)


if __name__ == "__main__":
    main(*sys.argv[1:])
