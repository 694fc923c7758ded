"""One run from start to report: the target, the run folder, one process a stage, joined by files only."""

import contextlib
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from harness.allowances import Allowance, merged
from harness.control import ControlClient
from harness.deal import deal
from harness.errors import ExitCode, HarnessError
from harness.history import Recorder, compact
from harness.leaks import leaking_files
from harness.live import START_S, Glance, Onlooker
from harness.plan import Plan, find_plan, load_plan
from harness.profile import Profile, load_profile
from harness.redact import Redactor
from harness.resume import RESUMED, marks_of, resume
from harness.run_folder import RunFolder, create, write_json
from harness.stages import Ended, Interrupt, Stage, run_stage
from harness.targets.embedded import embedded
from harness.targets.look_back import look_back
from harness.targets.probe import Probe

CONFORMANCE_LIMIT_S: Final = 1800.0  # a slow target with a tight rate limit needs minutes; one that hangs is cut here
PAIRS_BESIDE_LOAD: Final = 3  # a run of everything tries one pair of unusual values in so many, to stay within a minute
JUDGE_LIMIT_S: Final = 1800.0
WORKERS_WAIT_S: Final = 600.0  # that a master waits for workers of other machines
LOAD_MARGIN_S: Final = 120.0  # for a load stage to start, to wait for its last answers, and to close


class Screen(Protocol):
    """Where a run tells how it goes; the command line prints it."""

    def stage(self, name: str, says: str) -> None: ...
    def line(self, stage: str, line: str) -> None: ...
    def note(self, text: str) -> None: ...
    def glance(self, glance: Glance) -> None: ...
    @property
    def glances(self) -> bool: ...


@dataclass(frozen=True)
class Options:
    """What to run. `profile` None is the embedded service; `extra` goes to pytest, `load` to the load stage."""

    stages: tuple[str, ...]
    profile: Path | None = None
    plan: Path | None = None
    out: Path | None = None
    seed: int = 1
    fault: str | None = None
    policy: tuple[str, ...] = ()
    require: tuple[str, ...] = ()
    allow: tuple[Allowance, ...] = ()
    extra: tuple[str, ...] = ()
    load: tuple[str, ...] = ()
    unlimited: bool = False
    resume: Path | None = None
    command: str = "stepup run"


@dataclass
class _Run:
    options: Options
    profile: Profile
    profile_path: Path
    folder: RunFolder
    plan: Plan | None
    screen: Screen
    interrupt: Interrupt
    redactor: Redactor = field(init=False)

    def __post_init__(self) -> None:
        self.redactor = Redactor(self.profile.secrets())


def execute(options: Options, screen: Screen) -> tuple[RunFolder, set[ExitCode]]:
    """Run all stages; gives its folder, judged and reported, and the exit codes besides the verdicts'."""
    run, codes = _sent(options, screen)
    return run.folder, codes | _conclude(run)


def send(options: Options, screen: Screen) -> tuple[RunFolder, set[ExitCode]]:
    """Run the stages that send, and no more; gives the folder with what they recorded, and their exit codes."""
    run, codes = _sent(options, screen)
    return run.folder, codes


def _check_allowed(path: Path, profile: Profile) -> None:
    """HarnessError where the profile allows the failure of what is no rule."""
    if profile.allowed:
        from harness.judge import check_rules

        check_rules(f"profile {path}: allowed:", [one.rule for one in profile.allowed])


def _sent(options: Options, screen: Screen) -> tuple[_Run, set[ExitCode]]:
    plan = load_plan(options.plan) if "load" in options.stages else None
    with contextlib.ExitStack() as stack:
        if options.profile is None:
            screen.stage("target", "starting the embedded service")
        interrupt = stack.enter_context(Interrupt())
        path = options.profile or stack.enter_context(embedded(options.seed, options.fault, options.policy))
        profile = load_profile(path)
        _check_allowed(path, profile)
        resumed = resume(options.resume, profile) if options.resume else None
        name = "embedded" if options.profile is None else path.stem
        folder = create(options.out, name, profile, seed=options.seed, command=options.command)
        folder.facts["require"] = list(options.require)
        folder.facts["allowed"] = [one.facts() for one in merged(options.allow, profile.allowed)]
        folder.facts["marks"] = marks_of(profile.pool)
        folder.facts["deal"] = deal(profile.pool, list(options.stages))
        folder.facts["plan"] = plan.facts() if plan else None
        folder.save()
        if resumed is not None:
            write_json(folder.path / RESUMED, {"refs": resumed.exchanges, "left_out": resumed.left_out})
        run = _Run(options, profile, path, folder, plan, screen, interrupt)
        return run, _send(run)


def _send(run: _Run) -> set[ExitCode]:
    """Probe the target and run the stages that send; what was recorded until an error or an interrupt is kept."""
    recorder = Recorder(run.folder.history, "setup", "main", run.redactor)
    probe, control = Probe(run.profile, recorder), ControlClient(run.profile, recorder)
    try:
        run.screen.stage("target", f"checking {run.profile.target.base_url}")
        probe.run()
        return _stages(run, control, probe, recorder)
    finally:
        probe.close()
        control.close()
        recorder.close(sent=probe.sent + control.calls)


def _stages(run: _Run, control: ControlClient, probe: Probe, recorder: Recorder) -> set[ExitCode]:
    codes: set[ExitCode] = set()
    for name in run.options.stages:
        if run.interrupt.asked:
            break
        # Each stage begins with nothing used up, where the target can be told to forget; not where it must remember.
        if run.options.resume is not None or not control.reset():
            control.pushes()  # a reset counts them itself
        stage = _conformance(run) if name == "conformance" else _load(run)
        run.screen.stage(name, SAYS[name])
        ended, abort = _watched(run, stage)
        control.pushes()
        codes |= _told(run, name, ended, abort)
        if ExitCode.UNREACHABLE in codes:
            break
    else:
        recorder.flush()  # so that the resets are in the history that is read
        if probe.reachable():
            _look_back(run, probe, control)
            _count_late_pushes(run, control)
        else:
            run.screen.note(f"the target at {run.profile.target.base_url} is gone: nobody listens there any more")
            codes.add(ExitCode.UNREACHABLE)
    if run.interrupt.asked:
        run.folder.facts["interrupted"] = True
        codes.add(ExitCode.INTERRUPTED)
    run.folder.save()
    return codes


@dataclass(frozen=True)
class _Ending:
    """Ends a stage when its user asks, or once a gate is missed that the plan calls hopeless."""

    interrupt: Interrupt
    onlooker: Onlooker

    @property
    def count(self) -> int:
        return max(self.interrupt.count, int(bool(self.onlooker.abort)))

    @property
    def asked(self) -> bool:
        return self.count > 0


def _watched(run: _Run, stage: Stage) -> tuple[Ended, str]:
    """Run a stage, looked at meanwhile where somebody wants that; how it ended, and which gate ended it."""
    gates = stage.name == "load" and run.plan is not None and bool(run.plan.abort_on_fail)
    if not gates and not run.screen.glances:
        return run_stage(stage, run.interrupt), ""
    start_s = 0.0 if gates else START_S
    with Onlooker(run.folder.path, stage.name, run.screen.glance, start_s) as onlooker:
        ended = run_stage(stage, _Ending(run.interrupt, onlooker))
    if onlooker.problem:
        run.screen.note(onlooker.problem)
    return ended, onlooker.abort if ended.interrupted and not run.interrupt.asked else ""


def _look_back(run: _Run, probe: Probe, control: ControlClient) -> None:
    """Ask for the first refs again after a run of everything; load alone ends when its plan says."""
    age_s = run.plan.look_back_s if run.plan and "conformance" in run.options.stages else 0.0
    if age_s and not run.interrupt.asked:
        say: Callable[[str], None] = lambda text: run.screen.stage("target", text)  # noqa: E731
        look_back(run.profile, run.folder.history, probe, control.reset, age_s, lambda: run.interrupt.asked, say)


def _count_late_pushes(run: _Run, control: ControlClient) -> None:
    """Count again when what the target still had to do is surely done: only then is a push that is missing lost."""
    late_s = (run.profile.target.late_effect_ns or 0) / 1e9
    if run.profile.control.pushes is None or not 0 < late_s <= LATEST_COUNT_S:
        return
    run.screen.stage("target", f"waiting {late_s:g} s for pushes that may still be under way")
    deadline = time.monotonic() + late_s * 1.02
    while time.monotonic() < deadline and not run.interrupt.asked:
        time.sleep(0.05)
    control.pushes()


LATEST_COUNT_S: Final = 15.0
SAYS: Final = {
    "conformance": "one request at a time, every kind of request the contract speaks of",
    "load": "many users at once, every response checked and recorded",
    "judge": "deciding every rule over the whole history",
    "report": "writing the reports",
}


def _told(run: _Run, name: str, ended: Ended, abort: str) -> set[ExitCode]:
    """Note how a stage ended in run.json; the exit codes that follow from it."""
    facts: dict[str, Any] = {"exit": ended.exit, "seconds": round(ended.seconds, 2), "timed_out": ended.timed_out}
    run.folder.facts["stages"][name] = facts
    codes: set[ExitCode] = set()
    if name == "conformance" and ended.exit == ExitCode.FAILED:
        facts["failed_checks"] = _failed_checks(run)
    if abort:
        facts |= {"aborted": True, "note": f"ended after {ended.seconds:.0f} s: {abort}"}
    elif ended.timed_out:
        facts["note"] = f"stopped after {ended.seconds:.0f} s, its time limit"
    elif ended.exit == ExitCode.UNREACHABLE:
        facts["note"] = "could not go on: " + (ended.tail[-1] if ended.tail else "the target cannot be tested")
        codes.add(ExitCode.UNREACHABLE)
    elif not ended.interrupted and ended.exit not in (0, 1 if name == "conformance" else 0):
        facts["note"] = f"ended with exit code {ended.exit}: " + " / ".join(ended.tail[-3:])
        codes.add(ExitCode.USAGE if ended.exit == ExitCode.USAGE else ExitCode.INTERNAL)
    if "note" in facts:
        run.screen.note(f"{name}: {facts['note']}")
    run.folder.save()
    return codes


def _failed_checks(run: _Run) -> int:
    """How many checks of the conformance stage failed, told at once: without a broken rule they count all the same."""
    told = run.folder.read("conformance.json")
    failed, failures = int(told.get("failed", 0)), told.get("failures") or [{"message": ""}]
    first = str(failures[0]["message"]).partition("\n")[0][:200]
    run.screen.note(f"conformance: {failed:,} check{'s' if failed != 1 else ''} failed, the first: {first}")
    return failed


def _stage(run: _Run, name: str, argv: list[str], limit_s: float) -> Stage:
    log = run.folder.path / f"{name}.log"
    env = {"STEPUP_PROFILE": str(run.profile_path.resolve()), "STEPUP_RUN": str(run.folder.path.resolve())}
    env |= {"STEPUP_SEED": str(run.options.seed), "PYTHONUNBUFFERED": "1"}
    on_line: Callable[[str], None] = lambda line: run.screen.line(name, line)  # noqa: E731
    return Stage(name, [sys.executable, *argv], log, on_line, limit_s, env, run.redactor)


def _conformance(run: _Run) -> Stage:
    from scenarios.conformance import pytest_arguments

    pairs = PAIRS_BESIDE_LOAD if "load" in run.options.stages else 1
    argv = pytest_arguments(run.options.seed, list(run.options.extra), pairs)
    return _stage(run, "conformance", argv, CONFORMANCE_LIMIT_S)


def _load(run: _Run) -> Stage:
    argv = [
        "-m",
        "scenarios.load",
        "--profile",
        str(run.profile_path.resolve()),
        "--run",
        str(run.folder.path.resolve()),
    ]
    argv += ["--seed", str(run.options.seed), *run.options.load]
    if run.options.plan:
        argv += ["--plan", str(find_plan(run.options.plan).resolve())]
    duration = (run.plan.seconds if run.plan else 0.0) + (WORKERS_WAIT_S if "--master" in run.options.load else 0.0)
    limit_s = float("inf") if run.options.unlimited else duration + LOAD_MARGIN_S
    return _stage(run, "load", argv, limit_s)


def _conclude(run: _Run) -> set[ExitCode]:
    """Merge, judge and report, each in a process of its own; the codes that apply whatever the verdicts are."""
    try:
        compact(run.folder.history)
    except (OSError, HarnessError) as error:  # the shards are still there
        run.screen.note(f"history: cannot be merged: {error}")
    codes = _concluded(run, "judge") | _concluded(run, "report")
    leaks = leaking_files(run.folder.path, run.redactor)
    if leaks:
        names = ", ".join(str(path) for path in leaks[:3])
        raise HarnessError(
            f"a secret of the credentials pool stands in {names}",
            hint="Delete the run folder before anyone sees it, and report this defect of the harness.",
            code=ExitCode.INTERNAL,
        )
    return codes


def _concluded(run: _Run, verb: str) -> set[ExitCode]:
    """Judge or report in a process; a judge that breaks down is told, and the report comes all the same."""
    run.screen.stage(verb, SAYS[verb])
    argv = [sys.executable, "-m", "harness", verb, str(run.folder.path), "--quiet"]
    stage = Stage(verb, argv, run.folder.path / f"{verb}.log", lambda _: None, JUDGE_LIMIT_S, dict(os.environ))
    ended = run_stage(stage, Interrupt())
    if ended.exit not in (ExitCode.INTERNAL, ExitCode.USAGE) and ended.exit >= 0:
        return set()
    told = " / ".join(ended.tail[-2:]) or f"ended by signal {-ended.exit}"
    run.screen.note(f"{verb}: {told}; see {stage.log}")
    run.folder.facts["stages"][verb] = {"exit": ended.exit, "seconds": round(ended.seconds, 2), "note": told}
    run.folder.save()
    return {ExitCode.INTERNAL}
