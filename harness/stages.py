"""Runs one stage of a run as a process of its own: its output, its time limit, and its end on Ctrl-C."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from harness.redact import Redactor

GRACE_S: Final = 20.0  # for a stage to close its shard after it was asked to end
LONGEST_LINE: Final = 64 * 1024  # bytes; a stage that prints more without a newline is cut there


@dataclass
class Stage:
    """What to run: `argv` and `env` of a process, what to do with each line it prints, and how long it may take."""

    name: str
    argv: list[str]
    log: Path
    on_line: Callable[[str], None]
    limit_s: float
    env: dict[str, str] = field(default_factory=dict)
    redactor: Redactor = field(default_factory=lambda: Redactor([]))


@dataclass(frozen=True)
class Ended:
    """How a stage ended. `exit` is negative for a signal; `tail` holds its last lines; `timed_out`: it was stopped."""

    exit: int
    seconds: float
    tail: tuple[str, ...]
    timed_out: bool = False
    interrupted: bool = False


class Asked(Protocol):
    """Whether somebody wants a stage to end, and how often it was asked for: the second time it is made to."""

    @property
    def count(self) -> int: ...
    @property
    def asked(self) -> bool: ...


class Interrupt:
    """Remembers that the user wants to end: the first SIGINT or SIGTERM asks, a second one insists."""

    def __init__(self) -> None:
        self.count = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Interrupt":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, *_: object) -> None:
        self.count += 1

    @property
    def asked(self) -> bool:
        return self.count > 0


def run_stage(stage: Stage, interrupt: Asked) -> Ended:
    """Run a stage to its end, its limit or an interrupt; its output goes to its log, redacted, and to `on_line`."""
    began = time.monotonic()
    tail: deque[str] = deque(maxlen=30)
    with (
        stage.log.open("w", encoding="utf-8") as log,
        subprocess.Popen(
            stage.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, **stage.env}, start_new_session=True,
        ) as process,
    ):  # fmt: skip
        end = _Ending(process, interrupt, began + stage.limit_s)
        try:
            for line in _lines(process, end.due):
                clean = stage.redactor.clean(line)
                log.write(clean + "\n")
                log.flush()
                tail.append(clean)
                stage.on_line(clean)
            end.now(GRACE_S)
        except BaseException:
            end.now(0.0)
            raise
    return Ended(process.returncode, time.monotonic() - began, tuple(tail), end.timed_out, end.interrupted)


class _Ending:
    """Ends a process in steps: SIGINT when asked or overdue, SIGTERM after the grace, SIGKILL after another."""

    def __init__(self, process: subprocess.Popen[bytes], interrupt: Asked, deadline: float) -> None:
        self.timed_out = False
        self.interrupted = False
        self._process = process
        self._interrupt = interrupt
        self._deadline = deadline
        self._steps = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]

    def due(self) -> None:
        """Called often while the process runs; takes the next step when it is time for it."""
        now = time.monotonic()
        if not self.interrupted and self._interrupt.asked:
            self.interrupted = True
            self._step(now)
        elif self.interrupted and self._interrupt.count > 1 and len(self._steps) > 1:
            self._steps = [signal.SIGKILL]
            self._step(now)
        elif now > self._deadline:
            self.timed_out = self.timed_out or not self.interrupted
            self._step(now)

    def now(self, grace_s: float) -> None:
        """Called when the output has ended, and on errors: the process may not outlive its stage."""
        deadline = time.monotonic() + grace_s
        while self._process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        _signal_group(self._process.pid, signal.SIGKILL)  # what the stage itself started, or the stage
        self._process.wait()

    def _step(self, now: float) -> None:
        number = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
        if number == signal.SIGKILL:
            _signal_group(self._process.pid, number)
        else:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
        self._deadline = now + GRACE_S


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _lines(process: subprocess.Popen[bytes], due: Callable[[], None]) -> Iterator[str]:
    """Each line of the process' output as it comes; `due` is called several times a second meanwhile."""
    assert process.stdout is not None
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            due()
            if not selector.select(timeout=0.1):
                if process.poll() is not None:
                    break
                continue
            read = os.read(process.stdout.fileno(), LONGEST_LINE)
            if not read:
                break
            *lines, pending = (pending + read).split(b"\n")
            if len(pending) > LONGEST_LINE:
                lines, pending = [*lines, pending], b""
            yield from (line.decode("utf-8", "replace").rstrip("\r") for line in lines)
    if pending:
        yield pending.decode("utf-8", "replace")
