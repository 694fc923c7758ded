"""Workers on other hosts: clocks that differ, records that travel, and what a rule may still conclude."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import ExitCode
from harness.history import read_history
from scenarios.load.clock import DRIFT, Clock, boot_id
from scenarios.load.messages import HARNESS, differences, terms_of
from tests.load.profiles import profile
from tests.load.targets import finish, plan_file, profile_file, run_folder, small_target, start_load, users
from tests.load.test_stage import BOTH, _until_recorded

MS = 10**6


@pytest.mark.parametrize("offset", [0, 3_600 * 10**9, -5 * 10**12])
def test_an_offset_is_right_within_its_error_whatever_the_way_there_and_back(offset: int) -> None:
    rng = random.Random(1)
    clock = Clock()
    at = 10**12
    for _ in range(200):
        there, back = rng.randrange(1, 5 * MS), rng.randrange(1, 5 * MS)
        clock.learn(at, at + there + offset, at + there + back)
        assert abs(clock.offset_ns - offset) <= clock.error_ns
        at += 2 * 10**9
    assert clock.error_ns < 2 * MS


def test_an_error_grows_with_the_age_of_the_best_measurement() -> None:
    clock = Clock()
    clock.learn(0, 500, 1000)
    young = clock.error_ns
    clock.learn(10**10, 10**10 + 10**8, 10**10 + 2 * 10**8)  # a slow one says less
    assert clock.error_ns == pytest.approx(young + DRIFT * 1.02e10, rel=0.01)


def test_a_master_of_the_same_boot_has_the_same_clock() -> None:
    clock = Clock()
    clock.learn(0, 10**15, 1000, boot_id() or "none")
    assert (clock.offset_ns, clock.error_ns) == ((0, 0) if boot_id() else (clock.offset_ns, clock.error_ns))


def test_records_travel_redacted_in_the_masters_time_and_widened_by_the_error(tmp_path: Path) -> None:
    script = """
import json, sys
from scenarios.load.clock import Clock
from scenarios.load.courier import Collector, Courier
from harness.redact import Redactor
from tests.load.profiles import profile
from tests.load.test_units import exchange
from pathlib import Path
of = profile(3)
clock = Clock()
clock.offset_ns, clock.error_ns = 10**15, 1000
sent = []
collector = Collector(of, Path(sys.argv[1]))
collector.open("w7")
courier = Courier(Redactor(of.secrets()), clock, sent.append)
for number in range(1300):
    courier.add(exchange(200, intended=100, sent=200, received=300, body="echo token-1 key-2", ref=f"r{number}"))
courier.close(sent=1300)
assert "token-1" not in json.dumps(sent), "a secret has left the host"
for rows in sent:
    collector.take("w7", json.loads(json.dumps(rows)))
collector.close("w7", 1300, 1300)
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    history = read_history(tmp_path)
    assert history.gaps == ()
    (tally,) = history.tallies
    assert (tally.worker, tally.sent, tally.recorded, tally.engine, tally.clean) == ("w7", 1300, 1300, 1300, True)
    row = history.frame.iloc[0]
    assert (row["sent"] - row["intended"], row["received"] - row["sent"]) == (100, 100 + 2 * 1000)
    assert "[secret" in row["body"]


def _worker(profile_path: Path, port: int) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "scenarios.load", "--profile", str(profile_path), "--worker", f"127.0.0.1:{port}"]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _port(process: subprocess.Popen[str]) -> int:
    """The port that a master says it waits at."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("waiting for "), line
    return int(line.split(";")[0].rpartition(":")[2])


def test_a_worker_of_another_harness_or_profile_is_told_which_it_is() -> None:
    ours = terms_of(profile(3))
    assert differences(ours, dict(ours)) == ""
    assert differences(ours, terms_of(profile(3, in_flight="reject"))) == "its profile is not the master's"
    assert differences(ours, terms_of(profile(4, in_flight="reject"))) == (
        "its profile and credentials pool are not the master's"
    )
    assert differences(ours, {**ours, HARNESS: "0.1.0 (abc)"}).startswith("its harness is of version 0.1.0 (abc), the")
    assert differences(ours, "of an earlier version").startswith("its harness is of version unknown, the master's of ")


def test_workers_without_the_run_folder_bring_their_records_and_a_killed_one_is_named(tmp_path: Path) -> None:
    with small_target(tmp_path / "target") as target:
        path = profile_file(tmp_path, target.port, users(60, keys=20))
        other = profile_file(tmp_path / "other", target.port, users(59, keys=20))
        folder = run_folder(tmp_path / "run", path)
        plan = plan_file(tmp_path, BOTH.replace('"2s"', '"6s"'))
        process = start_load(path, folder, plan, "--processes", "2", "--master", "127.0.0.1:0")
        port = _port(process)
        stranger = _worker(other, port)
        told, _ = stranger.communicate(timeout=60)
        workers = [_worker(path, port) for _ in range(2)]
        shards = [folder.history / f"load-w{number}.arrow" for number in (1, 2)]
        _until_recorded(process, *shards)
        workers[0].kill()
        done = finish(process, folder)
        ends = [worker.wait(30) for worker in workers]
    assert stranger.returncode == ExitCode.USAGE
    assert "the master refused this worker: its credentials pool is not the master's" in told
    assert done.code == ExitCode.PASS, done.output
    assert ends == [-9, 0]
    (lost,) = done.facts["lost"]
    tallies = {tally.worker: tally for tally in done.history.tallies}
    assert not tallies.pop(lost).clean
    (kept,) = tallies.values()
    assert kept.clean
    assert kept.sent == kept.recorded == kept.engine
    assert set(done.history.frame["worker"]) == {"w1", "w2"}
