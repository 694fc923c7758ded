"""The processes that look at parts of a history: some of this machine, or the workers of a Dask cluster."""

import os
import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import get_context
from typing import Any, Final

from harness.errors import HarnessError

MOST_WORKERS: Final = 4  # each holds a part, some 400 MB
DASK_WAITS: Final = "10s"  # for a scheduler to answer
AHEAD: Final = 2  # parts by worker that are under way at once


@contextmanager
def cluster(address: str) -> Iterator[Executor]:
    """The workers of the Dask cluster with this scheduler; HarnessError where there is none."""
    try:
        distributed: Any = import_module("distributed")  # untyped, and only there where the extra is installed
    except ImportError as error:
        raise HarnessError("--dask: Dask is not installed", hint="pip install 'stepup-harness[dask]'") from error
    try:
        client = distributed.Client(address, timeout=DASK_WAITS)
    except (OSError, ValueError) as error:
        told = (str(error).splitlines() or [type(error).__name__])[0][:160]
        hint = "It takes the address of a scheduler, such as tcp://10.0.0.1:8786: dask scheduler."
        raise HarnessError(f"--dask {address}: no scheduler answers: {told}", hint=hint) from error
    with client:
        if not client.scheduler_info()["workers"]:
            raise HarnessError(f"--dask {address}: the cluster has no workers", hint=f"dask worker {address}")
        yield client.get_executor(pure=False)


@contextmanager
def processes() -> Iterator[Executor]:
    """Some processes of this machine, which leave an interrupt to this one."""
    many = min(len(os.sched_getaffinity(0)), MOST_WORKERS)
    pool = ProcessPoolExecutor(many, get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_IGN))
    for _ in range(many):  # they are ready once there is something to do
        pool.submit(_load)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _load() -> None:
    """Import what the work needs, which takes a second."""
    import_module("harness.parted")


def done(executor: Executor, jobs: Iterable[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
    """The number and the result of each job as it is done; only a few are under way at once, as each holds a part."""
    running: dict[Future[Any], int] = {}
    for number, (work, *arguments) in enumerate(jobs):
        try:
            running[executor.submit(work, *arguments)] = number
        except BrokenExecutor as error:
            raise _killed() from error
        if len(running) >= AHEAD * MOST_WORKERS:
            yield from _finished(running)
    while running:
        yield from _finished(running)


def _finished(running: dict[Future[Any], int]) -> Iterator[tuple[int, Any]]:
    for one in wait(running, return_when=FIRST_COMPLETED).done:
        yield running.pop(one), _result(one)


def _result(done: Future[Any]) -> Any:
    try:
        return done.result()
    except BrokenExecutor as error:
        raise _killed() from error
    except OSError as error:
        told = f"history: a part of it could not be written or read: {error.strerror or error}"
        raise HarnessError(told, hint="Is there room on the disk of the run folder?") from error


def _killed() -> HarnessError:
    hint = "Was there too little memory? Close other programs and judge again."
    return HarnessError("history: a process that judged a part of it was killed", hint=hint)
