"""The raw sender reads every answer that HTTP allows, and names what is none, within its limits."""

import itertools
import select
import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from scenarios.conformance.wire import IDLE, Wire
from tests.support.raw_server import Behaviour, closes_after, http, raw_server, replies

REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\n\r\n"


def ask(behaviour: Behaviour, method: str = "POST", timeout_s: float = 5.0) -> tuple[int, bytes, str]:
    with raw_server(behaviour) as port:
        wire = Wire(f"http://127.0.0.1:{port}", None, timeout_s=timeout_s)
        answer = wire.exchange(REQUEST, method=method)
        wire.close()
    return answer.status, answer.body, answer.error


@pytest.mark.parametrize(
    ("sent", "status", "body"),
    [
        (http("200 OK", b"{}"), 200, b"{}"),
        (http("204 No Content"), 204, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + http("200 OK", b"later"), 200, b"later"),
        (b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", 200, b"x"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nab", 200, b"ab"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n1\r\nd\r\n0\r\nT: 1\r\n\r\n",
            200,
            b"abcd",
        ),
    ],
)
def test_reads_an_answer(sent: bytes, status: int, body: bytes) -> None:
    assert ask(replies(sent)) == (status, body, "")


def test_reads_to_the_end_where_no_length_is_told() -> None:
    assert ask(closes_after(b"HTTP/1.0 200 OK\r\n\r\nall of it")) == (200, b"all of it", "")


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [
        (replies(http("200 OK", b"{}")), [(200, ""), (200, ""), (200, "")]),
        (closes_after(http("200 OK", b"{}")), [(200, ""), (0, "closed"), (0, "closed")]),
        (replies(http("200 OK", b"{}", "Connection: close")), [(200, ""), (0, "closed"), (0, "closed")]),
        (
            replies(b"\x00\r\n\r\n"),
            [(0, "not HTTP: it begins with '\\x00'"), *[(0, "not HTTP: it begins with '\\x00'")] * 2],
        ),
    ],
)
def test_requests_in_one_write_are_answered_in_order_as_far_as_they_are(
    behaviour: Behaviour, told: list[tuple[int, str]]
) -> None:
    with raw_server(behaviour) as port:
        answers = Wire(f"http://127.0.0.1:{port}", None, timeout_s=5.0).together([REQUEST] * 3)
    assert [(answer.status, answer.error) for answer in answers] == told


def test_a_half_closed_connection_is_answered_and_not_kept() -> None:
    ended: list[bytes] = []

    def behaviour(connection: socket.socket, _: bytes) -> None:
        ended.append(connection.recv(1))
        connection.sendall(http("200 OK", b"{}"))

    with raw_server(behaviour) as port:
        wire = Wire(f"http://127.0.0.1:{port}", None, timeout_s=5.0)
        answers = [wire.exchange(REQUEST, half_close=True) for _ in range(2)]
    assert [(answer.status, answer.error) for answer in answers] == [(200, "")] * 2
    assert (ended, wire.connection) == ([b"", b""], 2)


def test_head_has_no_body_whatever_its_length_says() -> None:
    assert ask(replies(b"HTTP/1.1 405 No\r\nContent-Length: 50\r\n\r\n"), "HEAD") == (405, b"", "")


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"", "closed"),
        (b"SSH-2.0-x\r\n\r\n", "not HTTP: it begins with 'SSH-2.0-x'"),
        (b"HTTP/1.1 20x OK\r\n\r\n", "not HTTP: it begins with 'HTTP/1.1 20x OK'"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "not HTTP: header line 'no colon'"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "not HTTP: the body is shorter than it says"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nx", "not HTTP: content-length '1,2'"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "not HTTP: content-length '-1'"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\nx", "too large: body of the answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "not HTTP: chunk size b'zz'"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", "not HTTP: a chunk is longer than it says"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "not HTTP: transfer-encoding 'gzip'"),
        (b"HTTP/1.1 200", "not HTTP: it ends early"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000, "too large: head of the answer"),
    ],
)
def test_names_what_is_no_answer(sent: bytes, error: str) -> None:
    status, _, told = ask(closes_after(sent))
    assert (status, told) in [(0, error), (0, error.replace("'1,2'", "'1, 2'"))]


def test_a_target_that_says_nothing_is_given_up() -> None:
    asked = threading.Event()
    assert ask(lambda *_: asked.set(), timeout_s=0.2) == (0, b"", "timeout")
    assert asked.is_set()


def test_nobody_listening_is_told_apart_from_a_lost_answer() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and not listening
        assert Wire(f"http://127.0.0.1:{bound.getsockname()[1]}", None).exchange(REQUEST).error == "connect"


def test_one_connection_serves_many_requests_until_it_is_closed() -> None:
    heads: list[bytes] = []

    def behave(connection: object, head: bytes) -> None:
        heads.append(head)
        closes = b", close" if len(heads) == 2 else b""
        data = http("200 OK", b"{}", f"Connection: keep-alive{closes.decode()}")
        connection.sendall(data)  # type: ignore[attr-defined]

    with raw_server(behave) as port:
        wire = Wire(f"http://127.0.0.1:{port}", None)
        connections = [(wire.exchange(REQUEST).status, wire.connection) for _ in range(3)]
        wire.close()
    assert connections == [(200, 1), (200, 1), (200, 2)]


def test_a_connection_that_was_closed_meanwhile_is_opened_anew() -> None:
    """A request is never sent into a connection that is known to be gone, so no outcome is unknown for it."""
    with raw_server(closes_after(http("200 OK", b"{}"))) as port:
        wire = Wire(f"http://127.0.0.1:{port}", None)
        for number in range(3):
            assert (wire.exchange(REQUEST).status, wire.connection) == (200, number + 1)
            assert wire._socket is not None
            assert select.select([wire._socket], [], [], 10)[0]  # the end of the connection has arrived
        wire.close()


def test_a_connection_that_ends_as_a_request_is_sent_is_told_apart() -> None:
    """The target may have closed it before it saw the request, which is no fault of its own."""
    count = itertools.count()

    def behave(connection: socket.socket, _: bytes) -> None:
        if next(count):
            connection.shutdown(socket.SHUT_RDWR)
        else:
            connection.sendall(http("200 OK", b"{}"))

    with raw_server(behave) as port:
        wire = Wire(f"http://127.0.0.1:{port}", None)
        assert [wire.exchange(REQUEST).error for _ in range(3)] == ["", IDLE, "closed"]
        wire.close()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate")
def test_tls_is_trusted_by_its_own_authority_alone(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    ]
    subprocess.run([*command, *subject], check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def behave(connection: object, _: bytes) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:  # type: ignore[arg-type]
            secured.recv(65536)
            secured.sendall(http("200 OK", b"{}"))

    with raw_server(behave, at_once=True) as port:
        answers = [Wire(f"https://127.0.0.1:{port}", ca).exchange(REQUEST) for ca in (certificate, None)]
    assert [(answer.status, answer.error) for answer in answers] == [(200, ""), (0, "connect")]
