"""The service over HTTP: reads requests, routes them and writes answers; plain ASGI, as it is the hot path."""

import asyncio
import logging
import re
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Receive, Scope, Send

from harness.reference.answers import Refused, Request, Response
from harness.reference.control import control_app
from harness.reference.service import Service

OPERATION: Final = "/stepup/challenges/push/"
LARGEST_HEADERS: Final = 32 * 1024  # bytes; well over the 8 kB that callers can count on
LARGEST_BODY: Final = 64 * 1024  # bytes; none is documented, so any is more than enough
BODY_S: Final = 10.0  # for a body to arrive whole
HOST: Final = re.compile(r"([\w.~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(:\d*)?", re.ASCII)  # RFC 3986, section 3.2
LOG: Final = logging.getLogger(__name__)


class App:
    """The ASGI application of one service."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.answers = service.answers
        self.operation = (service.settings.prefix + OPERATION).encode()
        self.control: ASGIApp = control_app(service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: bytes = scope["raw_path"]
        if path.startswith(b"/simulate/"):
            await self.control(scope, receive, send)
            return
        try:
            response = await self.respond(scope, receive, path)
        except Exception:
            LOG.exception("a request could not be answered")
            response = self.answers.refused(Refused(500))
        if response is not None:
            await write(send, response, close=_leaves_http(scope))

    async def respond(self, scope: Scope, receive: Receive, path: bytes) -> Response | None:
        """The answer; None where the caller left before the request was complete."""
        channel = self.channel(path)
        if channel is None:
            return self.answers.refused(Refused(404))
        if scope["method"] != "POST":
            return self.answers.method_not_allowed(scope["method"])
        headers = read_headers(scope)
        try:
            self.check_size(scope)
            self.check_host(scope, headers.get(b"host", []))
            if self.announces_body(headers) and not await read_body(receive):
                return None
        except Refused as refused:
            return self.answers.refused(refused)
        return await self.service.push(_request(scope, headers, channel))

    def check_size(self, scope: Scope) -> None:
        if sum(len(name) + len(value) + 4 for name, value in scope["headers"]) > LARGEST_HEADERS:
            raise Refused(431)

    def check_host(self, scope: Scope, hosts: list[str]) -> None:
        """Refused unless there is the one good Host that HTTP/1.1 needs (RFC 9112, section 3.2)."""
        if len(hosts) > 1 or (not hosts and scope["http_version"] == "1.1"):
            raise Refused(400, fields=(("Host", "EXACTLY", [1]),))
        if hosts and not HOST.fullmatch(hosts[0]):
            raise Refused(400, fields=(("Host", "REGEX", [HOST.pattern]),))

    def announces_body(self, headers: dict[bytes, list[str]]) -> bool:
        return b"transfer-encoding" in headers or headers.get(b"content-length", ["0"]) != ["0"]

    def channel(self, path: bytes) -> str | None:
        """The channel that a path names, None where the path misses the operation's template."""
        segment = path[len(self.operation) :]
        if not path.startswith(self.operation) or not segment or b"/" in segment:
            return None
        return (unquote_to_bytes(segment) if b"%" in segment else segment).decode("utf-8", "replace")


def read_headers(scope: Scope) -> dict[bytes, list[str]]:
    """All values of each header, as they came."""
    headers: dict[bytes, list[str]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name, []).append(value.decode("latin-1"))
    return headers


async def read_body(receive: Receive) -> bool:
    """Read a body to its end and forget it; False where the caller left first. Nothing is done before it is whole."""
    size = 0
    try:
        async with asyncio.timeout(BODY_S):
            while True:
                message: Any = await receive()
                if message["type"] == "http.disconnect":
                    return False
                size += len(message.get("body", b""))
                if size > LARGEST_BODY:
                    raise Refused(413)
                if not message.get("more_body", False):
                    return True
    except TimeoutError:
        raise Refused(408) from None


def _request(scope: Scope, headers: dict[bytes, list[str]], channel: str) -> Request:
    client = scope.get("client")
    return Request(
        scope["method"], channel, headers.get(b"authorization", []), headers.get(b"api-key", []),
        headers.get(b"idempotency-ref", []), client[0] if client else "",
    )  # fmt: skip


def _leaves_http(scope: Scope) -> bool:
    """Whether the parser takes what follows on the connection for another protocol, which is not spoken here."""
    return scope["method"] == "CONNECT" or any(name == b"upgrade" for name, _ in scope["headers"])


async def write(send: Send, response: Response, *, close: bool = False) -> None:
    headers = [*response.headers, (b"content-length", b"%d" % len(response.body))]
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
