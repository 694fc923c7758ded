"""What the service says: requests in the form it decides on, answers in the form the document asks for."""

import json
from typing import Any, Final, NamedTuple

from harness.reference.settings import CHANNELS

JSON: Final = (b"content-type", b"application/json")
Headers = tuple[tuple[bytes, bytes], ...]


class Request(NamedTuple):
    """One request for a challenge. Header values are as they came, a list where one may come more than once."""

    method: str
    channel: str
    authorization: list[str]
    api_key: list[str]
    refs: list[str]
    address: str


class Response(NamedTuple):
    """What goes back. `body` is bytes as sent."""

    status: int
    headers: Headers
    body: bytes


class Refused(Exception):  # noqa: N818  (an outcome, not an error of the program)
    """The request is not served. `code` is the errorCode of a 409; `wait` the ns after which to come back;
    `fields` what is wrong in the form: field, error, parameters."""

    def __init__(
        self, status: int, code: str = "", *, wait: int = 0, fields: tuple[tuple[str, str, list[Any]], ...] = ()
    ) -> None:
        super().__init__(status, code)
        self.status = status
        self.code = code
        self.wait = wait
        self.fields = fields


MESSAGES: Final = {
    401: ("UNAUTHORISED", "valid credentials are needed"),
    403: ("FORBIDDEN", "these credentials may not do this"),
    404: ("NOT_FOUND", "no such resource"),
    408: ("REQUEST_TIMEOUT", "the request did not arrive whole"),
    413: ("CONTENT_TOO_LARGE", "this operation takes no body"),
    429: ("TOO_MANY_REQUESTS", "come back later"),
    431: ("HEADERS_TOO_LARGE", "the header section is too large"),
    500: ("INTERNAL_ERROR", "the service failed"),
    503: ("UNAVAILABLE", "the service cannot serve now"),
}


class Answers:
    """Writes each outcome down. `retry_after`: whether a 429 says when to come back."""

    def __init__(self, retry_after: bool) -> None:
        self.retry_after = retry_after

    def challenge(self, challenge: str) -> Response:
        return self.json(200, {"id": challenge})

    def refused(self, refused: Refused) -> Response:
        if refused.status == 400:
            return self.malformed(refused)
        if refused.status == 409:
            return self.json(409, {"errorCode": refused.code})
        return self.problem(refused.status, *MESSAGES[refused.status], self.headers(refused))

    def malformed(self, refused: Refused) -> Response:
        fields = [{"fieldName": name, "error": error, "params": params} for name, error, params in refused.fields]
        names = ", ".join(name for name, _, _ in refused.fields)
        return self.json(400, {"message": f"not valid: {names}", "syntaxErrors": {"invalidFields": fields}})

    def headers(self, refused: Refused) -> Headers:
        """The headers that a status brings along."""
        if refused.status == 401:
            return ((b"www-authenticate", b'Bearer realm="stepup"'),)
        if refused.status == 429 and self.retry_after:
            return ((b"retry-after", self.seconds(refused.wait)),)
        return ()

    def seconds(self, wait: int) -> bytes:
        """Whole seconds (RFC 9110, section 10.2.3), rounded up: coming back then is never too early."""
        return b"%d" % -(-wait // 10**9)

    def method_not_allowed(self, method: str) -> Response:
        return self.problem(405, "METHOD_NOT_ALLOWED", f"{method} is not supported here", ((b"allow", b"POST"),))

    def problem(self, status: int, code: str, message: str, headers: Headers = ()) -> Response:
        return self.json(status, {"code": code, "message": message}, headers)

    def json(self, status: int, value: Any, headers: Headers = ()) -> Response:
        return Response(status, (JSON, *headers), json.dumps(value).encode())


def missing_channel() -> tuple[str, str, list[Any]]:
    """The fault of a channel outside the document's enum."""
    return ("channel", "IN", list(CHANNELS))
