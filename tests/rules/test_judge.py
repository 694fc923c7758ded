"""From findings to verdicts and the exit code: what outweighs what, and what a check that breaks down costs."""

from dataclasses import replace
from typing import Any

import pytest

from harness.errors import ExitCode
from harness.judge import LARGEST_WITNESS, REQUIRED, exit_code, judge, verdict_on, with_known_gaps, witness_of
from harness.rules import RULES, Finding, Rule, Violation
from harness.verdict import Verdict, from_json, to_json
from tests.history_files import make_history, make_profile

ROWS = [{"t": [n, n + 1]} for n in range(3)]


def rule_that(finds: Finding, **changes: Any) -> Rule:
    made = replace(RULES["documented-status"], id="made-up", by_person=lambda history, profile: finds)
    return replace(made, **changes)


def verdict(finds: Finding, *, gaps: list[str] | None = None, **changes: Any) -> Verdict:
    history, profile = make_history(ROWS, gaps=gaps)
    return verdict_on(rule_that(finds, **changes), with_known_gaps(history), profile)


BROKEN = Finding(3, (Violation((1,), "it broke"),))


def test_nothing_examined_is_not_exercised_and_says_what_is_lacking() -> None:
    told = verdict(Finding(0, lacks="a user with one channel"))
    assert (told.status, told.examined, told.hint) == ("not-exercised", 0, "a user with one channel")


def test_occasions_without_a_violation_pass() -> None:
    told = verdict(Finding(2, note="2 users"))
    assert (told.status, told.message) == ("pass", "held on 2 occasions: 2 users")


def test_a_violation_fails_with_witness_advice_and_count() -> None:
    told = verdict(Finding(3, (Violation((1,), "it broke"),), total=5))
    assert (told.status, told.violations, told.examined) == ("fail", 5, 3)
    assert told.message == "it broke. 4 more such violations, of 3 occasions."
    assert told.hint == RULES["documented-status"].advice
    assert [row["row"] for row in told.witness] == [1]
    assert told.reproduce.startswith("stepup load")


def test_fewer_occasions_than_a_pass_needs_are_inconclusive() -> None:
    assert verdict(Finding(2), least=3).status == "inconclusive"
    assert verdict(Finding(3), least=3).status == "pass"


def test_a_shortfall_is_inconclusive_even_if_nothing_was_examined() -> None:
    assert verdict(Finding(0, shortfall="not kept")).message == "not kept"
    assert verdict(Finding(0, shortfall="not kept")).status == "inconclusive"
    assert verdict(Finding(5, shortfall="not kept")).status == "inconclusive"


def test_a_violation_outweighs_a_shortfall_and_too_few_occasions() -> None:
    assert verdict(replace(BROKEN, shortfall="some lost"), least=100).status == "fail"


@pytest.mark.parametrize(
    ("scope", "sound", "finds", "status"),
    [
        ("history", True, Finding(3), "inconclusive"),
        ("history", True, BROKEN, "fail"),
        ("history", False, BROKEN, "inconclusive"),
        ("history", False, Finding(0), "not-exercised"),
        ("exchange", False, Finding(3), "pass"),
        ("exchange", True, BROKEN, "fail"),
    ],
)
def test_a_gap_takes_the_pass_of_rules_over_the_history_and_what_it_could_explain(
    scope: str, sound: bool, finds: Finding, status: str
) -> None:
    told = verdict(finds, gaps=["load-w1 was lost"], scope=scope, sound_with_gaps=sound)
    assert told.status == status
    if scope == "history" and status == "inconclusive":
        assert "load-w1 was lost" in told.message
        assert told.reproduce == ""


def test_where_a_target_can_be_reset_an_unseen_reset_could_explain_what_only_the_history_shows() -> None:
    resettable = make_profile({"control": {"reset": "POST /reset"}})
    history, _ = make_history(ROWS, gaps=["load-w1 was lost"])
    told = [
        verdict_on(rule_that(BROKEN, scope=scope), with_known_gaps(history), resettable).status
        for scope in ("history", "exchange")
    ]
    assert told == ["inconclusive", "fail"]


def test_a_check_that_breaks_down_is_inconclusive_and_the_others_are_still_decided() -> None:
    def breaks(history: Any, profile: Any) -> Finding:
        raise ZeroDivisionError("by nothing")

    history, profile = make_history(ROWS)
    told = verdict_on(replace(rule_that(BROKEN), by_person=breaks), history, profile)
    assert told.status == "inconclusive"
    assert "ZeroDivisionError: by nothing (test_judge.py, line" in told.message
    assert "defect of the harness" in told.hint


def test_a_violation_of_rows_that_are_not_there_is_a_defect_and_no_verdict() -> None:
    assert verdict(Finding(1, (Violation((99,), "?"),))).status == "inconclusive"


def test_a_witness_is_in_order_of_sending_without_what_is_empty() -> None:
    history, _ = make_history([{"t": [5, 7.5], "ref": "b"}, {"t": [1, 2], "status": 409, "code": "STATE_INVALID"}])
    first, second = witness_of(history, Violation((1, 0), ""))
    assert (first["row"], first["sent_ms"], first["error_code"]) == (0, 0.0, "STATE_INVALID")
    assert (second["ref"], second["received_ms"], second["status"]) == ("b", 6.5, 200)
    assert not {"ref", "body", "headers", "retry_after", "error", "challenge_id"} & set(first)


def test_a_long_witness_shows_both_ends_and_says_what_it_hides() -> None:
    history, profile = make_history([{"t": [n, n + 1]} for n in range(200)])
    many = Finding(1, (Violation(tuple(range(150)), "too many"),))
    told = verdict_on(rule_that(many), history, profile)
    assert len(told.witness) == LARGEST_WITNESS
    assert (told.witness[0]["row"], told.witness[-1]["row"]) == (0, 149)
    assert told.message.endswith("The witness leaves out 90 exchanges in its middle.")


def test_verdicts_survive_their_file() -> None:
    import json

    history, profile = make_history([{"t": [0, 1], "status": 500, "ref": "😀 ü"}, *ROWS])
    verdicts = judge(history, profile, seed=3, command="stepup run")
    assert from_json(json.loads(json.dumps(to_json(verdicts)))) == verdicts
    assert [one.rule for one in verdicts] == list(RULES)


def test_an_empty_history_passes_nothing() -> None:
    history, profile = make_history([])
    assert {one.status for one in judge(history, profile)} <= {"not-exercised", "inconclusive"}
    assert exit_code(judge(history, profile)) == ExitCode.INCONCLUSIVE


def made(rule: str, status: Any, severity: Any = "must") -> Verdict:
    return Verdict(rule, severity, status, 1, "")


PASSED = [made(name, "pass") for name in REQUIRED]


@pytest.mark.parametrize(
    ("more", "required", "code"),
    [
        ([], REQUIRED, ExitCode.PASS),
        ([made("x", "fail")], REQUIRED, ExitCode.FAILED),
        ([made("x", "fail", "should")], REQUIRED, ExitCode.PASS),
        ([made("x", "inconclusive")], REQUIRED, ExitCode.PASS),
        ([made("x", "inconclusive")], [*REQUIRED, "x"], ExitCode.INCONCLUSIVE),
        ([made("x", "not-exercised")], [*REQUIRED, "x"], ExitCode.INCONCLUSIVE),
        ([made("x", "fail", "should")], [*REQUIRED, "x"], ExitCode.PASS),
        ([made("x", "fail")], [*REQUIRED, "unknown"], ExitCode.FAILED),
        ([], [*REQUIRED, "unknown"], ExitCode.INCONCLUSIVE),
    ],
)
def test_the_exit_code(more: list[Verdict], required: Any, code: ExitCode) -> None:
    assert exit_code([*PASSED, *more], required) == code


@pytest.mark.parametrize("name", REQUIRED)
def test_without_a_required_rule_there_is_no_pass(name: str) -> None:
    left = [one for one in PASSED if one.rule != name]
    assert exit_code([*left, made(name, "inconclusive")]) == ExitCode.INCONCLUSIVE
    assert exit_code(left) == ExitCode.INCONCLUSIVE
