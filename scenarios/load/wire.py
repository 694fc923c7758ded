"""Bytes to and from a target over one TCP connection, plain or TLS, without ever blocking once it is open."""

import contextlib
import socket
import ssl
import struct
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from scenarios.load import green

CHUNK: Final = 65536  # bytes read at once
_RESET: Final = struct.pack("ii", 1, 0)  # linger for 0 s: closing sends RST, and the target's write fails
# The unpatched class: its calls return at once, where gevent's would switch greenlets on their own.
_Socket: Final[type[socket.socket]] = green.original("socket", "socket")


class PlainWire:
    """TCP. `write` and `read` raise OSError when the connection is broken."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._send = sock.send
        self._recv = sock.recv
        self._unsent = b""
        self.fileno = sock.fileno()
        self.ended = False  # the target will send nothing more, though that came along with data

    def write(self, data: bytes) -> bool:
        """Send `data`; False when a part could not go yet: then write b"" once the socket can take more."""
        if self._unsent:
            data = self._unsent + data
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        self._unsent = data[sent:]
        return not self._unsent

    def read(self) -> bytes | None:
        """What has come; None when nothing has yet, b"" when the target has closed its side."""
        try:
            return self._recv(CHUNK)
        except BlockingIOError:
            return None

    def close(self, *, reset: bool = False) -> None:
        if reset:
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._sock.close()


class TlsWire(PlainWire):
    """TLS over TCP; its record layer works on buffers, so that it never waits by itself."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, host: str) -> None:
        super().__init__(sock)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)

    def handshake(self) -> None:
        """Agree on keys and check the certificate; waits, and raises OSError (ssl.SSLError is one)."""
        done = False
        while not done:
            try:
                self._tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                pass
            while not super().write(self._out.read()):
                green.wait_write(self.fileno)
            if not done:
                green.wait_read(self.fileno)
                if self._receive() == b"":
                    raise ConnectionResetError("closed during the TLS handshake")

    def write(self, data: bytes) -> bool:
        if data:
            self._tls.write(data)
        return super().write(self._out.read())

    def read(self) -> bytes | None:
        received = self._receive()
        parts = []
        try:
            while part := self._tls.read(CHUNK):
                parts.append(part)
            received, self.ended = b"", True  # nothing where something could be: the target has said goodbye
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            received, self.ended = b"", True
        return b"".join(parts) if parts else received and None

    def _receive(self) -> bytes | None:
        data = super().read()
        if data:
            self._in.write(data)
        elif data is not None:
            self._in.write_eof()
        return data


class Dialler:
    """Where the target is, and how to open a connection to it."""

    def __init__(self, base_url: str, ca_file: Path | None, timeout_s: float) -> None:
        parts = urlsplit(base_url)
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        self.authority = parts.netloc
        self.prefix = parts.path
        self._timeout_s = timeout_s
        self._context = ssl.create_default_context(cafile=ca_file) if parts.scheme == "https" else None

    def dial(self) -> PlainWire:
        """Open a connection; waits, at most the timeout, and raises OSError."""
        with green.Timeout(self._timeout_s, TimeoutError(f"no connection within {self._timeout_s:g} s")):
            opened = green.connect((self.host, self.port))
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock = _Socket(fileno=opened.detach())
            sock.setblocking(False)
            if self._context is None:
                return PlainWire(sock)
            return self._secured(sock, self._context)

    def _secured(self, sock: socket.socket, context: ssl.SSLContext) -> PlainWire:
        wire = TlsWire(sock, context, self.host)
        try:
            wire.handshake()
        except BaseException:
            wire.close()
            raise
        return wire
