"""Sends exact bytes over a socket, as no HTTP client would, and reads one answer, with a limit to everything."""

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

TIMEOUT_S: Final = 10.0
LARGEST_HEAD: Final = 64 * 1024  # bytes
LARGEST_BODY: Final = 1024 * 1024  # bytes; the operation's answers are below 1 kB
IDLE: Final = "closed between requests"  # a kept connection ended as the next request was on its way, as it may
PIECE: Final = 64 * 1024


class Answer(NamedTuple):
    """What came back. `status` 0: no answer, and `error` says why. Times in ns of the monotonic clock.

    `error` is one of `connect` (nothing was sent), `closed`, `IDLE`, `timeout`, `not HTTP: …`, `too large`.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    error: str
    sent: int
    received: int

    def header(self, name: str) -> str | None:
        """The first value of a header; None where it was not sent."""
        return next((value for given, value in self.headers if given.lower() == name), None)


class NotHttp(Exception):  # noqa: N818  (an outcome of the target, not an error of the program)
    """The bytes are no HTTP answer; the message says why."""


class Wire:
    """One persistent connection to a target, opened anew when needed; `connection` numbers the connections.

    Raises OSError from `open` alone; `exchange` turns every failure into an Answer.
    """

    def __init__(self, base_url: str, ca_file: Path | None, *, timeout_s: float = TIMEOUT_S) -> None:
        parts = urlsplit(base_url)
        self.host = parts.netloc
        self.prefix = parts.path.rstrip("/")
        self.connection = 0
        self._timeout_s = timeout_s
        self._address = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        self._tls = None
        if parts.scheme == "https":
            self._tls = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        self._socket: socket.socket | None = None

    def exchange(self, data: bytes, *, method: str = "POST", half_close: bool = False) -> Answer:
        """Send `data` and read the answer to it; the connection is kept where both sides allow it.

        `half_close`: say, once it is sent, that nothing more will be.
        """
        opened = self.connection
        try:
            connection = self._ready()
        except (OSError, UnicodeError):  # a host name that no resolver takes is a UnicodeError
            now = time.monotonic_ns()
            return Answer(0, (), b"", "connect", now, now)
        reused = self.connection == opened
        sent = time.monotonic_ns()
        reader = _Reader(connection, time.monotonic() + self._timeout_s)
        try:
            status, headers, body, keep = self._ask(connection, data, method, reader, half_close)
        except (OSError, NotHttp) as error:
            self.close()
            told = _told(error)
            told = IDLE if told == "closed" and reused and not reader.seen else told
            return Answer(0, (), bytes(reader.seen[:2048]), told, sent, time.monotonic_ns())
        received = time.monotonic_ns()
        if not keep or reader.pending or half_close:
            self.close()
        return Answer(status, headers, body, "", sent, received)

    def together(self, requests: list[bytes]) -> list[Answer]:
        """Send POST requests in one write on a connection of their own, and read an answer to each, in order.

        A target may close the connection after any of them (RFC 9112, section 9.3.2): the others end as `closed`.
        """
        self.close()
        try:
            connection = self._ready()
        except (OSError, UnicodeError):
            now = time.monotonic_ns()
            return [Answer(0, (), b"", "connect", now, now)] * len(requests)
        sent = time.monotonic_ns()
        reader = _Reader(connection, time.monotonic() + self._timeout_s)
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"".join(requests))
        answers = list(_in_order(reader, len(requests), sent))
        self.close()
        return answers

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask(
        self, connection: socket.socket, data: bytes, method: str, reader: "_Reader", half_close: bool
    ) -> tuple[int, tuple[tuple[str, str], ...], bytes, bool]:
        # A target may answer, and close, before it has read everything; what it said is still there.
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
            if half_close and self._tls is None:
                connection.shutdown(socket.SHUT_WR)
        return _answer(reader, method)

    def _ready(self) -> socket.socket:
        if self._socket is not None and _is_stale(self._socket):
            self.close()
        if self._socket is None:
            self._socket = self._open()
        return self._socket

    def _open(self) -> socket.socket:
        connection = socket.create_connection(self._address, timeout=self._timeout_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection += 1
        return self._tls.wrap_socket(connection, server_hostname=self._address[0]) if self._tls else connection


def _in_order(reader: "_Reader", many: int, sent: int) -> Iterator[Answer]:
    """The answers on a connection, up to the one after which it ends."""
    keep, told = True, "closed"
    for _ in range(many):
        try:
            if not keep:
                raise ConnectionError
            status, headers, body, keep = _answer(reader, "POST")
            yield Answer(status, headers, body, "", sent, time.monotonic_ns())
        except (OSError, NotHttp) as error:
            keep, told = False, _told(error) if keep else told
            yield Answer(0, (), b"", told, sent, time.monotonic_ns())


def _is_stale(connection: socket.socket) -> bool:
    """Whether the target has closed the connection, or sent something that nobody asked for."""
    readable, _, _ = select.select([connection], [], [], 0)
    return bool(readable)


def _told(error: Exception) -> str:
    if isinstance(error, NotHttp):
        return str(error)
    return "timeout" if isinstance(error, TimeoutError) else "closed"


class _Reader:
    """Reads from a connection up to a deadline; `seen` keeps what came first, `pending` what nobody has taken yet."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self.seen = bytearray()
        self.pending = b""
        self._connection = connection
        self._deadline = deadline

    def more(self) -> bool:
        """Read a piece; False at the end of the stream. TimeoutError at the deadline."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        piece = self._connection.recv(PIECE)
        self.pending += piece
        if len(self.seen) < PIECE:
            self.seen += piece
        return bool(piece)

    def until(self, mark: bytes, limit: int) -> bytes:
        """Everything up to `mark`, which is taken too."""
        while mark not in self.pending:
            if len(self.pending) > limit:
                raise NotHttp("too large: head of the answer")
            if not self.more():
                raise NotHttp("not HTTP: it ends early") if self.pending else ConnectionError
        taken, _, self.pending = self.pending.partition(mark)
        return taken

    def exactly(self, size: int) -> bytes:
        while len(self.pending) < size:
            if not self.more():
                raise NotHttp("not HTTP: the body is shorter than it says")
        taken, self.pending = self.pending[:size], self.pending[size:]
        return taken

    def rest(self) -> bytes:
        while self.more():
            if len(self.pending) > LARGEST_BODY:
                raise NotHttp("too large: body of the answer")
        taken, self.pending = self.pending, b""
        return taken


def _answer(reader: _Reader, method: str) -> tuple[int, tuple[tuple[str, str], ...], bytes, bool]:
    """Status, headers, body, and whether the connection may be kept; interim answers (1xx) are passed over."""
    while True:
        version, status, headers = _head(reader.until(b"\r\n\r\n", LARGEST_HEAD))
        if status >= 200 or status == 101:
            break
    fields: dict[str, str] = {}
    for name, value in headers:
        fields[name.lower()] = f"{fields[name.lower()]},{value}" if name.lower() in fields else value
    tokens = {token.strip().lower() for token in fields.get("connection", "").split(",")}
    keep = "close" not in tokens and (version == "1.1" or "keep-alive" in tokens)
    if method == "HEAD" or status in (204, 304) or status == 101:
        return status, headers, b"", keep and status != 101
    if "transfer-encoding" in fields:
        if fields["transfer-encoding"].strip().lower() != "chunked":
            raise NotHttp(f"not HTTP: transfer-encoding {fields['transfer-encoding'][:40]!r}")
        return status, headers, _chunks(reader), keep
    if "content-length" in fields:
        return status, headers, reader.exactly(_length(fields["content-length"])), keep
    return status, headers, reader.rest(), False


def _head(head: bytes) -> tuple[str, int, tuple[tuple[str, str], ...]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    protocol, _, rest = first.partition(" ")
    code = rest[:3]
    if protocol not in ("HTTP/1.1", "HTTP/1.0") or not (code.isascii() and code.isdigit() and int(code) >= 100):
        raise NotHttp(f"not HTTP: it begins with {first[:40]!r}")
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise NotHttp(f"not HTTP: header line {line[:40]!r}")
        headers.append((name, value.strip(" \t")))
    return protocol[5:], int(code), tuple(headers)


def _length(text: str) -> int:
    values = {part.strip() for part in text.split(",")}
    only = values.pop() if len(values) == 1 else ""
    if not (only.isascii() and only.isdigit()):
        raise NotHttp(f"not HTTP: content-length {text[:40]!r}")
    if len(only) > 9 or int(only) > LARGEST_BODY:
        raise NotHttp("too large: body of the answer")
    return int(only)


def _chunks(reader: _Reader) -> bytes:
    body = b""
    while True:
        size = reader.until(b"\r\n", 1024).partition(b";")[0].strip()
        try:
            length = int(size, 16)
        except ValueError:
            raise NotHttp(f"not HTTP: chunk size {size[:20]!r}") from None
        if length < 0 or len(body) + length > LARGEST_BODY:
            raise NotHttp("too large: body of the answer")
        if length == 0:
            while reader.until(b"\r\n", LARGEST_HEAD):
                pass  # trailers tell nothing here
            return body
        body += reader.exactly(length)
        if reader.exactly(2) != b"\r\n":
            raise NotHttp("not HTTP: a chunk is longer than it says")
