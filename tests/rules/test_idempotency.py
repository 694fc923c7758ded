"""The rules on refs and ids agree with a slow checker, never blame a correct target, and catch defective ones."""

from typing import Any

import pytest

from harness.history import History
from harness.profile import Profile
from harness.rules import RULES
from tests.history_files import make_history
from tests.rules.refs_model import DEFECTS, simulate
from tests.rules.refs_slow import Slow

REPEATS = ("idempotent-replay", "idempotent-concurrent", "idempotent-after-unknown", "ref-retention")
IDS = ("idempotent-scope", "ref-exact", "no-ref-no-replay", "challenge-id-unique")
JUDGED = (*REPEATS, *IDS, "ref-not-spent-by-refusal", "push-at-most-once")
CORRECT = 80  # histories of correct targets in each run of the tests
SEEDS = 40  # histories of each defect


def simulated(seed: int, defect: str = "", conflict: bool = False, size: int = 100) -> tuple[History, Profile]:
    profile: dict[str, Any] = {
        "target": {"late_effect": "4s"},
        "policy": {"concurrent_duplicate": "conflict" if conflict else "wait"},
        "control": {"pushes": "GET /pushes"},
    }
    return make_history(simulate(seed, defect, size=size, conflict=conflict), profile)


def violations(history: History, profile: Profile) -> dict[str, int]:
    """How often each rule was broken, without those that were not."""
    told = {rule: RULES[rule].check(history, profile) for rule in JUDGED}
    return {rule: finding.total or 0 for rule, finding in told.items() if finding.violations}


@pytest.mark.parametrize("conflict", [False, True])
def test_a_correct_target_is_never_blamed(conflict: bool) -> None:
    blamed = {seed: found for seed in range(CORRECT // 2) if (found := violations(*simulated(seed, "", conflict)))}
    assert blamed == {}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_caught_by_a_rule_that_names_it(defect: str) -> None:
    caught = any(DEFECTS[defect] & set(violations(*simulated(seed, defect))) for seed in range(SEEDS))
    assert caught, f"no rule of {DEFECTS[defect]} was broken in {SEEDS} histories"


@pytest.mark.parametrize("conflict", [False, True])
def test_the_rules_agree_with_a_slow_checker(conflict: bool) -> None:
    refs = [defect for defect in DEFECTS if "push-at-most-once" not in DEFECTS[defect]]
    for seed in range(2 * len(refs)):
        history, profile = simulated(seed, refs[seed % len(refs)], conflict, size=60)
        slow = Slow(history, profile)
        seen, broken = slow.repeats()
        expected = broken + slow.shared() + slow.refusals()
        found = violations(history, profile)
        assert {rule: found.get(rule, 0) for rule in (*REPEATS, *IDS)} == {
            rule: expected[rule] for rule in (*REPEATS, *IDS)
        }, f"seed {seed}"
        assert found.get("ref-not-spent-by-refusal", 0) == expected["ref-not-spent-by-refusal"], f"seed {seed}"
        refused = slow.refusals()
        for rule in ("idempotent-replay", "idempotent-after-unknown", "ref-retention"):
            assert RULES[rule].check(history, profile).examined == seen[rule] + refused[rule], f"seed {seed}"
