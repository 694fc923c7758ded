"""Makes trials in processes of their own, several at a time, which start with everything imported already."""

import contextlib
import os
import signal
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.errors import HarnessError
from harness.selftest.trials import Outcome, Score, Trial
from harness.stages import Asked, Interrupt

LIMIT_S: Final = 400.0  # of one trial; a planted fault may make a target hang
GRACE_S: Final = 60.0  # for a trial that was asked to end
LOOK_S: Final = 0.2

if TYPE_CHECKING:
    _Pipe = Connection[Any, Any]


@dataclass
class _Running:
    """A trial under way. `asked`: it was told to end, and is made to after `deadline`."""

    trial: Trial
    process: BaseProcess
    deadline: float
    asked: bool = False

    def end(self, now: float) -> None:
        """Ask it to end, or make it."""
        if self.process.pid is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self.asked:
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                os.kill(self.process.pid, signal.SIGINT)
        self.asked, self.deadline = True, now + GRACE_S


def run_trials(todo: list[Trial], out: Path, jobs: int, interrupt: Asked, told: Callable[[Outcome], None]) -> Score:
    """Make all trials, `jobs` at a time; `told` hears of each as it ends. An interrupt ends early with what there is.

    Each is a process that is forked from one in which what takes long to import is there.
    """
    processes = get_context("forkserver")
    processes.set_forkserver_preload(["harness.selftest.processes", "harness.selftest.attempt"])
    score, waiting = Score(), deque(todo)
    running: dict[_Pipe, _Running] = {}
    while running or (waiting and not interrupt.asked):
        while waiting and len(running) < jobs and not interrupt.asked:
            trial = waiting.popleft()
            here, there = processes.Pipe(duplex=False)
            process = processes.Process(target=_made, args=(trial, out, there))
            process.start()
            there.close()
            running[here] = _Running(trial, process, time.monotonic() + LIMIT_S)
        wait(list(running), LOOK_S)
        for here in [one for one in running if one.poll()]:
            outcome = _ended(here, running.pop(here))
            if outcome is not None:
                score.outcomes.append(outcome)
                told(outcome)
        _hurry(list(running.values()), interrupt)
    return score


def _hurry(running: list[_Running], interrupt: Asked) -> None:
    now = time.monotonic()
    for one in running:
        if now > one.deadline or (interrupt.asked and not one.asked):
            one.end(now)


def _ended(here: "_Pipe", running: _Running) -> Outcome | None:
    """What a trial's process told before it ended; None where it was interrupted."""
    try:
        outcome: Outcome | None = here.recv()
    except EOFError:
        outcome = Outcome(running.trial, "broken", note="its process ended without a word, or was too slow")
    here.close()
    running.process.join()
    return outcome


def _made(trial: Trial, out: Path, there: "_Pipe") -> None:
    """One trial, in a process and session of its own, so that only our own signals reach it."""
    os.setsid()
    try:
        from harness.selftest.attempt import attempt_all

        with Interrupt() as interrupt:
            outcome = attempt_all(trial, out, interrupt)
    except HarnessError as error:
        outcome = Outcome(trial, "broken", note=str(error)[:300])
    except Exception as error:  # whatever it is, the other trials still have to be made
        place = traceback.extract_tb(error.__traceback__)[-1]
        note = f"a defect of the harness: {type(error).__name__}: {error} ({place.filename}, line {place.lineno})"
        outcome = Outcome(trial, "broken", note=note[:300])
    there.send(outcome)
