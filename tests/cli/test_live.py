"""What a run shows while it goes, and the gate that ends it: over shards that are still being written."""

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from rich.console import Console

from harness.errors import ExitCode
from harness.history import Recorder, read_history
from harness.live import Glance, Onlooker
from harness.live.__main__ import Looker
from harness.live.follow import Follower
from harness.live.screen import Screen, View
from harness.run_folder import RunFolder, create
from tests.reports.runs import exchange, make_profile, traffic

ABORTED = """
connections = 16
abort_on_fail = ["latency_p99"]
abort_after = "1s"
[[stages]]
scenario = "background"
duration = "90s"
rate = 80
[gates]
latency_p99 = "1us"
"""


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    profile = make_profile()  # an unseen reset would explain most
    lasting = replace(profile, control=replace(profile.control, reset=None))
    return create(tmp_path / "run", "live", lasting, seed=1, command="stepup run")


def test_a_growing_shard_is_read_once_however_it_is_cut(folder: RunFolder, tmp_path: Path) -> None:
    recorder = Recorder(folder.history, "load", "w0", batch=40)
    for row in traffic(300):
        recorder.add(row)
    recorder.close(sent=300)
    whole = (folder.history / "load-w0.arrow").read_bytes()
    grown = tmp_path / "grown" / "load-w0.arrow"
    grown.parent.mkdir()
    follower, parts = Follower(grown.parent, "load"), []
    for end in [*range(0, len(whole), 97), len(whole)]:
        grown.write_bytes(whole[:end])
        parts.append(follower.fresh())
    table = pa.concat_tables(parts)
    assert sum(len(part) > 0 for part in parts) == 8
    assert table["seq"].to_pylist() == list(range(300))
    assert sorted(table["ref"].to_pylist(), key=str) == sorted(read_history(folder.history).frame["ref"], key=str)


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"no arrow at all"])
def test_what_is_no_shard_shows_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "load-w0.arrow").write_bytes(content)
    assert len(Follower(tmp_path, "load").fresh()) == 0


def test_each_look_adds_to_what_is_known(folder: RunFolder) -> None:
    folder.facts["plan"] = {
        "gates": {"latency_max": 50e6}, "abort_on_fail": ["latency_max"], "abort_after_s": 1.0,
    }  # fmt: skip
    recorder, looker = Recorder(folder.history, "load", "w0"), Looker(folder, "load")
    assert (looker.look()["exchanges"], looker.look()["broken"]) == (0, [])
    steps = [
        exchange(0, 5, ref="a", challenge_id="c-1"),
        exchange(100, 90, ref="a", challenge_id="c-2"),  # contradicts what was flushed before it
        exchange(1100, 5, ref="b", challenge_id="c-3"),
    ]
    looks = []
    for row in steps:
        recorder.add(row)
        recorder.flush()
        looks.append(looker.look())
    assert [[one["rule"] for one in told["broken"]] for told in looks] == [[], *[["idempotent-replay"]] * 2]
    assert [told["gates"][0]["status"] for told in looks] == ["pass", "fail", "fail"]
    assert [told["abort"] for told in looks] == [
        "", "", "the gate latency_max is missed: 90.00 ms, at most 50.00 ms",
    ]  # fmt: skip
    assert looks[-1]["exchanges"] == 3


def test_gates_of_a_long_load_are_told_from_its_newest_part(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.live.__main__.GATED", 3)
    folder.facts["plan"] = {"gates": {"latency_max": 50e6}}
    recorder, looker, looks = Recorder(folder.history, "load", "w0"), Looker(folder, "load"), []
    for at, took in ((0, 90), (100, 5), (200, 5), (300, 5)):
        recorder.add(exchange(at, took))
        recorder.flush()
        looks.append(looker.look()["gates"][0]["status"])
    assert looks == ["fail", "fail", "fail", "pass"]


def test_known_failures_and_good_practice_do_not_count(folder: RunFolder) -> None:
    folder.facts["allowed"] = [{"rule": "idempotent-replay", "reason": "known", "until": None}]
    recorder = Recorder(folder.history, "load", "w0")
    for n in (1, 2):
        recorder.add(exchange(100 * n, 5, ref="a", challenge_id=f"c-{n}"))
    recorder.flush()
    (broken,) = Looker(folder, "load").look()["broken"]
    assert (broken["rule"], broken["counts"]) == ("idempotent-replay", False)


def glance(*broken: str, gate: str = "pass") -> Glance:
    rules = [{"rule": rule, "counts": True, "message": "\x1b[2Jwhy"} for rule in broken]
    return Glance(1234, 7, rules, [{"metric": "error_rate", "status": gate, "message": "2 %"}], "")


def test_the_view_tells_figures_rules_and_gates_without_control_sequences() -> None:
    view = View("load", "many users")
    view.take(json.dumps({"at_s": 3.0, "of_s": 10.0, "per_s": 50.0, "sent": 1500}))
    view.take(json.dumps({"at_s": 4.0, "of_s": 10.0, "per_s": 100.0, "sent": 1600}))
    view.look(glance("auth-required", gate="fail"))
    told = io.StringIO()
    Console(file=told, width=120).print(view)
    lines = [line.rstrip() for line in told.getvalue().split("\n")]
    assert lines[0].endswith("4 s of 10 s")
    assert lines[1:5] == [
        "  per_s 100.0  sent 1,600  ▅█",
        "  rules so far: 7 held, 1 broken, over 1,234 exchanges",
        "  ✗ auth-required:  [2Jwhy",
        "  ✗ gate error_rate: 2 %",
    ]


def test_without_a_terminal_only_what_is_new_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(plain=True)
    screen.stage("load", "many users")
    for told in (glance(), glance(), glance("auth-required"), glance("auth-required", gate="fail")):
        screen.glance(told)
    lines = [line.split(" s ", 1)[1] for line in capsys.readouterr().err.strip().split("\n")]
    assert lines == [
        "load: many users",
        "load: rules so far: 7 held, none broken, over 1,234 exchanges",
        "load: ✗ auth-required:  [2Jwhy",
        "load: rules so far: 7 held, 1 broken, over 1,234 exchanges",
        "load: gate error_rate is missed so far: 2 %",
        "load: rules so far: 7 held, 1 broken, over 1,234 exchanges",
    ]


def test_a_process_that_cannot_judge_says_why(tmp_path: Path) -> None:
    with Onlooker(tmp_path / "none", "load", lambda _: None, 0.0) as onlooker:
        onlooker.join(60.0)
    assert onlooker.problem.startswith("nothing more is told of rules and gates")


def test_a_gate_that_is_hopeless_ends_the_load_with_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(ABORTED)
    argv = [sys.executable, "-m", "harness", "load", str(tmp_path / "plan.toml"), "--out", str(tmp_path / "out")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=150)
    told = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert done.returncode == told["outcome"]["exit_code"] == ExitCode.GATE, done.stdout + done.stderr
    assert told["outcome"]["partial"] is True
    assert told["run"]["stages"][0]["note"].startswith("ended after ")
    assert "the gate latency_p99 is missed" in done.stderr
    assert told["history"]["gaps"] == []
    assert 50 < told["history"]["pushes"] < 80 * 60
