"""The load stage from end to end, as the process that `stepup` starts, against targets that are good, bad and gone."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.errors import ExitCode
from tests.load.targets import (
    Loaded,
    finish,
    load,
    plan_file,
    profile_file,
    run_folder,
    small_target,
    start_load,
    users,
)

BACKGROUND = '[[stages]]\nscenario = "background"\nduration = "{0}"\nrate = {1}\n'
IDEMPOTENCY = '[[stages]]\nscenario = "idempotency"\nduration = "{0}"\nrate = 40\n'
BOTH = "connections = 24\n" + BACKGROUND.format("2s", 300) + IDEMPOTENCY.format("2s")
MS = 10**6
CONTROL = '[control]\naccept = "POST /c/{challenge_id}/accept"\nreset = "POST /c/reset"\n'


def whole(loaded: Loaded) -> None:
    """Every exchange that was sent is in the history, and Locust's statistics have counted as many."""
    history = loaded.history
    assert history.gaps == ()
    for tally in history.tallies:
        assert tally.clean
        assert tally.sent == tally.recorded == tally.engine, tally
    assert sum(tally.recorded for tally in history.tallies) == len(history.frame)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """One run of both scenarios against a target that does nothing wrong."""
    folder = tmp_path_factory.mktemp("good")
    with small_target(folder / "target") as target:
        profile = profile_file(folder, target.port, users(60, keys=20))
        return load(profile, run_folder(folder / "run", profile), plan_file(folder, BOTH))


def test_a_plan_is_run_to_its_end_and_every_exchange_recorded(good: Loaded) -> None:
    assert good.code == ExitCode.PASS, good.output
    whole(good)
    frame = good.history.frame
    assert (frame["scenario"] == "background").sum() == 599  # all arrivals of its schedule
    assert set(frame["scenario"]) == {"background", "idempotency"}
    assert (frame["status"].isin((200, 0))).all()
    assert (frame[frame["status"] == 0]["error"].str.startswith("closed by us")).all()
    facts = good.facts
    assert (facts["ended"], facts["notes"], facts["lost"]) == ("complete", [], {})
    assert facts["done"]["idempotency"]["bursts"] > 3
    (worker,) = facts["workers"].values()
    assert (worker["sent"], worker["unsent"]) == (len(frame), 0)
    assert 0 < worker["memory_mb"][0] <= worker["memory_mb"][1] + 1
    assert [row["phase"] for row in facts["phases"]] == ["constant"]


def test_the_progress_is_told_as_json_every_second(good: Loaded) -> None:
    lines = [json.loads(line) for line in good.output.splitlines() if line.startswith("{")]
    assert lines
    assert [line["sent"] for line in lines] == sorted(line["sent"] for line in lines)
    assert all(line["users"] == 24 for line in lines)
    assert all(line["failed"] == 0 for line in lines)  # callers who go away on purpose are no failures
    assert lines[0]["scenarios"] == "background 300/s, idempotency"
    assert all(line["late_ms"] >= 0 for line in lines)


def test_one_ref_is_sent_on_different_connections_and_answered_with_one_challenge(good: Loaded) -> None:
    frame = good.history.frame
    answered = frame[(frame["status"] == 200) & frame["ref"].notna()]
    by_ref = answered.groupby(["user", "channel", "ref"], observed=True)
    assert (by_ref["challenge_id"].nunique() == 1).all()
    assert by_ref["connection"].nunique().max() >= 3


def test_no_secret_is_left_behind(good: Loaded) -> None:
    for path in good.folder.path.rglob("*"):
        assert not path.is_file() or b"-secret" not in path.read_bytes(), path
    assert "-secret" not in good.output


def test_fast_http_records_alike(tmp_path: Path) -> None:
    with small_target(tmp_path / "target") as target:
        profile = profile_file(tmp_path, target.port, users(40, keys=20))
        done = load(profile, run_folder(tmp_path / "run", profile), plan_file(tmp_path, BOTH), "--fast-http")
    assert done.code == ExitCode.PASS, done.output
    whole(done)
    frame = done.history.frame
    assert set(frame["scenario"]) == {"background", "idempotency"}
    assert (frame["received"] > frame["sent"]).all()
    assert frame[frame["status"] == 200]["challenge_id"].str.len().gt(0).all()


def test_a_declared_rate_is_not_exceeded_by_scenarios_that_are_not_about_it(tmp_path: Path) -> None:
    rate = '[limits.rate]\ncount = 20\nwindow = "1s"\nscope = "api-key"\n'
    with small_target(tmp_path / "target", "--rate", "20") as target:
        profile = profile_file(tmp_path, target.port, users(40, keys=40), rate)
        done = load(profile, run_folder(tmp_path / "run", profile), plan_file(tmp_path, BOTH))
    assert done.code == ExitCode.PASS, done.output
    frame = done.history.frame
    assert len(frame) > 50
    assert 429 not in set(frame["status"])


def test_a_pool_of_one_user_is_driven_by_turns_with_resets_in_between(tmp_path: Path) -> None:
    limits = '[limits.rate]\ncount = 50\nwindow = "200ms"\n'
    with small_target(tmp_path / "target") as target:
        profile = profile_file(tmp_path, target.port, users(1), limits + CONTROL)
        plan = plan_file(tmp_path, BOTH + '[[stages]]\nscenario = "rate-limit"\nduration = "1s"\n')
        done = load(profile, run_folder(tmp_path / "run", profile), plan)
    assert done.code == ExitCode.PASS, done.output
    whole(done)
    frame = done.history.frame
    resets = frame[frame["operation"] == "reset"]
    assert len(resets) == 2
    for row in resets.itertuples():
        others = frame[frame["operation"] == "push"]
        assert not ((others["sent"] < row.received) & (others["received"] > row.sent)).any()


# Targets that break down: three at once, as each is mostly waited for

FATES = {
    "die": (("--misbehave", "die", "--after", "200"), BACKGROUND.format("300s", 200)),
    "half": (("--misbehave", "half", "--after", "200"), 'timeout = "500ms"\n' + BACKGROUND.format("2s", 200)),
    "never": (("--misbehave", "never", "--after", "200"), 'timeout = "500ms"\n' + BACKGROUND.format("2s", 200)),
}


@pytest.fixture(scope="module")
def fates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Loaded]:
    """What became of a load on each of these targets."""
    done: dict[str, Loaded] = {}
    with contextlib.ExitStack() as stack:
        started = {}
        for name, (arguments, plan) in FATES.items():
            folder = tmp_path_factory.mktemp(name)
            target = stack.enter_context(small_target(folder / "target", *arguments))
            profile = profile_file(folder, target.port, users(40, keys=20))
            made = run_folder(folder / "run", profile)
            started[name] = (start_load(profile, made, plan_file(folder, plan)), made)
        for name, (process, made) in started.items():
            done[name] = finish(process, made)
    return done


def test_a_target_that_dies_for_good_ends_the_load(fates: dict[str, Loaded]) -> None:
    done = fates["die"]
    assert done.code == ExitCode.UNREACHABLE, done.output
    assert "is gone: no answer for" in done.output
    whole(done)
    frame = done.history.frame
    assert (frame["status"] == 200).sum() > 100
    assert (frame["outcome"] == "unknown").sum() > 0
    assert done.facts["ended"] == "gone"


@pytest.mark.parametrize("how", ["half", "never"])
def test_a_target_that_stops_answering_is_recorded_as_unknown(fates: dict[str, Loaded], how: str) -> None:
    done = fates[how]
    assert done.code == ExitCode.PASS, done.output
    whole(done)
    frame = done.history.frame
    lost = frame[frame["status"] == 0]
    assert 0 < (frame["status"] == 200).sum() <= 200  # some of the first may have come too late
    assert len(lost) > 50
    assert (lost["outcome"] == "unknown").all()


def test_a_frozen_target_is_waited_for_and_latency_counts_from_the_schedule(tmp_path: Path) -> None:
    with small_target(tmp_path / "target") as target:
        profile = profile_file(tmp_path, target.port, users(60, keys=20))
        plan = plan_file(tmp_path, "connections = 400\n" + BACKGROUND.format("5s", 200))
        folder = run_folder(tmp_path / "run", profile)
        process = start_load(profile, folder, plan)
        _until_recorded(process, folder.history / "load-w0.arrow")
        os.kill(target.process.pid, signal.SIGSTOP)
        frozen = time.monotonic_ns()
        time.sleep(1.0)
        thawed = time.monotonic_ns()
        os.kill(target.process.pid, signal.SIGCONT)
        done = finish(process, folder)
    whole(done)
    history = done.history
    to_monotonic = history.wall_offset_ns - (time.time_ns() - time.monotonic_ns())
    intended, received = (history.frame[name] + to_monotonic for name in ("intended", "received"))
    # The schedule goes on whatever the target does, and each arrival meanwhile waits for the thaw.
    gaps = intended.sort_values().diff().dropna()
    assert len(intended) == 999
    assert gaps.between(4_999_990, 5_000_010).all()
    waited = (intended > frozen) & (intended < thawed - MS)
    assert waited.sum() >= 150
    assert (received[waited] > thawed - MS).all()  # MS: the wall clock may have been set meanwhile
    assert done.facts["workers"]["w0"]["unsent"] == 0


# Ends


def _until_recorded(process: subprocess.Popen[str], *shards: Path) -> None:
    """Wait until each of these shards holds some exchanges."""
    while not all(shard.exists() and shard.stat().st_size > 20_000 for shard in shards):
        assert process.poll() is None
        time.sleep(0.01)


@pytest.mark.parametrize(("number", "processes"), [(signal.SIGTERM, 1), (signal.SIGINT, 2)])
def test_a_signal_ends_the_load_and_keeps_what_was_recorded(tmp_path: Path, number: int, processes: int) -> None:
    names = [f"w{worker}" for worker in range(processes)]
    with small_target(tmp_path / "target") as target:
        profile = profile_file(tmp_path, target.port, users(60, keys=20))
        folder = run_folder(tmp_path / "run", profile)
        plan = plan_file(tmp_path, BOTH.replace('"2s"', '"300s"'))
        process = start_load(profile, folder, plan, "--processes", str(processes))
        _until_recorded(process, *(folder.history / f"load-{name}.arrow" for name in names))
        process.send_signal(number)
        done = finish(process, folder)
    assert done.code == ExitCode.INTERRUPTED, done.output
    whole(done)
    frame = done.history.frame
    assert len(frame) > 50
    assert done.facts["ended"] == "interrupted"
    assert {name: told["sent"] for name, told in done.facts["workers"].items()} == {
        name: int((frame["worker"] == name).sum()) for name in names
    }
    assert (frame.groupby("user")["worker"].nunique() == 1).all()  # users are dealt to one worker each


def test_a_signal_while_the_stage_is_loaded_ends_it_without_a_word(tmp_path: Path) -> None:
    profile = profile_file(tmp_path, 9, users(1))
    process = start_load(profile, run_folder(tmp_path / "run", profile), plan_file(tmp_path, BOTH))
    while not Path(f"/proc/{process.pid}/maps").read_text().count("_greenlet"):  # it is in the middle of its imports
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    assert finish(process, run_folder(tmp_path / "other", profile)).output == ""
    assert process.returncode == ExitCode.INTERRUPTED


def test_a_worker_that_is_killed_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    with small_target(tmp_path / "target") as target:
        profile = profile_file(tmp_path, target.port, users(60, keys=20))
        folder = run_folder(tmp_path / "run", profile)
        process = start_load(profile, folder, plan_file(tmp_path, BOTH.replace('"2s"', '"4s"')), "--processes", "2")
        _until_recorded(process, folder.history / "load-w1.arrow")
        os.kill(json.loads((folder.history / "load-w1.tally.json").read_text())["pid"], signal.SIGKILL)
        done = finish(process, folder)
    assert done.code == ExitCode.PASS, done.output
    assert done.facts["lost"] == {"w1": "signal 9"}
    assert "worker w1 was lost: signal 9" in done.output
    tallies = {tally.worker: tally for tally in done.history.tallies}
    assert (tallies["w0"].clean, tallies["w1"].clean) == (True, False)
    assert tallies["w0"].sent == tallies["w0"].recorded
    assert set(done.history.frame["worker"]) == {"w0", "w1"}  # what the lost one had flushed is there


def test_a_full_disk_ends_the_load_and_keeps_what_was_written(tmp_path: Path) -> None:
    with small_target(tmp_path / "target") as target:
        profile = profile_file(tmp_path, target.port, users(60, keys=20))
        folder = run_folder(tmp_path / "run", profile)
        plan = plan_file(tmp_path, BACKGROUND.format("300s", 300))
        done = finish(start_load(profile, folder, plan, largest_file=60_000), folder)
    assert done.code == ExitCode.USAGE, done.output
    assert "exchanges could not be kept" in done.output
    assert "Free some disk space" in done.output
    history = done.history
    assert len(history.frame) > 100
    assert not history.tallies[0].clean


def test_the_page_of_locust_is_served_on_loopback(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with small_target(tmp_path / "target") as target:
        profile = profile_file(tmp_path, target.port, users(40, keys=20))
        folder = run_folder(tmp_path / "run", profile)
        process = start_load(profile, folder, plan_file(tmp_path, BOTH), "--web-ui", str(port))
        first = _page(process, port, "stopped")  # the plan has come to its end, and the page is still there
        httpx.post(f"http://127.0.0.1:{port}/swarm", data={"user_count": 24, "spawn_rate": 24}, trust_env=False)
        assert _page(process, port, "running")
        second = _page(process, port, "stopped")
        process.send_signal(signal.SIGINT)
        done = finish(process, folder)
    whole(done)
    frame = done.history.frame
    assert first + second == len(frame)
    assert (
        frame.groupby("ref")["sent"].agg(lambda times: times.max() - times.min()).max() < 2.5e9
    )  # refs are not reused


def _page(process: subprocess.Popen[str], port: int, state: str) -> int:
    """The number of requests that Locust's page counts once it is in this state."""
    told: dict[str, Any] = {}
    while told.get("state") != state:
        assert process.poll() is None
        try:
            told = httpx.get(f"http://127.0.0.1:{port}/stats/requests", trust_env=False).json()
        except httpx.HTTPError:
            time.sleep(0.05)
    return int(next(row for row in told["stats"] if row["name"] == "Aggregated")["num_requests"])


def test_wrong_arguments_are_told_and_nothing_is_sent(tmp_path: Path) -> None:
    profile = profile_file(tmp_path, 1, users(4))
    folder = run_folder(tmp_path / "run", profile)
    done = load(profile, folder, plan_file(tmp_path, BOTH), "--scenario", "idempotencey")
    assert done.code == ExitCode.USAGE
    assert "Did you mean 'idempotency'" in done.output
    assert "Traceback" not in done.output
    assert list((tmp_path / "run" / "history").iterdir()) == []


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy, small_target(tmp_path / "target") as target:
        profile = profile_file(tmp_path, target.port, users(4))
        port = str(busy.getsockname()[1])
        done = load(profile, run_folder(tmp_path / "run", profile), plan_file(tmp_path, BOTH), "--web-ui", port)
    assert done.code == ExitCode.USAGE
    assert f"--web-ui {port}: " in done.output
