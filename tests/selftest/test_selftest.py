"""The selftest: what it tries, and what it makes of a trial; the trials here are short, and real."""

from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import pytest

from harness.errors import ExitCode
from harness.reference.faults import FAULTS
from harness.reference.settings import Settings, with_policies
from harness.rules import RULES
from harness.selftest.attempt import outcome_of
from harness.selftest.policies import APART, KINDS, policies
from harness.selftest.processes import run_trials
from harness.selftest.trials import Attempt, Outcome, Score, Trial, fault_trials, of_families, one_a_family

SOON = ("late_effect=0.1",)  # nothing to wait for at the end of a run
ONE_TEST = Attempt("one test", ("conformance",), extra=("-k", "test_one and channel-unknown"))


@dataclass
class Asked:
    count: int = 0

    @property
    def asked(self) -> bool:
        return self.count > 0


def made(out: Path, *todo: Trial, asked: int = 0) -> list[Outcome]:
    """The outcomes of trials, made two at a time, by name."""
    score = run_trials(list(todo), out, 2, Asked(asked), lambda _: None)
    return sorted(score.outcomes, key=lambda outcome: outcome.trial.name)


@pytest.mark.parametrize("seed", range(3))
def test_every_two_settings_of_different_kinds_meet_in_a_policy(seed: int) -> None:
    tried = policies(seed)
    together = [set(name.split("+")) for name in tried]
    names = [set(options) - {""} for options in KINDS]
    for some, others in combinations(names, 2):
        for pair in ({one, two} for one in some for two in others):
            assert pair in APART or any(pair <= policy for policy in together), pair
    assert tried["default"] == ()
    for settings in tried.values():
        with_policies(Settings(), settings)


def test_every_fault_is_tried_alone_first_and_with_everything_before_it_counts_as_missed() -> None:
    for trial in fault_trials(list(FAULTS), "quick", 1):
        names = [attempt.name for attempt in trial.attempts]
        assert names[0] == "conformance, the short tests" or names[0].startswith("load --scenario"), trial.name
        assert {"load quick", "conformance"} < set(names), trial.name
        assert set(trial.rules) <= set(RULES), trial.name


@pytest.mark.parametrize("stage", ["conformance", "load"])
def test_by_one_stage_alone_every_attempt_is_of_that_stage(stage: str) -> None:
    alone = fault_trials(list(FAULTS), "quick", 1, stage)
    assert {attempt.stages for trial in alone for attempt in trial.attempts} == {(stage,)}


def test_the_faults_of_a_family_are_those_that_one_of_its_rules_tells() -> None:
    assert "channel-any-case" in of_families(("who may",))
    assert {RULES[FAULTS[name].rules[0]].family for name in of_families(("state", "responses"))} == {
        "state", "responses",
    }  # fmt: skip
    assert of_families(()) == list(FAULTS)


def test_a_quick_selftest_touches_every_family() -> None:
    families = {RULES[FAULTS[name].rules[0]].family for name in one_a_family()}
    assert families == {rule.family for rule in RULES.values() if rule.family != "run"}


PLANTED = Trial("channel-sms-served", "fault", 1, (ONE_TEST,), SOON, ("channel-enum",))
CORRECT = Trial("default", "correct", 1, (ONE_TEST,), SOON)


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Outcome]]:
    """The folder and the outcomes of a trial with a fault and of one without."""
    folder = tmp_path_factory.mktemp("selftest")
    return folder, made(folder, PLANTED, CORRECT)


def test_a_planted_fault_is_caught_and_a_correct_service_is_not_blamed(tried: tuple[Path, list[Outcome]]) -> None:
    caught, quiet = tried[1]
    assert (caught.result, caught.by, caught.attempt) == ("caught", ("channel-enum",), "one test")
    assert caught.exchange is not None
    assert caught.at_s is not None
    assert (quiet.result, quiet.failed) == ("quiet", ())
    assert quiet.examined > 0


def test_a_fault_that_only_other_rules_tell_is_missed_and_a_red_rule_of_a_correct_service_is_an_alarm(
    tried: tuple[Path, list[Outcome]],
) -> None:
    folder = tried[0] / "fault-channel-sms-served-1-1"
    missed = outcome_of(replace(PLANTED, rules=("settled-token",)), ONE_TEST, folder, 1.0)
    assert (missed.result, missed.failed) == ("missed", ("channel-enum",))
    assert missed.note == "settled-token not-exercised"
    alarm = outcome_of(CORRECT, ONE_TEST, folder, 1.0)
    assert (alarm.result, alarm.failed) == ("false alarm", ("channel-enum",))
    assert "SMS" in alarm.note


def test_a_trial_that_breaks_down_is_told_and_costs_no_other(tmp_path: Path) -> None:
    (broken,) = made(tmp_path, Trial("no-such-fault", "fault", 1, (ONE_TEST,), (), ("channel-enum",)))
    assert broken.result == "broken"
    assert "no-such-fault" in broken.note
    assert Score([broken]).code == ExitCode.INCONCLUSIVE


def test_an_interrupted_selftest_begins_nothing(tmp_path: Path) -> None:
    assert made(tmp_path, Trial("default", "correct", 1, (ONE_TEST,)), asked=1) == []


def test_the_score_decides_the_exit_code() -> None:
    trial = Trial("x", "correct", 1, ())
    results = {"quiet": ExitCode.PASS, "missed": ExitCode.FAILED, "false alarm": ExitCode.FAILED}
    assert Score().code == ExitCode.INCONCLUSIVE
    for result, code in results.items():
        assert Score([Outcome(trial, "quiet"), Outcome(trial, result)]).code == code  # type: ignore[arg-type]
