"""Control calls reach the target where its prefix has them, and are recorded."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.control import ControlClient
from harness.history import Recorder, read_history
from harness.profile import load_profile
from tests.support.raw_server import Behaviour, http, raw_server, replies

CONTROL = """[control]
accept = "POST /sim/{challenge_id}/accept"
pushes = "GET /sim/pushes"
reset = "POST /sim/reset"
headers = { "x-simulator-key" = "simulator-secret" }
"""


def client(folder: Path, port: int, control: str = CONTROL) -> tuple[ControlClient, Recorder]:
    user = {"token": "token-aaaaaaaa", "api_key": "key-bbbbbbbb", "channels": ["AUTHY"]}
    (folder / "users.json").write_text(json.dumps([user]))
    path = folder / "profile.toml"
    base = f'[target]\nbase_url = "http://127.0.0.1:{port}/multi"\n[credentials]\nusers = "users.json"\n'
    path.write_text(base + control)
    recorder = Recorder(folder / "history", "setup", "main")
    return ControlClient(load_profile(path), recorder), recorder


def only_at(root: bytes, seen: list[bytes]) -> Behaviour:
    def behave(connection: socket.socket, head: bytes) -> None:
        seen.append(head)
        found = head.split(b" ")[1].startswith(root + b"/sim/")
        answer = http("200 OK", b'{"count": 7}') if found else http("404 Not Found")
        connection.sendall(answer)

    return behave


@pytest.mark.parametrize("root", [b"", b"/multi"])
def test_paths_are_found_below_the_base_url_or_at_the_root(root: bytes, tmp_path: Path) -> None:
    seen: list[bytes] = []
    with raw_server(only_at(root, seen)) as port:
        control, recorder = client(tmp_path, port)
        assert control.pushes() == 7
        assert control.accept("a/b", 0)
        control.close()
        recorder.close(sent=control.calls)
    assert seen[-1].startswith(b"POST " + root + b"/sim/a%2Fb/accept HTTP/1.1")
    assert b"x-simulator-key: simulator-secret" in seen[-1].lower()
    frame = read_history(tmp_path / "history").frame
    assert list(frame["operation"]) == ["pushes", "accept"]
    assert list(frame["told"]) == [7, 0]
    assert list(frame["challenge_id"]) == ["", "a/b"]
    assert list(frame["user"]) == [-1, 0]


def test_calls_at_the_same_time_find_the_root_once_and_all_succeed(tmp_path: Path) -> None:
    with raw_server(only_at(b"", [])) as port, ThreadPoolExecutor(8) as threads:
        control, recorder = client(tmp_path, port)
        done = list(threads.map(lambda number: control.accept(f"id-{number}", number), range(40)))
        control.close()
        recorder.close(sent=40)
    assert done == [True] * 40


def test_pushes_are_counted_on_both_sides_of_a_reset(tmp_path: Path) -> None:
    with raw_server(replies(http("200 OK", b'{"count": 7}'))) as port:
        control, recorder = client(tmp_path, port)
        assert control.reset()
        recorder.close(sent=control.calls)
    frame = read_history(tmp_path / "history").frame
    assert list(zip(frame["operation"], frame["told"], strict=True)) == [("pushes", 7), ("reset", 0), ("pushes", 7)]


@pytest.mark.parametrize(
    "body", [b"", b"7", b"{}", b'{"count": -1}', b'{"count": true}', b'{"count": "7"}', b"x" * 100_000]
)
def test_a_count_that_is_none_is_unknown(body: bytes, tmp_path: Path) -> None:
    with raw_server(replies(http("200 OK", body))) as port:
        control, _ = client(tmp_path, port)
        assert control.pushes() is None


def test_what_the_profile_does_not_offer_is_not_called(tmp_path: Path) -> None:
    control, _ = client(tmp_path, 9, control="")
    assert (control.reset(), control.pushes(), control.accept("x", 0), control.calls) == (False, None, False, 0)


def test_a_target_that_has_gone_is_recorded_as_surely_without_effect(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    control, recorder = client(tmp_path, port)
    assert not control.reset()
    recorder.close(sent=control.calls)
    frame = read_history(tmp_path / "history").frame
    row = frame[frame["operation"] == "reset"].iloc[0]
    assert (row["status"], row["outcome"], row["error"]) == (0, "refused", "connect")
