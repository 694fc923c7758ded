"""What the verbs do with a run folder, and with the embedded service when it is run by itself."""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.allowances import Allowance, allowances_in, merged
from harness.errors import ExitCode, HarnessError
from harness.run_folder import SUMMARY, RunFolder, open_run, open_what_is_left, write_json
from harness.verdict import VERDICTS, Verdict, read_verdicts, to_json

if TYPE_CHECKING:
    from harness.history import History

SENDERS = ("conformance", "load")  # stages that leave a file on how they went


def judge_folder(folder: Path, require: list[str], allow: tuple[Allowance, ...] = (), dask: str = "") -> set[ExitCode]:
    """Judge the history of a run folder and write verdicts.json; the codes that apply besides the verdicts'.

    What is required and allowed stays in run.json, where the reports find it. `dask`: see `parted.judge_folder`.
    """
    from harness.judge import check_rules
    from harness.parted import judge_folder as judge
    from harness.reproduce import Run

    run = open_run(folder)
    if require:
        run.facts["require"] = require
    allowed = merged(allow, allowances_in(run.facts).values())
    run.facts["allowed"] = [one.facts() for one in allowed]
    check_rules("--require", run.facts.get("require", []))
    check_rules("--allow", [one.rule for one in allowed])
    if require or allow:
        run.save()
    facts = run.facts
    started = Run(facts.get("seed", 0), facts.get("command", ""))
    verdicts = judge(run.history, run.profile, started, dask=dask)
    write_json(folder / VERDICTS, to_json(verdicts))
    return _interrupted(run)


def report_folder(folder: Path) -> set[ExitCode]:
    """Write all reports of a run folder, whatever state it is in; the exit codes that apply.

    What cannot be read is named in the reports as missing; HarnessError where nothing there was left by a run.
    """
    from harness.gates import evaluate_gates
    from reports import write_reports
    from reports.summary import build_summary

    run = open_what_is_left(folder)
    history, verdicts = _left(run)
    gates = evaluate_gates((run.facts.get("plan") or {}).get("gates", {}), history)
    extra = {name: run.read(f"{name}.json") for name in SENDERS}
    summary = build_summary(history, verdicts, run.facts, gates, extra)
    write_reports(folder, summary)
    return {ExitCode(summary["outcome"]["exit_code"])}


def _left(run: RunFolder) -> tuple["History", list[Verdict]]:
    """History and verdicts of a run, without what cannot be read, which is a gap and in its facts as `unreadable`."""
    from harness.history import SCHEMA, history_of
    from reports.lean import open_history

    unreadable: dict[str, str] = run.facts.setdefault("unreadable", {})
    verdicts: list[Verdict] = []
    history: History = history_of(SCHEMA.empty_table())
    try:
        history = open_history(run.history)
    except HarnessError as error:
        unreadable["history"] = error.message
    except Exception as error:  # however it is damaged, the rest of the run is still to be told
        unreadable["history"] = f"history {run.history}: damaged: {type(error).__name__}: {str(error)[:120]}"
    try:
        verdicts = read_verdicts(run.path)
    except HarnessError as error:
        unreadable[VERDICTS] = error.message
    unsaid = [name for name in SENDERS if (run.path / f"{name}.json").exists() and not run.read(f"{name}.json")]
    gaps = [f"{name}.json cannot be read: what the stage says of itself is left out" for name in unsaid]
    return replace(history, gaps=(*unreadable.values(), *gaps, *history.gaps)), verdicts


def codes_of(folder: Path) -> set[ExitCode]:
    """The exit codes that follow from what is in a run folder: its verdicts, its gates, how its stages ended."""
    from reports.outcome import codes

    run = open_run(folder)
    return codes(read_verdicts(folder), run.facts, run.read(SUMMARY).get("gates", []))


def tell_ci(folder: Path) -> None:
    """Print what the CI that this runs in shows beside the code, and leave the job summary where it looks for it."""
    from reports.github import publish

    try:
        for line in publish(open_run(folder).read(SUMMARY), os.environ):
            # Log commands must stand at the start of a line, whatever a console would make of them.
            print(line)  # noqa: T201
    except OSError as error:
        raise HarnessError(f"job summary: {error.strerror}", hint="Is GITHUB_STEP_SUMMARY a writable file?") from error


def _interrupted(run: RunFolder) -> set[ExitCode]:
    return {ExitCode.INTERRUPTED} if run.facts.get("interrupted") else set()


def serve_until_interrupted(directory: Path, fault: str | None, policy: tuple[str, ...], **flags: Any) -> None:
    """Run the embedded service in the foreground until SIGINT or SIGTERM."""
    from harness.reference.server import Server
    from harness.reference.settings import Settings
    from harness.screen import say
    from harness.stages import Interrupt
    from harness.targets.embedded import planted

    settings = planted(Settings(**flags), fault, policy)
    with Interrupt() as interrupt, Server(settings, directory) as server:
        say(f"serving at {server.base_url}" + (f" with the fault {fault}" if fault else ""))
        say(f"profile and users: {server.profile_path}")
        say(f"test it: stepup run --profile {server.profile_path}    (Ctrl-C ends the service)")
        while not interrupt.asked:
            time.sleep(0.2)
