"""A real TCP server that answers every request with whatever a test wants, well-formed or not."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

Behaviour = Callable[[socket.socket, bytes], None]


@contextlib.contextmanager
def raw_server(behaviour: Behaviour, *, at_once: bool = False) -> Iterator[int]:
    """Listen on a free loopback port; `behaviour(connection, request head)` is called for each request.

    With `at_once` it is called once a connection, before anything is read.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()
    thread = threading.Thread(target=_accept, args=(listener, behaviour, at_once, stop), daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stop.set()
        listener.close()


def _accept(listener: socket.socket, behaviour: Behaviour, at_once: bool, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(connection, behaviour, at_once), daemon=True).start()


def _serve(connection: socket.socket, behaviour: Behaviour, at_once: bool) -> None:
    with connection, contextlib.suppress(OSError):
        pending = b""
        if at_once:
            behaviour(connection, b"")
            return
        while True:
            while b"\r\n\r\n" not in pending:
                read = connection.recv(65536)
                if not read:
                    return
                pending += read
            head, _, pending = pending.partition(b"\r\n\r\n")
            behaviour(connection, head)


def replies(data: bytes) -> Behaviour:
    """Send these bytes for each request and keep the connection."""
    return lambda connection, _: connection.sendall(data)


def closes_after(data: bytes) -> Behaviour:
    """Send these bytes and close the connection."""

    def behave(connection: socket.socket, _: bytes) -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_RDWR)

    return behave


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    """A well-formed answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
