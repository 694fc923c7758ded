"""The whole selftest: trials of the correct service and of faults, their table, and what plain tools find."""

import os
import time
from math import ceil
from pathlib import Path
from typing import Any

from harness.errors import ExitCode, HarnessError, suggest
from harness.plan import load_plan
from harness.reference.faults import FAULTS
from harness.rules import RULES
from harness.run_folder import unused, write_json
from harness.selftest.policies import policies
from harness.selftest.processes import run_trials
from harness.selftest.table import SelftestTable
from harness.selftest.trials import correct_trials, fault_trials, of_families, one_a_family
from harness.stages import Interrupt


def run_selftest(
    faults: tuple[str, ...], families: tuple[str, ...], stage: str | None, out: Path | None, jobs: int | None,
    plan: str, *, correct: bool, quick: bool, compare: bool, seeds: int, seed: int,
) -> ExitCode:  # fmt: skip
    """Run the embedded service correct and with faults; prints the table, leaves selftest.json in `out`."""
    load_plan(Path(plan))
    chosen = _chosen(faults, families, quick)
    todo = []
    for one in range(seed, seed + seeds):
        tried = policies(one)
        todo += correct_trials({"default": tried["default"]} if quick else tried, plan, one, stage) if correct else []
        todo += fault_trials(chosen, plan, one, stage)
    folder = _selftest_folder(out)
    table = SelftestTable(len(todo))
    with Interrupt() as interrupt:
        # Half of a run is waiting: for windows to pass, for processes to start.
        score = run_trials(todo, folder, jobs or ceil((os.cpu_count() or 1) * 1.5), interrupt, table.told)
    plain = _plain(chosen, seed, table, interrupt) if compare else {}
    outcomes = [outcome.facts() for outcome in score.outcomes]
    write_json(folder / "selftest.json", {"version": 1, "outcomes": outcomes, "plain_tools": plain})
    table.close(score, folder)
    return ExitCode.INTERRUPTED if interrupt.asked else score.code


def _chosen(faults: tuple[str, ...], families: tuple[str, ...], quick: bool) -> list[str]:
    """The faults to plant: those named, or one of each family, or those of the named families, or all."""
    known = list(dict.fromkeys(rule.family for rule in RULES.values()))
    for what, names, valid in (("fault", faults, sorted(FAULTS)), ("family", families, known)):
        for name in names:
            if name not in valid:
                raise HarnessError(f"--{what} {name!r}: there is none of this name", hint=suggest(name, valid))
    return list(faults) or (one_a_family() if quick else of_families(families))


def _plain(faults: list[str], seed: int, table: SelftestTable, interrupt: Interrupt) -> dict[str, Any]:
    """What `st run` and a plain Locust script find of the same faults."""
    from harness.selftest.plain_tools import PlainTools

    tools, found = PlainTools(seed), {}
    for fault in faults:
        if interrupt.asked:
            break
        found[fault] = tools.found(fault)
        table.plain(fault, found[fault])
    table.plain_score(list(found.values()))
    return {fault: vars(one) for fault, one in found.items()}


def _selftest_folder(out: Path | None) -> Path:
    where = out or unused(Path("runs") / f"{time.strftime('%Y%m%dT%H%M%S')}-selftest")
    try:
        where.mkdir(parents=True, exist_ok=True)
        if any(where.iterdir()):
            raise HarnessError(f"folder {where}: not empty", hint="Name a new one with --out DIR.")
    except OSError as error:
        raise HarnessError(f"folder {where}: {error.strerror}", hint="Name a writable one: --out DIR.") from error
    return where
