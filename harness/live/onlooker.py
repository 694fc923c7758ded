"""Starts the process that judges while a stage runs, hands on what it tells, and ends it with the stage."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

START_S: Final = 4.0  # into the stage, unless told otherwise; a shorter one has its verdicts soon enough
END_S: Final = 2.0  # that it may take to see that its input has ended


@dataclass(frozen=True)
class Glance:
    """What is known so far: `held` rules had occasions and kept them, `broken` are of `rule`, `counts`, `message`.

    `gates` are of `metric`, `status`, `message`; `abort` is a sentence once one is missed that ends the run.
    """

    exchanges: int
    held: int
    broken: list[dict[str, Any]]
    gates: list[dict[str, str]]
    abort: str


class Onlooker:
    """Looks at the stage `name` of the run in `folder` while it is entered; `told` is called from a thread of its own.

    `abort` holds the sentence that ends the run early, `problem` why there is nothing more to be told.
    """

    def __init__(self, folder: Path, name: str, told: Callable[[Glance], None], start_s: float = START_S) -> None:
        self.abort = ""
        self.problem = ""
        self._argv = [sys.executable, "-m", "harness.live", str(folder), name]
        self._told = told
        self._start_s = start_s
        self._over = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Onlooker":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        with self._lock:
            process = self._process
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:  # it is busy with a look that nobody waits for
                process.kill()
                process.wait()
        self._thread.join()

    def join(self, limit_s: float) -> None:
        """Wait until there is nothing more to be told."""
        self._thread.join(limit_s)

    def _watch(self) -> None:
        if self._over.wait(self._start_s):
            return
        with self._lock:
            if self._over.is_set():
                return
            process = self._process = subprocess.Popen(
                self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                start_new_session=True,
            )  # fmt: skip
        assert process.stdout is not None
        last = ""
        for line in process.stdout:
            last = line.strip() or last
            self._take(line)
        if process.wait() and not self._over.is_set():
            self.problem = f"nothing more is told of rules and gates while the run goes on: {last[:200]}"

    def _take(self, line: str) -> None:
        try:
            glance = Glance(**json.loads(line))
        except (ValueError, TypeError):
            return
        if not self._over.is_set():
            self.abort = self.abort or glance.abort
            self._told(glance)
