"""Arrivals: their number and shape follow from the stage alone."""

import random
from itertools import pairwise

import pytest

from harness.plan import Arrivals, Stage
from scenarios.load.part import Deal, Part
from scenarios.load.progress import running
from scenarios.load.schedule import arrivals, rate_at


def offsets(kind: Arrivals, rate: float, to: float = 0.0, seconds: float = 10.0, seed: int = 1) -> list[int]:
    return list(arrivals(Stage("background", seconds, arrivals=kind, rate=rate, to=to), random.Random(seed)))


def test_constant_arrivals_are_evenly_spaced() -> None:
    assert offsets("constant", 4.0, seconds=1.0) == [250_000_000, 500_000_000, 750_000_000]


def test_poisson_arrivals_have_the_rate_and_no_memory() -> None:
    many = offsets("poisson", 1000.0)
    gaps = [(b - a) / 1e9 for a, b in pairwise(many)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert 9_500 < len(many) < 10_500
    assert deviation / mean == pytest.approx(1.0, abs=0.05)


def test_the_same_seed_makes_the_same_arrivals() -> None:
    assert offsets("poisson", 200.0, seed=5) == offsets("poisson", 200.0, seed=5)
    assert offsets("poisson", 200.0, seed=5) != offsets("poisson", 200.0, seed=6)


@pytest.mark.parametrize("kind", ["constant", "poisson", "ramp", "step", "spike"])
def test_arrivals_ascend_and_stay_within_the_stage(kind: Arrivals) -> None:
    many = offsets(kind, 100.0, 400.0)
    assert many == sorted(many)
    assert many[0] > 0
    assert many[-1] < 10 * 10**9


def test_a_ramp_goes_from_one_rate_to_the_other() -> None:
    many = offsets("ramp", 100.0, 300.0)
    assert len(many) == pytest.approx(2000, rel=0.02)
    assert sum(at < 5e9 for at in many) == pytest.approx(750, rel=0.03)


def test_steps_are_as_many_as_asked_for() -> None:
    stage = Stage("background", 10.0, arrivals="step", rate=100.0, to=500.0, steps=5)
    assert [rate_at(stage, at) for at in (0.0, 1.9, 2.0, 5.0, 9.99)] == [100.0, 100.0, 200.0, 300.0, 500.0]


def test_the_progress_line_says_what_runs_and_at_which_rate() -> None:
    ramp = Stage("background", 10.0, start_s=2.0, arrivals="ramp", rate=100.0, to=300.0)
    parts = [Part(ramp, 2.0, 12.0, (1,)), Part(ramp, 2.0, 12.0, (2,), 1), Part(Stage("lifecycle", 5.0), 0.0, 5.0, (3,))]
    told = [running(Deal(parts), at) for at in (0.0, 3.0, 7.0, 13.0)]
    assert told == ["lifecycle", "background 240/s, lifecycle", "background 400/s", ""]


def test_a_spike_stands_in_the_middle_fifth() -> None:
    stage = Stage("background", 10.0, arrivals="spike", rate=10.0, to=900.0)
    assert [rate_at(stage, at) for at in (0.0, 3.9, 4.0, 5.9, 6.0)] == [10.0, 10.0, 900.0, 900.0, 10.0]
