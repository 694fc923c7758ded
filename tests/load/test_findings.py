"""What is told of steady traffic, from records made by hand, and once from a target whose capacity is known."""

import re
from pathlib import Path

import numpy as np
import pytest

from harness.errors import ExitCode
from harness.plan import Arrivals, Stage
from scenarios.load.findings import Traffic, figures, sentences
from scenarios.load.phases import Phase, merged, phases_of
from scenarios.load.schedule import arrivals
from tests.load.targets import load, plan_file, profile_file, run_folder, small_target, users
from tests.load.test_stage import whole

S, MS = 10**9, 10**6


def traffic(latency_ms: list[float], every_ns: int = S // 100, status: int = 200) -> Traffic:
    """A hundred requests a second that took so long one after another."""
    due = np.arange(len(latency_ms), dtype=np.int64) * every_ns
    return Traffic(due, due + (np.array(latency_ms) * MS).astype(np.int64), np.full(len(due), status))


def test_figures_are_those_of_the_phase_and_count_from_the_intended_time() -> None:
    phases = [Phase("step 1", 0, 2 * S, 100.0), Phase("step 2", 2 * S, 4 * S, 100.0), Phase("step 3", 9 * S, 10 * S, 1)]
    first, second = figures(phases, traffic([5.0] * 200 + [1500.0] * 200))
    assert (first["p50_ms"], first["p99_ms"], first["sent_per_s"], first["answered_per_s"]) == (5.0, 5.0, 100.0, 100.0)
    assert (second["p50_ms"], second["sent_per_s"], second["answered_per_s"]) == (1500.0, 100.0, 25.0)
    assert figures(phases[:1], traffic([5.0] * 200, status=503))[0]["errors"] == 200


@pytest.mark.parametrize(("late_s", "says"), [(0, "within 1 s"), (4, "within 5 s"), (20, "did not come back")])
def test_a_spike_is_over_when_the_latency_is_what_it_was(late_s: int, says: str) -> None:
    phases = phases_of(Stage("background", 50.0, arrivals="spike", rate=100.0, to=400.0), 0)
    assert [(phase.name, phase.start_ns // S, phase.end_ns // S) for phase in phases] == [
        ("before", 0, 20), ("spike", 20, 30), ("after", 30, 50),
    ]  # fmt: skip
    slow = [80.0] * (100 * min(10 + late_s, 30))
    (told,) = sentences(phases, traffic([2.0] * 2000 + slow + [3.0] * (3000 - len(slow))))
    assert "from 2.0 to 80.0 ms" in told
    assert says in told


def test_drift_compares_an_early_with_a_late_part_of_a_long_phase() -> None:
    phases = [Phase("poisson", 0, 100 * S, 100.0)]
    assert sentences(phases, traffic([2.0] * 5000 + [3.0] * 5000)) == [
        "drift: over 70 s the median latency went from 2.00 to 3.00 ms, its 99th percentile from 2.00 to 3.00 ms"
    ]
    assert sentences([Phase("poisson", 0, 10 * S, 100.0)], traffic([2.0] * 1000)) == []


@pytest.mark.parametrize("kind", ["constant", "ramp", "step", "spike"])
def test_phases_have_the_rate_of_the_schedule(kind: Arrivals) -> None:
    stage = Stage("background", 10.0, arrivals=kind, rate=100.0, to=0.0 if kind == "constant" else 400.0)
    offsets = np.fromiter(arrivals(stage, None), np.int64)  # type: ignore[arg-type]  # only Poisson arrivals are random
    for phase in phases_of(stage, 0):
        due = int(((offsets >= phase.start_ns) & (offsets < phase.end_ns)).sum())
        assert due / ((phase.end_ns - phase.start_ns) / S) == pytest.approx(phase.rate, rel=0.02)


def test_processes_that_work_side_by_side_have_one_row_of_phases() -> None:
    one, other = [Phase("a", 0, 10, 5.0), Phase("b", 10, 20, 5.0)], [Phase("a", 1, 11, 7.0)]
    assert merged([one, other]) == [Phase("a", 0, 11, 12.0), Phase("b", 10, 20, 5.0)]


def test_the_capacity_of_a_target_is_found_and_the_load_ends_with_it(tmp_path: Path) -> None:
    plan = (
        'connections = 64\n[[stages]]\nscenario = "background"\nduration = "60s"\narrivals = "search"\nrate = 120\n'
        'to = 2000\nsteps = 120\nhold = "150ms"\nbacklog = 300\n'
        '[[stages]]\nscenario = "idempotency"\nduration = "60s"\nrate = 1\n'
    )
    with small_target(tmp_path / "target", "--work-s", "0.005") as target:
        profile = profile_file(tmp_path, target.port, users(60))
        done = load(profile, run_folder(tmp_path / "run", profile), plan_file(tmp_path, plan))
    assert done.code == ExitCode.PASS, done.output
    whole(done)
    (told,) = done.facts["findings"]
    assert told.startswith("capacity: ")
    assert told in done.output
    held, broke = (float(word.replace(",", "")) for word in re.findall(r"[\d,]+(?= re| were)", told))
    assert 120 <= held < broke <= 260
    rows = done.facts["phases"]
    assert [row["phase"] for row in rows] == [f"step {number + 1}" for number in range(len(rows))]
    assert rows[0]["answered_per_s"] == pytest.approx(120, rel=0.1)
    assert done.facts["planned_s"] == 60
