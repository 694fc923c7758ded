"""Simulated endpoints: correct ones are never blamed, whatever they declare; defective ones are found by name."""

import pytest

from harness.judge import verdict_on
from harness.rules import RULES
from tests.history_files import make_history
from tests.rules.simulated_lives import Run, Settings, settings_of

STATE_RULES = ("in-flight", "settled-token", "stepup-linearisable")
BY_DEFECT = {
    "settled-ignored": "settled-token",
    "settled-late": "settled-token",
    "settled-by-channel": "settled-token",
    "settled-for-person": "settled-token",
    "pending-race": "in-flight",
    "pending-by-channel": "in-flight",
    "pending-for-person": "in-flight",
    "pending-for-ever": "in-flight",
    "pending-refused": "in-flight",
    "random-refusal": "in-flight",
    "replay-limited": "stepup-linearisable",
    "limit-race": "stepup-linearisable",
}


def blamed(run: Run) -> set[str]:
    """The state rules that fail the run."""
    history, profile = make_history(run.play(), run.settings.profile, run.pool)
    verdicts = [verdict_on(RULES[rule], history, profile) for rule in STATE_RULES]
    assert not any("broke down" in verdict.message for verdict in verdicts), [one.message for one in verdicts]
    return {verdict.rule for verdict in verdicts if verdict.status == "fail"}


@pytest.mark.parametrize("part", range(2))
def test_a_correct_endpoint_is_never_blamed(part: int) -> None:
    # Each run has twelve tokens of eight persons, some seven hundred calls, and declares and does something else.
    for seed in range(part * 10, part * 10 + 10):
        assert blamed(Run(seed)) == set(), seed


@pytest.mark.parametrize("defect", BY_DEFECT)
def test_a_defective_endpoint_is_blamed_by_the_rule_it_breaks(defect: str) -> None:
    found = [blamed(Run(seed, defect, plain(defect))) for seed in range(3)]
    assert any(BY_DEFECT[defect] in rules for rules in found), found


def plain(defect: str) -> Settings:
    """Settings in which the defect can show."""
    import random

    settings = settings_of(random.Random(7))
    profile = {**settings.profile, "outcomes": {}, "target": {"exclusive": True, "late_effect": "40ms"}}
    profile["policy"] = {"in_flight": "allow"}
    profile.pop("limits", None)
    settings.rejects, settings.limit, settings.conflict, settings.used = False, 0, False, 0.0
    settings.late, settings.lasts = 40.0, float("inf")
    settings.settled_refused = {"accept": 1.0, "decline": 1.0}
    if defect.startswith("pending") and defect != "pending-refused":
        settings.rejects, settings.lasts = True, 120.0
        profile["policy"] = {"in_flight": "reject", "in_flight_for": "120ms"}
    if "limit" in defect:
        settings.limit, settings.window = 3, 150.0
        profile["limits"] = {"challenges": {"count": 3, "window": "150ms"}}
    settings.profile = profile
    return settings
