"""One worker process: serves on the socket it was given until it is told to end or its supervisor has gone.

Started as `python -m harness.reference.worker SOCKET-FD DIRECTORY`, with the settings as JSON on its standard input,
which stays open for as long as the supervisor lives. Says `ready` on its standard output once it serves.
"""

import asyncio
import json
import logging
import os
import socket
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

import uvicorn

from harness.reference.faults import build_app
from harness.reference.people import People
from harness.reference.protocol import Protocol
from harness.reference.settings import Settings

KEEP_ALIVE_S: Final = 75  # an idle connection lives longer than any pause of a caller under load
LAST_ANSWERS_S: Final = 2  # how long an end waits for what is being answered


class _Server(uvicorn.Server):
    """Accepts from a shared socket, tells the supervisor when it serves, and ends when the supervisor has gone.

    It takes one connection at a time off the socket, then looks after those it has. Left to itself, the event loop
    takes all that wait, and one worker serves everybody while the others idle.
    """

    def __init__(self, config: uvicorn.Config, listener: socket.socket) -> None:
        super().__init__(config)
        listener.setblocking(False)
        self._listener = listener
        self._tasks: set[asyncio.Task[Any]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        loop = asyncio.get_running_loop()
        supervisor = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(supervisor), sys.stdin)
        self._begin(self._end_when_orphaned(supervisor))
        loop.add_reader(self._listener, self._accept)
        sys.stdout.write("ready\n")
        sys.stdout.flush()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().remove_reader(self._listener)
        await super().shutdown(sockets)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # another worker was faster, or the caller has left already
            return
        self._begin(asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection))

    def _protocol(self) -> Protocol:
        return Protocol(config=self.config, server_state=self.server_state, app_state={})

    def _begin(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run in the background; the loop itself would not keep it alive."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end_when_orphaned(self, supervisor: asyncio.StreamReader) -> None:
        await supervisor.read()
        self.should_exit = True


def main(descriptor: int, directory: Path) -> None:
    """Serve until told to end."""
    os.umask(0o077)  # the database knows tokens
    settings = Settings(**json.loads(sys.stdin.readline()))
    logging.basicConfig(level=logging.ERROR, format="%(asctime)s %(process)d %(levelname)s %(message)s")
    people = People(json.loads((directory / "users.json").read_text(encoding="utf-8")))
    config = uvicorn.Config(
        build_app(settings, people, directory / "service.db"),
        http=Protocol, ws="none", lifespan="off", access_log=False, log_config=None, server_header=False,
        # Whoever sets X-Forwarded-For would otherwise choose the address that limits count by.
        proxy_headers=False, timeout_keep_alive=KEEP_ALIVE_S, timeout_graceful_shutdown=LAST_ANSWERS_S,
    )  # fmt: skip
    _Server(config, socket.socket(fileno=descriptor)).run(sockets=[])


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
