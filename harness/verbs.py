"""What the verbs do with a run folder, and with the embedded service when it is run by itself."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.errors import ExitCode, HarnessError, suggest
from harness.run_folder import RunFolder, open_run, write_json
from harness.verdict import Verdict, from_json, to_json

VERDICTS = "verdicts.json"
SUMMARY = "summary.json"


def judge_folder(folder: Path, require: list[str]) -> set[ExitCode]:
    """Judge the history of a run folder and write verdicts.json; the codes that apply besides the verdicts'."""
    from harness.history import read_history
    from harness.judge import judge

    run = open_run(folder)
    if require:
        run.facts["require"] = require
        run.save()
    _check_required(run.facts.get("require", []))
    verdicts = judge(read_history(run.history), run.profile, seed=run.facts.get("seed", 0))
    write_json(folder / VERDICTS, to_json(verdicts))
    return _interrupted(run)


def report_folder(folder: Path) -> set[ExitCode]:
    """Write all reports of a run folder; the codes that apply besides the verdicts'."""
    from harness.gates import evaluate_gates
    from harness.history import read_history
    from reports import write_reports
    from reports.summary import build_summary

    run = open_run(folder)
    history = read_history(run.history)
    gates = evaluate_gates((run.facts.get("plan") or {}).get("gates", {}), history)
    extra = {"conformance": run.read("conformance.json"), "load": run.read("load.json")}
    write_reports(folder, build_summary(history, read_verdicts(folder), run.facts, gates, extra))
    return _interrupted(run)


def read_verdicts(folder: Path) -> list[Verdict]:
    """The verdicts of a run folder; none where it was not judged."""
    try:
        return from_json(json.loads((folder / VERDICTS).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HarnessError(f"{folder / VERDICTS}: damaged: {error}", hint=f"stepup judge {folder}") from error


def codes_of(folder: Path) -> set[ExitCode]:
    """The exit codes that follow from what is in a run folder: its verdicts, its gates, how its stages ended."""
    from harness.judge import exit_code

    run = open_run(folder)
    codes = {exit_code(read_verdicts(folder), required(run))} | _interrupted(run)
    gates = run.read(SUMMARY).get("gates", [])
    if any(gate.get("status") != "pass" for gate in gates):
        codes.add(ExitCode.GATE)
    stages = run.facts["stages"].values()
    if any(stage.get("exit") == ExitCode.UNREACHABLE for stage in stages):
        codes.add(ExitCode.UNREACHABLE)
    return codes


def required(run: RunFolder) -> list[str]:
    """The rules that must be decided for a pass: those asked for, and those without which a run has seen nothing."""
    from harness.judge import REQUIRED

    return [*REQUIRED, *run.facts.get("require", [])]


def _check_required(rules: list[str]) -> None:
    from harness.rules import RULES

    for name in rules:
        if name not in RULES:
            raise HarnessError(f"--require {name}: no such rule", hint=suggest(name, list(RULES)))


def _interrupted(run: RunFolder) -> set[ExitCode]:
    return {ExitCode.INTERRUPTED} if run.facts.get("interrupted") else set()


def serve_until_interrupted(directory: Path, fault: str | None, **flags: Any) -> None:
    """Run the embedded service in the foreground until SIGINT or SIGTERM."""
    from harness.reference.faults import FAULTS
    from harness.reference.server import Server
    from harness.reference.settings import Settings
    from harness.screen import say
    from harness.stages import Interrupt

    settings = Settings(**flags)
    if fault is not None:
        if fault not in FAULTS:
            raise HarnessError(f"fault {fault!r}: not planted here", hint=suggest(fault, sorted(FAULTS)))
        settings = replace(settings, fault=fault, **FAULTS[fault].needs)
    directory.mkdir(parents=True, exist_ok=True)
    with Interrupt() as interrupt, Server(settings, directory) as server:
        say(f"serving at {server.base_url}" + (f" with the fault {fault}" if fault else ""))
        say(f"profile and users: {server.profile_path}")
        say(f"test it: stepup run --profile {server.profile_path}    (Ctrl-C ends the service)")
        while not interrupt.asked:
            time.sleep(0.2)
