"""The main job as its users run it: real processes against the real embedded service, to verdicts and reports."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from harness.errors import ExitCode
from harness.reference.server import Server
from harness.reference.settings import Settings

LIMIT_S = 150.0  # of a command that should take a fraction of it
PLAN = """
connections = 24
[[stages]]
scenario = "background"
duration = "4s"
rate = 150
[[stages]]
scenario = "idempotency"
duration = "4s"
rate = 30
"""


@dataclass(frozen=True)
class Done:
    """How a command ended, and its run folder."""

    code: int
    printed: str
    out: Path

    def verdicts(self) -> dict[str, str]:
        told = json.loads((self.out / "verdicts.json").read_text())["verdicts"]
        return {verdict["rule"]: verdict["status"] for verdict in told}


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plan") / "short.toml"
    path.write_text(PLAN)
    return path


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Server]:
    with Server(Settings(), tmp_path / "service") as server:
        yield server


def stepup(
    *argv: str | Path,
    out: Path,
    act: Callable[[subprocess.Popen[str], str], None] | None = None,
    where: Path | None = None,
) -> Done:
    """Run `stepup` in folder `where`; `act` is called with the process and each line it prints."""
    command = [str(Path(sys.executable).with_name("stepup")), *map(str, argv)]
    lines = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=where,
        env={**os.environ, "COLUMNS": "200"},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        deadline = time.monotonic() + LIMIT_S
        for line in process.stdout:
            lines.append(line)
            if act is not None:
                act(process, line)
            if time.monotonic() > deadline:
                process.kill()
        process.wait(LIMIT_S)
    return Done(process.returncode, "".join(lines), out)


@pytest.fixture(scope="module")
def passing(plan: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A run in a folder with files that bear the names of modules which the harness imports."""
    here = tmp_path_factory.mktemp("runs")
    for name in ("queue.py", "profile.py", "harness.py"):
        (here / name).write_text("raise SystemExit('a file of the user was taken for a module')\n")
    return stepup("load", plan, "--out", here / "passing", "--plain", out=here / "passing", where=here)


def test_a_correct_target_is_never_blamed(passing: Done) -> None:
    assert [rule for rule, status in passing.verdicts().items() if status == "fail"] == []
    assert passing.code == ExitCode.PASS, passing.printed
    assert passing.verdicts()["idempotent-replay"] == "pass"


def test_leaves_every_report_and_names_the_first_to_read(passing: Done) -> None:
    for name in ("run.json", "verdicts.json", "summary.json", "report.html", "summary.md", "junit.xml"):
        assert (passing.out / name).stat().st_size > 0
    assert str(passing.out / "report.html") in passing.printed


def test_judging_and_reporting_anew_need_no_target_and_change_nothing(passing: Done) -> None:
    before = passing.verdicts()
    for verb in ("judge", "report"):
        done = stepup(verb, passing.out, out=passing.out)
        assert (done.code, done.verdicts()) == (ExitCode.PASS, before)


def test_a_planted_fault_turns_its_rule_red_with_a_witness_on_screen(plan: Path, tmp_path: Path) -> None:
    done = stepup("load", plan, "--fault", "idempotency-race", "--out", tmp_path / "out", out=tmp_path / "out")
    assert done.code == ExitCode.FAILED, done.printed
    assert done.verdicts()["idempotent-concurrent"] == "fail"
    assert "idempotent-concurrent" in done.printed
    told = json.loads((done.out / "verdicts.json").read_text())["verdicts"]
    verdict = next(one for one in told if one["rule"] == "idempotent-concurrent")
    assert len({row["challenge_id"] for row in verdict["witness"]}) == 2
    assert verdict["reproduce"]


def test_an_interrupt_still_judges_and_reports_what_there_is(plan: Path, tmp_path: Path) -> None:
    asked: list[float] = []

    def interrupt(process: subprocess.Popen[str], line: str) -> None:
        if "load:" in line and '"' not in line and not asked and "many users" not in line:
            asked.append(time.monotonic())
            process.send_signal(signal.SIGINT)

    out = tmp_path / "out"
    done = stepup("load", plan, "--plain", "--out", out, out=out, act=interrupt)
    assert asked, done.printed
    assert done.code == ExitCode.INTERRUPTED, done.printed
    assert (out / "report.html").exists()
    assert len(done.verdicts()) > 20


def test_a_service_worker_killed_under_load_is_no_fault_of_the_contract(
    plan: Path, tmp_path: Path, service: Server
) -> None:
    killed: list[int] = []

    def kill(_: subprocess.Popen[str], line: str) -> None:
        if "load:" in line and "many users" not in line and not killed:
            killed.append(service.pids[0])
            os.kill(service.pids[0], signal.SIGKILL)

    out = tmp_path / "out"
    done = stepup("load", plan, "--plain", "--profile", service.profile_path, "--out", out, out=out, act=kill)
    assert killed
    assert [rule for rule, status in done.verdicts().items() if status == "fail"] == [], done.printed
    assert done.code == ExitCode.PASS, done.printed


def test_a_target_that_dies_half_way_is_told_and_what_there_is_judged(
    plan: Path, tmp_path: Path, service: Server
) -> None:
    """However late in the run it dies."""

    def end(_: subprocess.Popen[str], line: str) -> None:
        if "load:" in line and "many users" not in line:
            service.__exit__(None, None, None)

    out = tmp_path / "out"
    done = stepup("load", plan, "--plain", "--profile", service.profile_path, "--out", out, out=out, act=end)
    assert done.code == ExitCode.UNREACHABLE, done.printed
    assert "is gone" in done.printed
    assert "fail" not in done.verdicts().values(), done.printed
    assert (out / "report.html").exists()


def test_nothing_that_was_started_outlives_a_run(passing: Done) -> None:
    left = [one for one in psutil.process_iter(["cmdline"]) if str(passing.out) in " ".join(one.info["cmdline"] or [])]
    assert left == []
