"""HTTP that uvicorn's parser gives up on, answered in the service's own form instead of plain text."""

import re
import sys
from http import HTTPStatus
from typing import Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from harness.reference.answers import Answers, Refused, Response

REQUEST_LINE: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64} \S+ HTTP/1\.[01]\r\n")


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol, but a method that its parser does not know gets the 405 that every other method gets."""

    _received = b""

    def data_received(self, data: bytes) -> None:
        self._received = data
        super().data_received(data)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        _, mark, fragment = self.url.partition(b"#")
        if mark:  # no part of a request's target (RFC 9112, section 3.2); the parser drops it, and so serves the rest
            self.scope["raw_path"] += b"#" + fragment

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  (as in uvicorn)
        """Called while the parser's error is handled; answers, and ends the connection, which is out of step."""
        if self._others_wait():
            self.transport.close()
            return
        response = self._answer(sys.exception())
        status = HTTPStatus(response.status)
        head = [b"HTTP/1.1 %d %s" % (status, status.phrase.encode())]
        head += [name + b": " + value for name, value in response.headers]
        head += [b"content-length: %d" % len(response.body), b"connection: close", b"", b""]
        self.transport.write(b"\r\n".join(head) + response.body)
        self.transport.close()

    def _others_wait(self) -> bool:
        """Whether requests that were whole are still to be answered: they would take this answer for theirs."""
        return bool(self.pipeline) or (
            self.cycle is not None  # type: ignore[redundant-expr]  # until the first request it is
            and not self.cycle.response_complete
            and not self.cycle.more_body
        )

    def _answer(self, error: BaseException | None) -> Response:
        answers = Answers(retry_after=False)
        if isinstance(error, httptools.HttpParserInvalidMethodError) and REQUEST_LINE.match(self._received):
            return answers.method_not_allowed("this method")
        return answers.refused(Refused(400, fields=(("request", "REGEX", ["HTTP/1.1"]),)))
