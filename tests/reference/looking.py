"""How tests look at a service from one side, so that a fault can be told from the correct service."""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.reference.client import OPERATION, Answer, Client
from tests.reference.desk import Desk

Make = Callable[..., Desk]
OPEN: dict[str, Any] = {"rate_count": None, "challenge_count": None}


def code_of(answer: Answer) -> Any:
    """The errorCode of a conflict, otherwise the status."""
    return answer.body.get("errorCode") if answer.status == 409 and isinstance(answer.body, dict) else answer.status


def codes(desk: Desk, user: dict[str, Any], many: int, **how: Any) -> list[Any]:
    return [code_of(desk.client.push(user, **how)) for _ in range(many)]


def at_once(desk: Desk, many: int, how: Callable[[Client, int], Answer]) -> list[Answer]:
    """So many requests at the same moment, each over a connection that is open already."""
    start = threading.Barrier(many)

    def one(number: int) -> Answer:
        client = Client(desk.base_url)
        client.pushes()
        start.wait(20)
        answer = how(client, number)
        client.close()
        return answer

    with ThreadPoolExecutor(many) as pool:
        return list(pool.map(one, range(many)))


# Each looks at a service from one side; beside it stands what the correct one shows.


def raw(desk: Desk, headers: list[tuple[str, str]], method: str = "POST", body: str = "") -> int:
    """The status of a request with these headers, more than one of a name if so wished."""
    host, port = desk.base_url.removeprefix("http://").split(":")
    lines = [f"{method} {OPERATION}AUTHY HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", body]
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall("\r\n".join(lines).encode("latin-1"))
        return int(connection.recv(4096).split(b" ")[1])
