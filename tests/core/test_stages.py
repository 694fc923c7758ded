"""Stages are real processes: their output is kept, they end in time, and nothing they start outlives them."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from harness import stages
from harness.redact import Redactor
from harness.stages import Ended, Interrupt, Stage, run_stage


def run(code: str, folder: Path, interrupt: Interrupt | None = None, limit_s: float = 30.0) -> tuple[Ended, list[str]]:
    lines: list[str] = []
    argv = [sys.executable, "-u", "-c", code]
    stage = Stage("test", argv, folder / "log", lines.append, limit_s, {"EXTRA": "1"}, Redactor(["secret-0123456789"]))
    return run_stage(stage, interrupt or Interrupt()), lines


def test_gives_lines_exit_code_and_a_log_without_secrets(tmp_path: Path) -> None:
    code = "import os,sys; print('a'+os.environ['EXTRA']); print('secret-0123456789', file=sys.stderr); sys.exit(3)"
    ended, lines = run(code, tmp_path)
    assert (ended.exit, lines, ended.timed_out) == (3, ["a1", "[secret 0]"], False)
    assert (tmp_path / "log").read_text() == "a1\n[secret 0]\n"


def test_a_last_line_without_newline_and_odd_bytes_are_kept(tmp_path: Path) -> None:
    ended, lines = run("import sys; sys.stdout.buffer.write(b'x\\xff\\ny')", tmp_path)
    assert (ended.exit, lines) == (0, ["x\ufffd", "y"])


def test_a_stage_that_does_not_end_is_ended_at_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "GRACE_S", 0.3)
    deaf = "import signal,time\nfor s in (2, 15): signal.signal(s, lambda *a: None)\n"
    code = deaf + "print('up')\nwhile True: time.sleep(1)"
    ended, lines = run(code, tmp_path, limit_s=0.5)
    assert (ended.exit, lines, ended.timed_out) == (-signal.SIGKILL, ["up"], True)


def test_an_interrupt_asks_the_stage_to_end_by_itself(tmp_path: Path) -> None:
    code = "import time\ntry:\n  print('up')\n  time.sleep(60)\nexcept KeyboardInterrupt:\n  print('closing')"
    with Interrupt() as interrupt:
        lines: list[str] = []

        def on_line(line: str) -> None:
            lines.append(line)
            if line == "up":
                os.kill(os.getpid(), signal.SIGINT)

        stage = Stage("test", [sys.executable, "-u", "-c", code], tmp_path / "log", on_line, 30.0)
        ended = run_stage(stage, interrupt)
    assert (lines, ended.exit, ended.interrupted, ended.timed_out) == (["up", "closing"], 0, True, False)


def test_what_a_stage_started_does_not_outlive_it(tmp_path: Path) -> None:
    child = "p=subprocess.Popen([sys.executable,'-c','import time; time.sleep(60)'],stdout=-3)"
    code = f"import subprocess,sys\n{child}\nprint(p.pid)"
    _, lines = run(code, tmp_path)
    pid = int(lines[0])
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)
