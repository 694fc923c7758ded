"""The stage as a process: on a correct target, on faulty ones, and on what is hardly a target at all."""

import itertools
import json
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import ExitCode
from harness.history import read_history
from harness.profile import load_profile
from harness.reference.server import Server
from harness.reference.settings import Settings
from harness.targets.embedded import planted
from tests.conformance.people import ROWS
from tests.conformance.stage import command, profile_file, run, run_before_load
from tests.support.raw_server import Behaviour, closes_after, http, raw_server, replies

FAST = Settings(workers=1, users=60)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with Server(FAST, tmp_path_factory.mktemp("service")) as server:
        yield server.profile_path


def test_a_correct_target_passes_and_all_is_recorded(target: Path, tmp_path: Path) -> None:
    done = run(target, tmp_path / "run", "-k", "test_one or test_refs or test_settle or test_limits or test_generated")
    assert done.exit == ExitCode.PASS, done.output[-3000:]
    assert (done.told["failed"], done.told["failures"]) == (0, [])
    history = done.history
    pushes = history.pushes
    everything = len(history.frame)
    assert [(one.clean, one.sent, one.recorded) for one in history.tallies] == [(True, everything, everything)]
    assert done.told["cases"] == len(pushes) > 600
    assert set(history.frame["stage"]) == {"conformance"}
    assert (pushes["case"] != "").all()
    assert {"valid", "replay", "key-missing", "channel-unknown", "after-accept", "limit-reached"} <= set(
        pushes["intent"]
    )
    secrets = load_profile(target).secrets()
    written = done.output + "".join(path.read_text("latin-1") for path in done.folder.rglob("*") if path.is_file())
    assert [secret for secret in secrets if secret in written] == []


def test_the_same_seed_sends_the_same(tmp_path: Path) -> None:
    sent = []
    for number in range(2):
        # The window is long, so that how often the limit is driven to does not hang on the speed of the machine.
        with Server(replace(FAST, challenge_window=3600.0), tmp_path / f"service-{number}") as server:
            done = run(server.profile_path, tmp_path / f"run-{number}", "-k", "test_one or test_coverage or test_walks")
            assert done.exit == ExitCode.PASS, done.output[-3000:]
            pushes = done.history.pushes
            columns = ["case", "method", "user", "key", "channel", "intent", "allowed", "status"]
            # Refs are another run's own, but the same ones are the same again.
            refs = pushes["ref"].astype(object).factorize()[0].tolist()
            sent.append([*zip(refs, pushes[columns].astype(str).to_numpy().tolist(), strict=True)])
    assert sent[0] == sent[1]


def test_a_failure_shows_itself_again_by_its_command(tmp_path: Path) -> None:
    with Server(planted(FAST, "channel-any-case", ()), tmp_path / "service") as server:
        done = run(server.profile_path, tmp_path / "run", "-k", "test_one[channel-lower+AUTHY]")
        assert (done.exit, done.told["failed"]) == (ExitCode.FAILED, 1), done.output[-3000:]
        failure = done.told["failures"][0]
        index = int(re.findall(r"users\[(\d+)\]", failure["curl"])[0])
        user = json.loads((server.directory / "users.json").read_text())[index]
        env = {"TOKEN": user["token"], "API_KEY": user["api_key"], "PATH": "/usr/bin:/bin"}
        shown = subprocess.run(["bash", "-c", failure["curl"]], env=env, capture_output=True, text=True, timeout=30)
        pasted = shlex.split(failure["rerun"])
        again = run(server.profile_path, tmp_path / "again", *pasted[pasted.index("--") + 1 :])
    assert shown.stdout.startswith("HTTP/1.1 200"), shown
    assert pasted[:2] == ["stepup", "conformance"]
    told = [(one["nodeid"], one["message"].partition("\n")[0]) for one in again.told["failures"]]
    assert told == [(failure["nodeid"], failure["message"].partition("\n")[0])]
    assert user["token"] not in done.output


@pytest.mark.parametrize(
    ("behaviour", "code", "says"),
    [
        (replies(http("200 OK", b"<html></html>", "Content-Type: text/html")), ExitCode.FAILED, "each of the first"),
        (replies(http("500 Oops", b"{}", "Content-Type: application/json")), ExitCode.FAILED, "each of the first"),
        (closes_after(b"\x00\x01\x02 garbage\r\n\r\n"), ExitCode.UNREACHABLE, "does not speak HTTP"),
        (closes_after(b""), ExitCode.UNREACHABLE, "does not speak HTTP"),
    ],
    ids=["html", "500", "garbage", "closing"],
)
def test_a_target_that_answers_nothing_right_ends_the_stage_early(
    behaviour: Behaviour, code: ExitCode, says: str, tmp_path: Path
) -> None:
    with raw_server(behaviour) as port:
        done = run(profile_file(tmp_path, f"http://127.0.0.1:{port}"), tmp_path / "run", "-k", "test_one")
    assert done.exit == code, done.output[-2000:]
    assert says in done.output
    assert all(tally.clean for tally in done.history.tallies)
    assert len(done.history.pushes) < 100


def test_a_target_that_dies_ends_the_stage(tmp_path: Path) -> None:
    """It is waited for a moment, as it may be started anew; what was recorded until then is kept."""
    serve = (
        "import socket,sys\n"
        "s=socket.create_server(('127.0.0.1',0)); print(s.getsockname()[1],flush=True); c,_=s.accept()\n"
        "for n in range(30):\n"
        "    c.recv(65536); c.sendall(b'HTTP/1.1 401 No\\r\\nContent-Length: 0\\r\\n\\r\\n')\n"
    )
    with subprocess.Popen([sys.executable, "-c", serve], stdout=subprocess.PIPE, text=True) as target:
        assert target.stdout is not None
        port = int(target.stdout.readline())
        key_rows = "test_one and (key-missing or key-unknown or key-cut or token-missing or token-unknown) or token-cut"
        done = run(profile_file(tmp_path, f"http://127.0.0.1:{port}"), tmp_path / "run", "-k", key_rows)
    assert done.exit == ExitCode.UNREACHABLE, done.output[-2000:]
    assert "can no longer be reached" in done.output
    assert len(done.history.pushes) >= 30


def test_tokens_that_expire_are_named_and_not_a_hundred_failures(tmp_path: Path) -> None:
    count = itertools.count()

    def behave(connection: socket.socket, _: bytes) -> None:
        if (number := next(count)) < 3:
            connection.sendall(http("200 OK", b'{"id": "c-%d"}' % number, "Content-Type: application/json"))
        else:
            connection.sendall(http("401 Unauthorized"))

    with raw_server(behave) as port:
        profile = profile_file(tmp_path, f"http://127.0.0.1:{port}")
        chosen = "test_no_ref_no_replay or test_one and accept or test_one and token-missing"
        done = run(profile, tmp_path / "run", "-k", chosen)
    assert done.exit == ExitCode.UNREACHABLE, done.output[-2000:]
    assert "users are no longer accepted: have they expired?" in done.output
    assert len(done.told["coverage"]["expired"]) == 4
    assert done.told["failed"] == 0


def test_a_pool_of_one_user_is_enough_for_most(tmp_path: Path) -> None:
    with Server(Settings(workers=1, users=1), tmp_path / "service") as server:
        done = run(server.profile_path, tmp_path / "run", "-k", "test_one or test_refs")
    assert done.exit == ExitCode.PASS, done.output[-3000:]
    assert done.told["passed"] > 180
    assert "the pool has no user with state 'impersonator'" in done.told["reasons"]


def test_in_a_small_pool_a_token_is_left_for_the_load(tmp_path: Path) -> None:
    with Server(Settings(workers=1, users=3), tmp_path / "service") as server:
        done = run_before_load(server.profile_path, tmp_path / "run", "-k", "test_settle or state")
        active = {user.index for user in load_profile(server.profile_path).pool.active if user.usable}
    assert done.exit == ExitCode.PASS, done.output[-3000:]
    frame = done.history.frame
    settled = set(frame.loc[frame["operation"].isin(["accept", "decline"]), "user"])
    assert len(active - settled) == 1
    assert "the last token that nobody has settled is left for the load" in done.told["reasons"]


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_closes_the_history(asked: signal.Signals, target: Path, tmp_path: Path) -> None:
    argv, env = command(target, tmp_path / "run", "-k", "test_two")
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as stage:
        assert stage.stdout is not None
        next(line for line in stage.stdout if re.match(r"\d+ requests, [1-9]", line))
        stage.send_signal(asked)
        stage.stdout.read()
        assert stage.wait(60) == ExitCode.INTERRUPTED
    told = json.loads((tmp_path / "run" / "conformance.json").read_text())
    assert told["cases"] > 0
    assert all(tally.clean for tally in read_history(tmp_path / "run" / "history").tallies)


@pytest.mark.parametrize("extra", [["-k", "no_such_scenario"], ["--no-such-flag"]])
def test_wrong_use_ends_with_its_own_code(extra: list[str], target: Path, tmp_path: Path) -> None:
    done = run(target, tmp_path / "run", *extra)
    assert done.exit == ExitCode.USAGE, done.output[-2000:]


def test_without_its_environment_the_stage_says_how_it_is_started(tmp_path: Path) -> None:
    argv, env = command(profile_file(tmp_path, "http://127.0.0.1:1", ROWS), tmp_path / "run")
    del env["STEPUP_RUN"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == ExitCode.USAGE
    assert "stepup conformance" in done.stdout + done.stderr


def test_where_overload_is_declared_a_503_is_asked_again_and_no_failure(tmp_path: Path) -> None:
    """Every third request is shed, far more than by a real target."""
    asked = itertools.count(1)
    with Server(FAST, tmp_path / "service") as server:
        port = int(server.base_url.rpartition(":")[2])

        def shed(connection: socket.socket, head: bytes) -> None:
            if next(asked) % 3 == 0:
                connection.sendall(http("503 Service Unavailable", b"{}", "Content-Type: application/json"))
                return
            with socket.create_connection(("127.0.0.1", port), 10) as service:
                service.sendall(head + b"\r\nConnection: close\r\n\r\n")
                while part := service.recv(65536):
                    connection.sendall(part)

        with raw_server(shed) as shedding:
            rows = json.loads((tmp_path / "service" / "users.json").read_text())
            path = profile_file(tmp_path / "client", f"http://127.0.0.1:{shedding}", rows)
            path.write_text(path.read_text() + '[outcomes]\nvalid = ["200", "503"]\n')
            done = run(path, tmp_path / "run", "-k", "test_replay")
    assert done.exit == ExitCode.PASS, done.output[-3000:]
    assert (done.history.frame["status"] == 503).sum() > 3
    assert done.told["passed"] > 0
