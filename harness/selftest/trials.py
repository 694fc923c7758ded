"""Does the harness find what it is for? Runs the embedded service correct and with each planted fault, and counts."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from harness.errors import ExitCode
from harness.reference.faults import FAULTS
from harness.rules import RULES
from harness.stages import Ended, Interrupt, Stage, run_stage

LIMIT_S: Final = 300.0  # of one run; a planted fault may make a target hang
# Policies that a deployment may declare, each a set of `--policy` settings of the embedded service.
POLICIES: Final[dict[str, tuple[str, ...]]] = {
    "default": (),
    "reject": ("in_flight=reject", "in_flight_for=3"),
    "conflict": ("concurrent_duplicate=conflict",),
    "programme": ("challenge_scope=programme", "challenge_count=400"),
    "fixed-window": ("rate_algorithm=fixed-window",),
    "token-bucket": ("rate_algorithm=token-bucket", "rate_burst=20"),
    "by-key": ("rate_scope=api-key", "rate_count=400"),
    "no-limits": ("rate_count=none", "challenge_count=none"),
    "small-pool": ("users=3",),
}

Kind = Literal["correct", "fault"]
Result = Literal["quiet", "false alarm", "caught", "missed", "broken"]


@dataclass(frozen=True)
class Trial:
    """One run to make: of the correct service under a policy, or of one fault. `rules` must catch the fault."""

    name: str
    kind: Kind
    seed: int
    flags: tuple[str, ...]
    rules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What a run said. `failed` are the rules that are red, `exchange` and `at_s` the end of the first witness."""

    trial: Trial
    result: Result
    failed: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    exchange: int | None = None
    at_s: float | None = None
    seconds: float = 0.0
    examined: int = 0
    note: str = ""

    def facts(self) -> dict[str, Any]:
        """This outcome for selftest.json."""
        told = {name: value for name, value in vars(self).items() if name != "trial"}
        return {"name": self.trial.name, "kind": self.trial.kind, "seed": self.trial.seed, **told}


@dataclass
class Score:
    """All outcomes of a selftest."""

    outcomes: list[Outcome] = field(default_factory=list)

    def count(self, result: Result) -> int:
        return sum(outcome.result == result for outcome in self.outcomes)

    @property
    def code(self) -> ExitCode:
        """Passed only when every fault was caught and no correct service blamed; nothing tried is no pass."""
        if self.count("missed") or self.count("false alarm"):
            return ExitCode.FAILED
        if self.count("broken") or not self.outcomes:
            return ExitCode.INCONCLUSIVE
        return ExitCode.PASS


def trials(faults: list[str], policies: list[str], seeds: int, first_seed: int) -> list[Trial]:
    """Each policy and each fault once a seed."""
    seeded = range(first_seed, first_seed + seeds)
    correct = [
        Trial(name, "correct", seed, tuple(flag for one in POLICIES[name] for flag in ("--policy", one)))
        for name in policies
        for seed in seeded
    ]
    planted = [Trial(name, "fault", seed, ("--fault", name), FAULTS[name].rules) for name in faults for seed in seeded]
    return correct + planted


def one_a_family() -> list[str]:
    """For each rule the first fault that it must catch: few runs that still touch every family."""
    first: dict[str, str] = {}
    for fault in FAULTS.values():
        first.setdefault(fault.rules[0], fault.id)
    families = {RULES[rule].family: name for rule, name in reversed(first.items()) if rule in RULES}
    return list(families.values())


def run_trials(
    todo: list[Trial], out: Path, plan: str, jobs: int, interrupt: Interrupt, told: Callable[[Outcome], None]
) -> Score:
    """Make all runs, `jobs` at a time; `told` hears of each as it ends. An interrupt ends early with what there is."""
    score = Score()
    with ThreadPoolExecutor(jobs) as workers:
        futures = [workers.submit(_run, trial, out, plan, interrupt) for trial in todo]
        for future in as_completed(futures):
            outcome = future.result()
            if outcome is not None:
                score.outcomes.append(outcome)
                told(outcome)
    return score


def _run(trial: Trial, out: Path, plan: str, interrupt: Interrupt) -> Outcome | None:
    """The first stage that catches a fault settles it; a correct service has to stand all."""
    began = time.monotonic()
    outcome = None
    for verb in _verbs(trial):
        if interrupt.asked:
            return None
        name = f"{trial.kind}-{trial.name}-{trial.seed}-{verb}"
        argv = [sys.executable, "-m", "harness", verb, "--seed", str(trial.seed), *trial.flags]
        argv += ["--out", str(out / name), *(part.format(plan=plan) for part in LAST_OF[verb])]
        stage = Stage(name, argv, out / f"{name}.log", _unheard, LIMIT_S, dict(os.environ))
        ended = run_stage(stage, interrupt)
        if ended.interrupted:
            return None
        outcome = _outcome(trial, out / name, ended, time.monotonic() - began)
        if outcome.result == "caught":
            break
    return outcome


# A few failed tests prove a fault as well as hundreds do.
LAST_OF: Final = {"run": ["--plan", "{plan}"], "load": ["{plan}"], "conformance": ["--", "--maxfail=5"]}


def _verbs(trial: Trial) -> tuple[str, ...]:
    """Which commands to try, the likeliest first."""
    if trial.kind == "correct":
        return ("run",)
    alone = all(RULES[rule].scope == "exchange" for rule in trial.rules if rule in RULES)
    return ("conformance", "load") if alone else ("load", "conformance")


def _unheard(_: str) -> None:
    """A stage's line; its log keeps it."""


def _outcome(trial: Trial, folder: Path, ended: Ended, seconds: float) -> Outcome:
    """What the run's folder says of the trial."""
    verdicts = list(_verdicts(folder))
    if not verdicts or ended.exit in (ExitCode.USAGE, ExitCode.INTERNAL):
        note = f"exit code {ended.exit}: " + " / ".join(ended.tail[-2:])
        return Outcome(trial, "broken", seconds=seconds, note=note[:300])
    red = [verdict for verdict in verdicts if verdict["status"] == "fail"]
    failed = tuple(verdict["rule"] for verdict in red)
    examined = sum(verdict["examined"] for verdict in verdicts)
    if trial.kind == "correct":
        note = red[0]["message"][:300] if red else ""
        return Outcome(trial, "false alarm" if red else "quiet", failed, (), None, None, seconds, examined, note)
    by = [verdict for verdict in red if verdict["rule"] in trial.rules]
    if not by:
        return Outcome(trial, "missed", failed, (), None, None, seconds, examined, _why_missed(trial, verdicts))
    exchange, at_s = min(_last_of_witness(verdict) for verdict in by)
    names = tuple(verdict["rule"] for verdict in by)
    return Outcome(trial, "caught", failed, names, exchange, at_s, seconds, examined)


def _verdicts(folder: Path) -> Iterator[dict[str, Any]]:
    try:
        yield from json.loads((folder / "verdicts.json").read_text(encoding="utf-8"))["verdicts"]
    except (OSError, ValueError, KeyError):
        return


def _last_of_witness(verdict: dict[str, Any]) -> tuple[int, float]:
    """Number and time of the exchange with which the contradiction was complete."""
    last: dict[str, Any] = max(verdict["witness"], key=lambda row: row["received_ms"], default={})
    return int(last.get("row", 0)), round(last.get("received_ms", 0.0) / 1000, 2)


def _why_missed(trial: Trial, verdicts: list[dict[str, Any]]) -> str:
    told = {verdict["rule"]: f"{verdict['rule']} {verdict['status']}" for verdict in verdicts}
    return "; ".join(told.get(rule, f"{rule} is no rule") for rule in trial.rules)
