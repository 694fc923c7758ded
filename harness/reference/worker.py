"""One worker process: serves on the socket it was given until it is told to end or its supervisor has gone.

Started as `python -m harness.reference.worker SOCKET-FD DIRECTORY`, with the settings as JSON on its standard input,
which stays open for as long as the supervisor lives. Says `ready` on its standard output once it serves.
"""

import asyncio
import json
import logging
import socket
import sys
from pathlib import Path
from typing import Final

import uvicorn

from harness.reference.faults import build_app
from harness.reference.people import People
from harness.reference.settings import Settings

KEEP_ALIVE_S: Final = 75  # an idle connection lives longer than any pause of a caller under load
LAST_ANSWERS_S: Final = 2  # how long an end waits for what is being answered


class _Server(uvicorn.Server):
    """Tells the supervisor when it serves, and ends when the supervisor has gone."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        self._orphaned = loop.create_task(self._end_when_orphaned(reader))
        sys.stdout.write("ready\n")
        sys.stdout.flush()

    async def _end_when_orphaned(self, supervisor: asyncio.StreamReader) -> None:
        await supervisor.read()
        self.should_exit = True


def main(descriptor: int, directory: Path) -> None:
    settings = Settings(**json.loads(sys.stdin.readline()))
    logging.basicConfig(level=logging.ERROR, format="%(asctime)s %(process)d %(levelname)s %(message)s")
    people = People(json.loads((directory / "users.json").read_text(encoding="utf-8")))
    config = uvicorn.Config(
        build_app(settings, people, directory / "service.db"),
        http="httptools", ws="none", lifespan="off", access_log=False, log_config=None, server_header=False,
        # Whoever sets X-Forwarded-For would otherwise choose the address that limits count by.
        proxy_headers=False, timeout_keep_alive=KEEP_ALIVE_S, timeout_graceful_shutdown=LAST_ANSWERS_S,
    )  # fmt: skip
    _Server(config).run(sockets=[socket.socket(fileno=descriptor)])


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
