"""What reproduces a failure can be pasted into a shell, holds no secret, and sends what the history says was sent."""

import os
import shlex
import shutil
import subprocess
from typing import Any

import pytest

from harness.reproduce import Run, curl, reproduce
from harness.rules import RULES, Violation
from tests.history_files import make_history
from tests.support.raw_server import Behaviour, raw_server

TOKEN = "tok'en$`\"\\1"  # nothing that a token may hold can break out of its variable
SECRETS = {"TOKEN": TOKEN, "API_KEY": "key-1", "OTHER_API_KEY": "key-2", "PROFILE": "my profile.toml"}
HOSTILE = [
    "plain", "with 'quotes'", '"$(touch /tmp/x)"', "`id`", "a;b|c&d>e", "back\\slash", "100 %s %d", "@file", "!history",
    "semi;", "comma,", "tab\tin", "ünïcode", "\x80\xff", "\x01\x7f", "{curly}", "[brackets]", "$TOKEN", "-x", "*", "~",
]  # fmt: skip
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def heard(requests: list[bytes]) -> Behaviour:
    def behave(connection: Any, head: bytes) -> None:
        requests.append(head)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")

    return behave


def run_in_shell(command: str) -> subprocess.CompletedProcess[bytes]:
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **SECRETS}
    return subprocess.run(["sh", "-eu", "-c", command], env=env, capture_output=True, timeout=30, check=False)


def exchange(**columns: Any) -> Any:
    history, _ = make_history([{"t": [0, 1], "stage": "conformance", **columns}])
    return history.frame.loc[0]


def sent_by(command: str, port: int, requests: list[bytes]) -> tuple[bytes, dict[bytes, list[bytes]]]:
    """The request line and the headers that a real server hears from a command."""
    assert str(port) in command
    done = run_in_shell(command)
    assert done.returncode == 0, (command, done.stderr)
    line, *rest = requests[-1].split(b"\r\n")
    headers: dict[bytes, list[bytes]] = {}
    for one in rest:
        name, _, value = one.partition(b":")
        headers.setdefault(name.lower(), []).append(value.strip())
    return line, headers


@needs_curl
def test_curl_sends_any_reference_as_it_was_sent() -> None:
    requests: list[bytes] = []
    with raw_server(heard(requests)) as port:
        for ref in HOSTILE:
            line, headers = sent_by(curl(exchange(ref=ref), f"http://127.0.0.1:{port}/multi"), port, requests)
            assert line == b"POST /multi/stepup/challenges/push/AUTHY HTTP/1.1"
            assert headers[b"idempotency-ref"] == [ref.encode("latin-1")], ref
            assert headers[b"authorization"] == [b"Bearer " + TOKEN.encode()]
            assert headers[b"api-key"] == [b"key-1"]


@needs_curl
@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"ref": ""}, {b"idempotency-ref": [b""]}),
        ({"ref": None}, {b"idempotency-ref": None}),
        ({"intent": "token-missing"}, {b"authorization": None, b"api-key": [b"key-1"]}),
        ({"intent": "token-empty"}, {b"authorization": [b"Bearer"]}),
        ({"intent": "token-unknown"}, {b"authorization": [b"Bearer unknown-token"]}),
        ({"intent": "token-part"}, {b"authorization": [b"Bearer " + TOKEN[:-1].encode()]}),
        ({"intent": "token-scheme"}, {b"authorization": [b"Basic " + TOKEN.encode()]}),
        ({"intent": "token-malformed"}, {b"authorization": [TOKEN.encode()]}),
        ({"intent": "token-twice"}, {b"authorization": [b"Bearer " + TOKEN.encode(), b"Bearer unknown-token"]}),
        ({"intent": "key-missing"}, {b"api-key": None}),
        ({"intent": "key-empty"}, {b"api-key": [b""]}),
        ({"intent": "key-unknown"}, {b"api-key": [b"unknown-key"]}),
        ({"intent": "key-foreign"}, {b"api-key": [b"key-2"]}),
        ({"intent": "key-twice"}, {b"api-key": [b"key-1", b"unknown-key"]}),
    ],
)  # fmt: skip
def test_curl_sends_the_credentials_that_the_intent_means(
    columns: dict[str, Any], expected: dict[bytes, list[bytes] | None]
) -> None:
    requests: list[bytes] = []
    with raw_server(heard(requests)) as port:
        _, headers = sent_by(curl(exchange(**columns), f"http://127.0.0.1:{port}"), port, requests)
    assert {name: headers.get(name) for name in expected} == expected


@needs_curl
@pytest.mark.parametrize(
    ("channel", "path"),
    [("SMS", b"SMS"), ("a b/../c", b"a%20b%2F..%2Fc"), ("..", b".."), ("é?#[x]{1-2}", b"%C3%A9%3F%23%5Bx%5D%7B1-2%7D"),
     ("$(id)'\"", b"%24%28id%29%27%22"), ("%41UTHY", b"%2541UTHY")],
)  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "GET", "HEAD", "BREW"])
def test_curl_asks_for_the_channel_by_the_method(channel: str, path: bytes, method: str) -> None:
    requests: list[bytes] = []
    with raw_server(heard(requests)) as port:
        command = curl(exchange(channel=channel, method=method), f"http://127.0.0.1:{port}")
        line, _ = sent_by(command, port, requests)
    assert line == b"%s /stepup/challenges/push/%s HTTP/1.1" % (method.encode(), path)


def command_for(rule: str, rows: Any, run: Run, *chosen: int) -> str:
    history, profile = make_history(rows)
    return reproduce(RULES[rule], history, Violation(chosen or (0,), ""), run, profile)


def test_a_single_exchange_is_shown_by_curl_and_no_secret_stands_in_it() -> None:
    command = command_for("documented-status", [{"t": [0, 1], "stage": "conformance", "ref": "it's"}], Run())
    words = shlex.split(command)
    assert words[0] == "curl"
    assert words[-1] == "http://127.0.0.1:8921/stepup/challenges/push/AUTHY"
    assert "idempotency-ref: it's" in words
    assert "Authorization: Bearer $TOKEN" in words
    assert "token-0" not in command
    assert "key-a" not in command


def test_the_embedded_service_has_ended_so_its_stage_is_run_again() -> None:
    rows = [{"t": [0, 1], "stage": "conformance", "case": "test_one[created]"}]
    command = command_for("documented-status", rows, Run(2, "stepup run --fault created-201"))
    assert command == "stepup conformance --fault created-201 --seed 2 -- -k 'test_one[created]'"
    assert command_for("documented-status", rows, Run(2, "stepup run --profile x.toml")).startswith("curl ")


STARTED = Run(7, "stepup run --plan 'my plan.toml' --out x --profile=/tmp/p.toml --fault f-1 -- -k --profile")


@pytest.mark.parametrize(
    ("rows", "run", "words"),
    [
        ([{"t": [0, 1], "scenario": "idempotency"}], Run(3),
         "stepup load --profile $PROFILE --seed 3 --scenario idempotency"),
        ([{"t": [0, 1], "scenario": "x"}], STARTED,
         "stepup load --profile /tmp/p.toml --fault f-1 --seed 7 --scenario x"),
        ([{"t": [0, 1], "stage": "conformance", "case": "replay[AUTHY]", "intent": "any"}], Run(3, "stepup run"),
         "stepup conformance --seed 3 -- -k replay[AUTHY]"),
        ([{"t": [0, 1], "stage": "conformance", "case": "no word", "intent": "any"}], Run(3, "stepup run"),
         "stepup conformance --seed 3"),
        ([{"t": [0, 1], "stage": "conformance", "ref": "a\r\nb: c", "case": "not"}], Run(3, "stepup run"),
         "stepup conformance --seed 3"),
        ([{"t": [0, 1], "stage": "conformance"}, {"t": [2, 3]}], Run(0, "broken 'quote"), "stepup run --seed 0"),
    ],
)  # fmt: skip
def test_what_took_more_than_one_request_is_shown_by_the_stage_with_its_seed(
    rows: list[dict[str, Any]], run: Run, words: str
) -> None:
    command = command_for("documented-status", rows, run, *range(len(rows)))
    assert shlex.split(command) == words.split()


def test_a_run_is_repeated_with_its_plan() -> None:
    rows = [{"t": [0, 1], "stage": "conformance"}, {"t": [2, 3]}]
    words = shlex.split(command_for("history-complete", rows, STARTED, 0, 1))
    assert words == [
        "stepup",
        "run",
        "--profile",
        "/tmp/p.toml",
        "--plan",
        "my plan.toml",
        "--fault",
        "f-1",
        "--seed",
        "7",
    ]


def test_a_profile_that_is_not_known_is_a_variable_and_stays_one_word() -> None:
    command = command_for("documented-status", [{"t": [0, 1]}], Run()).replace("stepup load", "printf '%s|'")
    assert run_in_shell(command).stdout.startswith(b"--profile|my profile.toml|--seed|0|")
