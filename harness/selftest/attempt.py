"""Makes one trial: runs its attempts one after another until one shows what is to be shown, and reads the verdicts."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.errors import ExitCode, HarnessError
from harness.run import Options, send
from harness.selftest.trials import Attempt, Outcome, Trial
from harness.stages import Asked
from harness.verbs import judge_folder
from harness.verdict import read_verdicts


class _Unheard:
    """A screen that nobody looks at; the logs of the stages keep what they said."""

    glances = False

    def stage(self, name: str, says: str) -> None: ...
    def line(self, stage: str, line: str) -> None: ...
    def note(self, text: str) -> None: ...
    def glance(self, glance: object) -> None: ...


def attempt_all(trial: Trial, out: Path, interrupt: Asked) -> Outcome | None:
    """What the trial showed, None where it was interrupted."""
    began = time.monotonic()
    outcome = None
    for number, attempt in enumerate(trial.attempts, 1):
        folder = out / f"{trial.kind}-{trial.name}-{trial.seed}-{number}"
        if interrupt.asked or not _made(trial, attempt, folder):
            return None
        outcome = outcome_of(trial, attempt, folder, time.monotonic() - began)
        if outcome.result == "caught":
            break
    return outcome


def _made(trial: Trial, attempt: Attempt, folder: Path) -> bool:
    """Run and judge an attempt; False where it was interrupted."""
    options = Options(
        attempt.stages, plan=Path(attempt.plan) if attempt.plan else None, out=folder, seed=trial.seed,
        fault=trial.fault, policy=trial.policy, extra=attempt.extra, load=attempt.load, command="stepup selftest",
    )  # fmt: skip
    run, codes = send(options, _Unheard())
    if ExitCode.INTERRUPTED in codes:
        return False
    for code in codes & {ExitCode.USAGE, ExitCode.INTERNAL, ExitCode.UNREACHABLE}:
        notes = [facts["note"] for facts in run.facts["stages"].values() if "note" in facts]
        raise HarnessError(f"{attempt.name}: {'; '.join(notes) or 'a stage broke down'}", code=code)
    judge_folder(run.path, [])
    return True


def outcome_of(trial: Trial, attempt: Attempt, folder: Path, seconds: float) -> Outcome:
    """What the judged run folder of an attempt shows of its trial; `seconds` is what the trial has taken."""
    verdicts = read_verdicts(folder)
    red = [verdict for verdict in verdicts if verdict.status == "fail"]
    told = Outcome(
        trial, "quiet", tuple(verdict.rule for verdict in red), attempt=attempt.name, seconds=round(seconds, 2),
        examined=sum(verdict.examined for verdict in verdicts),
    )  # fmt: skip
    if trial.kind == "correct":
        return replace(told, result="false alarm", note=red[0].message[:300]) if red else told
    by = [verdict for verdict in red if verdict.rule in trial.rules]
    if not by:
        status = {verdict.rule: verdict.status for verdict in verdicts}
        note = "; ".join(f"{rule} {status.get(rule, 'is no rule')}" for rule in trial.rules)
        return replace(told, result="missed", note=note)
    exchange, at_s = min(_last_of_witness(verdict.witness) for verdict in by)
    return replace(told, result="caught", by=tuple(one.rule for one in by), exchange=exchange, at_s=at_s)


def _last_of_witness(witness: list[dict[str, Any]]) -> tuple[int, float]:
    """Number and time of the exchange with which the contradiction was complete."""
    last: dict[str, Any] = max(witness, key=lambda row: row["received_ms"], default={})
    return int(last.get("row", 0)), round(last.get("received_ms", 0.0) / 1000, 2)
