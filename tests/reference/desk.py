"""The service in the test's own process, over a real socket, with a clock that a test can put forward."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from harness.reference.faults import FAULTS, build_app
from harness.reference.http import App
from harness.reference.limits import ns
from harness.reference.people import People, make_people
from harness.reference.protocol import Protocol
from harness.reference.service import Service
from harness.reference.settings import Settings
from tests.reference.client import Client, Users


class Desk:
    """A service at `base_url` with a first client of it."""

    def __init__(self, service: Service, base_url: str, users: Users) -> None:
        self.service = service
        self.base_url = base_url
        self.users = users
        self.client = Client(base_url)

    def put_forward(self, seconds: float) -> None:
        """Let time pass for the service, to the nanosecond."""
        self.service.clock.put_forward(ns(seconds))  # type: ignore[attr-defined]


class _Clock:
    """A clock that stands still until it is put forward."""

    def __init__(self, now: int) -> None:
        self._now = now

    def now(self) -> int:
        return self._now

    def put_forward(self, nanoseconds: int) -> None:
        self._now += nanoseconds


class Loop:
    """An event loop in a thread of its own, in which services listen."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def desk(self, folder: Path, settings: Settings, fault: str | None = None) -> Iterator[Desk]:
        """A service with these settings and, where a fault is named, with it and what it needs to show."""
        if fault is not None:
            settings = replace(settings, fault=fault, **FAULTS[fault].needs)
        rows = make_people(settings)
        listening = _Listening(settings, rows, folder)
        self._run(listening.open())
        desk = Desk(listening.app.service, f"http://127.0.0.1:{listening.port}{settings.prefix}", Users(rows))
        try:
            yield desk
        finally:
            desk.client.close()
            self._run(listening.close())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(20)
        self.loop.close()


class _Listening:
    """A service on a free port; opened and closed in its loop's thread, as its database wants."""

    app: App
    port: int

    def __init__(self, settings: Settings, rows: list[dict[str, Any]], folder: Path) -> None:
        self._settings = settings
        self._rows = rows
        self._folder = folder
        self._state = ServerState()

    async def open(self) -> None:
        self.app = build_app(self._settings, People(self._rows), self._folder / "service.db")
        self.app.service.clock = _Clock(self.app.service.clock.now())  # type: ignore[assignment]
        self._config = uvicorn.Config(
            self.app, http=Protocol, ws="none", lifespan="off", access_log=False, log_config=None
        )
        self._config.load()
        self._server = await asyncio.get_running_loop().create_server(self._protocol, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def _protocol(self) -> Protocol:
        return Protocol(config=self._config, server_state=self._state, app_state={})

    async def close(self) -> None:
        self._server.close()
        self.app.service.store.close()
