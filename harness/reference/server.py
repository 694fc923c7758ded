"""Runs the service: binds its socket, starts its worker processes, and starts those anew that die."""

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from harness.errors import ExitCode, HarnessError
from harness.reference.people import make_people
from harness.reference.profile_file import profile_text
from harness.reference.settings import Settings

START_S: Final = 60.0  # a worker loads in about a second; a machine under full load takes its time
END_S: Final = 5.0
WATCH_S: Final = 0.05  # how soon a dead worker is noticed
AGAIN_S: Final = 0.5  # between two starts of a worker that dies each time
BACKLOG: Final = 2048


class Server:
    """The service as a context manager: inside it answers at `base_url`; `directory` keeps what it remembers.

    Raises HarnessError where the port is taken, the directory cannot be written, or a worker does not come up.
    """

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.settings = settings
        self.directory = directory
        self.profile_path = directory / "profile.toml"
        self.base_url = ""
        self._socket: socket.socket | None = None
        self._workers: list[subprocess.Popen[bytes]] = []
        self._not_before = 0.0
        self._ending = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="service workers", daemon=True)

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers that are alive now."""
        return [worker.pid for worker in self._workers if worker.poll() is None]

    def __enter__(self) -> Self:
        try:
            self._socket = _listen(self.settings)
            self._describe(self._socket.getsockname()[1])
            self._workers = [self._start() for _ in range(self.settings.workers)]
            deadline = time.monotonic() + START_S
            for worker in self._workers:
                self._await_ready(worker, deadline)
        except BaseException:
            self._end()
            raise
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._watcher.join()
        self._end()

    def _describe(self, port: int) -> None:
        """Write profile.toml and users.json, readable by nobody else."""
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        self.base_url = f"http://{host}:{port}{self.settings.prefix}"
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            _write(self.directory / "users.json", json.dumps(make_people(self.settings), indent=1) + "\n")
            _write(self.profile_path, profile_text(self.settings, self.base_url))
        except OSError as error:
            raise HarnessError(
                f"folder {self.directory}: {error.strerror}", hint="Name one that can be written: --dir DIR."
            ) from error

    def _start(self) -> subprocess.Popen[bytes]:
        assert self._socket is not None
        descriptor = self._socket.fileno()
        command = [sys.executable, "-m", "harness.reference.worker", str(descriptor), str(self.directory)]
        with (self.directory / "service.log").open("ab") as log:
            worker = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, pass_fds=(descriptor,),
                start_new_session=True,  # Ctrl-C goes to the supervisor, which ends its workers in order
            )  # fmt: skip
        assert worker.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died at once, which is said when it is waited for
            worker.stdin.write(json.dumps(asdict(self.settings)).encode() + b"\n")
            worker.stdin.flush()
        return worker

    def _await_ready(self, worker: subprocess.Popen[bytes], deadline: float) -> None:
        assert worker.stdout is not None
        readable, _, _ = select.select([worker.stdout], [], [], max(deadline - time.monotonic(), 0))
        if not readable or worker.stdout.readline() != b"ready\n":
            log = self.directory / "service.log"
            last = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
            raise HarnessError(
                f"the embedded service did not start: {last or f'not ready within {START_S:.0f} s'}",
                hint=f"{log} may say more.",
                code=ExitCode.UNREACHABLE,
            )

    def _watch(self) -> None:
        """Start a worker anew for each that has ended; the socket stays open meanwhile, so callers only wait."""
        while not self._ending.wait(WATCH_S):
            for place, worker in enumerate(self._workers):
                if worker.poll() is not None and time.monotonic() >= self._not_before:
                    self._not_before = time.monotonic() + AGAIN_S
                    _close(worker)
                    self._workers[place] = self._start()

    def _end(self) -> None:
        for worker in self._workers:
            worker.terminate()
        deadline = time.monotonic() + END_S
        for worker in self._workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(max(deadline - time.monotonic(), 0))
            if worker.poll() is None:
                worker.kill()
                worker.wait()
            _close(worker)
        if self._socket is not None:
            self._socket.close()


def _close(worker: subprocess.Popen[bytes]) -> None:
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _listen(settings: Settings) -> socket.socket:
    """The socket that all workers accept from."""
    where = f"{settings.host}:{settings.port}"
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, proto)
    except OSError as error:
        raise HarnessError(f"cannot listen at {where}: {error.strerror}", hint="Check --host.") from error
    # Workers inherit a bare descriptor, and what they accept inherits this: without it, answers wait 40 ms for an ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise HarnessError(
            f"cannot listen at {where}: {error.strerror}", hint="Name another port with --port; 0 takes a free one."
        ) from error
    listener.set_inheritable(True)
    return listener


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all, readable by its owner only."""
    beside = path.with_suffix(".new")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    beside.replace(path)
