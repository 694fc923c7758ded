"""Whole runs against simulated endpoints: no rule blames a correct one, and each defect is told by a rule it breaks."""

import pytest

from tests.rules.whole_runs import any_world, blamed, defective_world
from tests.rules.whole_world import DEFECTS

PARTS = 6
RUNS = 7  # in each part
PROGRAMMES = 48  # in each run, each with a history of its own that is judged with the others: 2,016 in all
# Seeds with which each defect shows; how often it does at all, `tests.benchmarks.detection` counts.
TRIES = range(1, 9)


@pytest.mark.parametrize("part", range(PARTS))
def test_no_rule_ever_blames_a_correct_endpoint(part: int) -> None:
    for seed in range(part * RUNS, (part + 1) * RUNS):
        assert blamed(any_world(seed, PROGRAMMES)) == {}, seed


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_told_by_a_rule_that_it_breaks(defect: str) -> None:
    rules = set(DEFECTS[defect][0])
    assert any(rules & blamed(defective_world(seed, defect)).keys() for seed in TRIES)
