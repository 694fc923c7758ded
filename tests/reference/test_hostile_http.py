"""Whatever comes over the socket: never a 5xx, never a challenge for what is not a whole request, never out of step."""

import socket
from typing import Any

import pytest

from tests.reference.client import OPERATION
from tests.reference.conftest import MakeDesk
from tests.reference.desk import Desk

PATH = f"{OPERATION}AUTHY".encode()
WHO = "Host: x\r\nAuthorization: Bearer {token}\r\napi-key: {api_key}\r\n"
LAST = b"PUT /simulate/reset HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture
def here(desk: MakeDesk) -> Desk:
    return desk(rate_count=None, challenge_count=None)


def sent(desk: Desk, data: bytes, user: dict[str, Any] | None = None) -> tuple[list[int], bool]:
    """Statuses of all answers to these bytes, and whether the service closed the connection after them.

    One more request comes behind them, which asks for the close: it is answered where the service is still in step.
    """
    host, port = desk.base_url.removeprefix("http://").split(":")
    who = WHO.format(**(user or desk.users.both[0])).encode()
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(data.replace(b"<who>", who) + LAST)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    statuses = [int(head[:3]) for head in received.split(b"HTTP/1.1 ")[1:]]
    in_step = received.endswith(b'"message":"not possible"}')
    return (statuses[:-1], False) if in_step else (statuses, True)


def post(headers: bytes = b"", path: bytes = PATH, version: bytes = b"1.1", body: bytes = b"") -> bytes:
    return b"POST " + path + b" HTTP/" + version + b"\r\n<who>" + headers + b"\r\n" + body


@pytest.mark.parametrize(
    ("data", "statuses"),
    [
        (post(), [200]), (post(version=b"1.0"), [200]), (post() * 3, [200] * 3), (post(path=PATH + b"?a=b"), [200]),
        (post(path=b"http://x" + PATH), [200]), (post(b"x: \xff\xfe\r\n"), [200]),
        (post(b"idempotency-ref: \xc3\xa9\xff\r\n"), [200]), (post(b"Accept: text/html;q=0\r\n"), [200]),
        (post(b"Content-Length: 3\r\n", body=b"abc"), [200]),
        (post(b"Transfer-Encoding: chunked\r\n", body=b"0\r\n\r\n"), [200]),
        (post(b"Expect: 100-continue\r\nContent-Length: 2\r\n", body=b"{}"), [100, 200]),
        (post(b"idempotency-ref: a\r\nidempotency-ref: b\r\n"), [400]), (post(b"api-key: other\r\n"), [401]),
        (post(b"Authorization: Bearer other\r\n"), [401]), (post(b"Host: y\r\n"), [400]),
        (post(b"idempotency-ref: a\x01b\r\n"), [400]), (post(b"idempotency-ref: a\0b\r\n"), [400]),
        (post(b"idempotency-ref: a\r\n b\r\n"), [400]), (post(b"idempotency-ref : a\r\n"), [400]),
        (post(path=PATH + b"\xff\xfe"), [400]),
        (post(path=PATH + b"#a"), [400]), (post(path=PATH + b"?a#b"), [400]),
        (post(path=OPERATION.encode() + b"%ff%zz"), [400]),
        (post(path=OPERATION.encode() + b"a" * 9000), [400]), (post(path=OPERATION.encode() + b"../push/AUTHY"), [404]),
        (post(b"x: " + b"a" * 9000 + b"\r\n"), [200]), (post(b"x: " + b"a" * 40000 + b"\r\n"), [431]),
        (post(b"Content-Length: 3\r\nContent-Length: 4\r\n", body=b"abc"), [400]),
        (post(b"Content-Length: -1\r\n"), [400]), (post(b"Transfer-Encoding: gzip\r\n"), [400]),
        (post(b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", body=b"0\r\n\r\n"), [400]),
        (post(b"Transfer-Encoding: chunked\r\n", body=b"ZZ\r\n\r\n"), [400]),
        (post(b"Content-Length: 70000\r\n", body=b"a" * 70000), [413]),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", [400]), (b"GET / HTTP/9.9\r\n\r\n", [400]),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]), (b"OPTIONS * HTTP/1.1\r\n<who>\r\n", [404]),
        (b"HEAD " + PATH + b" HTTP/1.1\r\n<who>\r\n", [405]),
    ],
)  # fmt: skip
def test_every_input_has_its_answer(here: Desk, data: bytes, statuses: list[int]) -> None:
    assert sent(here, data)[0] == statuses
    assert here.client.push(here.users.both[0]).status == 200
    assert here.client.pushes() == statuses.count(200) + 1


def test_without_host_http_1_1_is_malformed(here: Desk) -> None:
    data = post().replace(b"<who>", WHO.format(**here.users.both[0]).replace("Host: x\r\n", "").encode())
    assert sent(here, data)[0] == [400]
    assert sent(here, data.replace(b"HTTP/1.1", b"HTTP/1.0"))[0] == [200]


@pytest.mark.parametrize(
    ("host", "status"),
    [("a.example:80", 200), ("[::1]:8921", 200), ("", 200), ("x:", 200), ("a b", 400), ("a/b", 400), ("u@x", 400),
     ("x:port", 400), ("[::1", 400), ("\xe9", 400)],
)  # fmt: skip
def test_a_host_is_a_host(here: Desk, host: str, status: int) -> None:
    assert here.client.push(here.users.both[0], host=host).status == status


@pytest.mark.parametrize("headers", [b"Content-Length: 9\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_a_request_that_never_becomes_whole_has_no_effect(here: Desk, headers: bytes) -> None:
    host, port = here.base_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as caller:
        caller.sendall(post(headers, body=b"3\r\nabc").replace(b"<who>", WHO.format(**here.users.both[0]).encode()))
        assert here.client.pushes() == 0
    assert here.client.push(here.users.both[0]).status == 200
    assert here.client.pushes() == 1


@pytest.mark.parametrize("data", [post(b"Connection: Upgrade\r\nUpgrade: websocket\r\n"), post(b"Upgrade: h2c\r\n"),
                                  b"CONNECT " + PATH + b" HTTP/1.1\r\n<who>\r\n"])  # fmt: skip
def test_who_asks_for_another_protocol_is_answered_and_let_go(here: Desk, data: bytes) -> None:
    statuses, closed = sent(here, data)
    assert (len(statuses), closed) == (1, True)
    assert statuses[0] in (200, 405)


def test_an_answer_is_never_that_of_the_request_behind(here: Desk) -> None:
    """What is broken behind a good request ends the connection; the good one is then unanswered, not refused."""
    assert sent(here, post() + b"broken\r\n\r\n")[0] in ([], [200])


def test_what_the_parser_gives_up_on_is_told_in_the_form_of_the_document(here: Desk) -> None:
    frob = here.client.send("FROB", f"{OPERATION}AUTHY", {})
    assert (frob.status, frob.headers["allow"], frob.body["code"]) == (405, "POST", "METHOD_NOT_ALLOWED")
    broken = here.client.send("POST", f"{OPERATION}AUTHY", {"transfer-encoding": "gzip"})
    assert broken.status == 400
    assert broken.body["syntaxErrors"]["invalidFields"][0]["error"] == "REGEX"
