"""TLS: certificates are checked, and answers are read however they are cut into records."""

import shutil
from pathlib import Path

import pytest

from harness.history import Exchange, Recorder
from scenarios.load import green
from scenarios.load.client import Connection
from scenarios.load.desk import Desk
from scenarios.load.journal import Journal
from scenarios.load.wire import Dialler
from tests.load.certificates import make_certificate, tls_server
from tests.load.test_client import OK, call
from tests.support.raw_server import raw_server, replies

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")


def desk(folder: Path, url: str, trusted: Path | None, connections: int = 1) -> Desk:
    made = Desk()
    journal = Journal(Recorder(folder / "history", "load", "w0"))
    dialler = Dialler(url, trusted, 2.0)
    for _ in range(connections):
        made.add(Connection(dialler, journal, 5.0))
    green.serve(made.reap)
    return made


def outcome(one: Exchange) -> tuple[str, int, str]:
    return one.outcome, one.status, one.challenge_id


@pytest.mark.parametrize("pieces", [1, 20, 1 << 16])
def test_a_trusted_target_is_served_over_tls(tmp_path: Path, pieces: int) -> None:
    certificate = make_certificate(tmp_path)
    with tls_server(certificate, OK, pieces=pieces) as port:
        over = desk(tmp_path, f"https://127.0.0.1:{port}", certificate)
        ones = [over.ask(call(f"r{n}")) for n in range(5)]
    assert [outcome(one) for one in ones] == [("ok", 200, "c-1")] * 5
    assert len({one.connection for one in ones}) == 1


def test_calls_together_over_tls(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    with tls_server(certificate, OK) as port:
        over = desk(tmp_path, f"https://127.0.0.1:{port}", certificate, connections=8)
        ones = over.together([call()] * 8)
    assert [outcome(one) for one in ones] == [("ok", 200, "c-1")] * 8


def test_an_unknown_certificate_is_refused_and_nothing_is_sent(tmp_path: Path) -> None:
    with tls_server(make_certificate(tmp_path), OK) as port:
        one = desk(tmp_path, f"https://127.0.0.1:{port}", None).ask(call())
    assert (one.outcome, one.status) == ("refused", 0)
    assert "certificate" in one.error.lower()


def test_a_certificate_of_another_host_is_refused(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, "other.example")
    with tls_server(certificate, OK) as port:
        one = desk(tmp_path, f"https://127.0.0.1:{port}", certificate).ask(call())
    assert (one.outcome, one.status) == ("refused", 0)


def test_a_target_without_tls_is_told_apart(tmp_path: Path) -> None:
    with raw_server(replies(OK), at_once=False) as port:
        one = desk(tmp_path, f"https://127.0.0.1:{port}", None).ask(call())
    assert (one.outcome, one.status) == ("refused", 0)
    assert one.error.startswith("connect: ")


def test_a_connection_closed_over_tls_is_opened_anew(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    with tls_server(certificate, OK, close_after=1) as port:
        over = desk(tmp_path, f"https://127.0.0.1:{port}", certificate)
        ones = []
        for _ in range(3):
            ones.append(over.ask(call()))
            green.sleep(0.05)
    assert [one.outcome for one in ones] == ["ok"] * 3


def test_a_large_answer_over_tls_is_given_up(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000
    with tls_server(certificate, large) as port:
        one = desk(tmp_path, f"https://127.0.0.1:{port}", certificate).ask(call())
    assert (one.outcome, one.status) == ("unknown", 0)
    assert "larger than" in one.error
