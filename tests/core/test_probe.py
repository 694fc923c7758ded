"""Before any load, a target that cannot be tested is told apart from one that can, with what to do about it."""

import json
import socket
from pathlib import Path

import pytest

from harness.errors import ExitCode, HarnessError
from harness.history import Recorder, read_history
from harness.profile import load_profile
from harness.targets import probe
from tests.support.raw_server import Behaviour, closes_after, http, raw_server, replies


def run_probe(folder: Path, port: int, scheme: str = "http") -> None:
    user = {"token": "token-aaaaaaaa", "api_key": "key-bbbbbbbb", "channels": ["AUTHY"]}
    (folder / "users.json").write_text(json.dumps([user, {**user, "token": "token-cccccccc"}]))
    path = folder / "profile.toml"
    path.write_text(f'[target]\nbase_url = "{scheme}://127.0.0.1:{port}"\n[credentials]\nusers = "users.json"\n')
    recorder = Recorder(folder / "history", "setup", "main")
    one = probe.Probe(load_profile(path), recorder)
    try:
        one.run()
    finally:
        one.close()
        recorder.close(sent=one.sent)


def endless(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def hangs(connection: socket.socket, _: bytes) -> None:
    connection.recv(1)


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        (replies(http("401 Unauthorized")), "refused the credentials of 2 active users (status 401)"),
        (replies(http("403 Forbidden")), "refused the credentials of 2 active users (status 403)"),
        (replies(http("404 Not Found", b"<html>")), "answers 404 to POST /stepup"),
        (replies(http("302 Found", b"", "Location: https://elsewhere/")), "redirects every request, to 'https://"),
        (closes_after(b"220 mail.example ESMTP\r\n"), "does not speak HTTP properly"),
        (closes_after(b""), "does not speak HTTP properly"),
        (closes_after(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n"), "does not speak HTTP properly"),
        (closes_after(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort"), "does not speak HTTP properly"),
        (endless, "answer is larger than 1 MiB"),
        (hangs, "did not answer within"),
    ],
)  # fmt: skip
def test_a_target_that_cannot_be_tested_is_named_with_what_to_do(
    behaviour: Behaviour, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "TIMEOUT_S", 0.5)
    with raw_server(behaviour) as port, pytest.raises(HarnessError) as raised:
        run_probe(tmp_path, port)
    assert says in raised.value.message
    assert raised.value.hint
    assert raised.value.code == ExitCode.UNREACHABLE


def test_nobody_listening_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(HarnessError, match="cannot be reached"):
        run_probe(tmp_path, port)


def test_a_broken_tls_is_said_with_the_setting_that_mends_it(tmp_path: Path) -> None:
    with (
        raw_server(closes_after(http("400 Bad Request")), at_once=True) as port,
        pytest.raises(HarnessError, match=r"cannot be reached.*") as raised,
    ):
        run_probe(tmp_path, port, "https")
    assert "target.ca_file" in raised.value.hint


@pytest.mark.parametrize("status", ["400 Bad Request", "500 Oops", "429 Slow", "200 OK", "409 Conflict"])
def test_a_target_that_answers_otherwise_is_left_to_the_rules(status: str, tmp_path: Path) -> None:
    with raw_server(replies(http(status, b"{}", "Content-Type: application/json"))) as port:
        run_probe(tmp_path, port)
    assert len(read_history(tmp_path / "history").frame) == 2


def test_what_the_probe_sent_is_in_the_history(tmp_path: Path) -> None:
    with raw_server(replies(http("401 Unauthorized"))) as port, pytest.raises(HarnessError):
        run_probe(tmp_path, port)
    history = read_history(tmp_path / "history")
    assert list(history.frame["intent"]) == ["channel-unknown", "channel-unknown", "valid", "valid"]
    assert [(tally.sent, tally.recorded, tally.clean) for tally in history.tallies] == [(4, 4, True)]
