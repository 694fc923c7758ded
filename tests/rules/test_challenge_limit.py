"""Challenge limit rules: what is one challenge, whose limit it uses up, and which rule a wrong refusal is laid to."""

from typing import Any, Final

import pytest

from harness.judge import verdict_on, with_known_gaps
from harness.rules import RULES
from harness.verdict import Verdict
from tests.history_files import make_history

Row = dict[str, Any]
WRONG_REFUSALS: Final = [name for name in RULES if name.startswith("challenge-limit") and not name.endswith("upper")]


def limits(target: dict[str, Any] | None = None, **limit: Any) -> dict[str, Any]:
    return {"limits": {"challenges": {"count": 3, "window": "10s", **limit}}, "target": target or {}}


def ok(at: float, **more: Any) -> Row:
    return {"t": [at, at + 1], **more}


def refused(at: float, **more: Any) -> Row:
    return {"t": [at, at + 1], "status": 409, "code": "CHALLENGE_LIMIT_EXCEEDED", **more}


def three(at: float, **more: Any) -> list[Row]:
    return [ok(at + 10 * n, **more) for n in range(3)]


def verdict(rule: str, rows: list[Row], settings: dict[str, Any], **more: Any) -> Verdict:
    history, profile = make_history(rows, settings, **more)
    return verdict_on(RULES[rule], with_known_gaps(history), profile)


def blamed(rows: list[Row], settings: dict[str, Any]) -> list[str]:
    return [name for name in WRONG_REFUSALS if verdict(name, rows, settings).status == "fail"]


UPPER: Final = "challenge-limit-upper"
LOWER: Final = "challenge-limit-lower"
BEGIN: Final = [ok(0, user=7)]


def test_calls_with_one_ref_are_one_challenge_and_without_a_ref_each_is_one() -> None:
    again = [ok(10 * n, ref="a", id="one") for n in range(9)]
    assert verdict(UPPER, again, limits()).status != "fail"
    assert verdict(UPPER, [ok(10 * n) for n in range(4)], limits()).status == "fail"


def test_two_ids_for_one_ref_are_two_challenges() -> None:
    rows = [ok(0, ref="a", id="one"), ok(10, ref="a", id="two"), ok(20), ok(30)]
    assert verdict(UPPER, rows, limits()).status == "fail"
    assert blamed([*BEGIN, *[{**row, "t": [11000 + row["t"][0], 11001 + row["t"][0]]} for row in rows[:3]],
                   refused(11100)], limits()) == []  # fmt: skip


def test_one_id_for_two_refs_is_one_challenge() -> None:
    rows = [ok(0, ref="a", id="one"), ok(10, ref="b", id="one"), ok(20), ok(30)]
    assert verdict(UPPER, rows, limits()).status != "fail"


def test_an_id_that_a_reset_did_not_forget_is_no_new_challenge() -> None:
    rows = [ok(0, ref="a", id="one"), {"t": [5, 6], "op": "reset"}, ok(10, ref="a", id="one"), *three(20)]
    assert verdict(UPPER, rows, limits()).status != "fail"
    assert verdict(UPPER, [*rows, ok(60)], limits()).status == "fail"


def test_tokens_of_one_person_share_the_limit_and_programmes_do_not() -> None:
    rows = [ok(0), ok(10, user=13), ok(20), ok(30, user=13)]
    assert verdict(UPPER, rows, limits()).status == "fail"
    apart = [ok(0), ok(10, user=8), ok(20), ok(30, user=9)]
    assert verdict(UPPER, apart, limits(scope="programme")).status != "fail"


def test_a_lost_request_may_have_used_up_a_challenge_until_its_retry_shows_which() -> None:
    lost = {"t": [11000, 11010], "status": 0, "ref": "a"}
    rows = [*BEGIN, lost, ok(11050), ok(11060), refused(11100)]
    assert blamed(rows, limits()) == []
    # Answered under its ref it was one, whichever of the two requests made it: the refusal is still right.
    assert blamed([*rows[:2], ok(11020, ref="a"), *rows[2:]], limits()) == []
    assert blamed([*rows[:2], ok(11020, ref="a"), rows[2], rows[4]], limits()) == [LOWER]


def test_a_lost_request_cannot_have_acted_after_its_late_effect() -> None:
    rows = [*BEGIN, {"t": [1000, 1010], "status": 0}, ok(25000), ok(25010), refused(25100)]
    assert blamed(rows, limits()) == []
    assert blamed(rows, limits({"late_effect": "1s"})) == [LOWER]


@pytest.mark.parametrize("time", [9990, 10001])
def test_a_refusal_about_a_window_after_a_challenge_is_not_decided(time: int) -> None:
    # The third may or may not have left the window when the refusal was decided.
    rows = [*BEGIN, ok(11000), ok(12000), ok(12010), refused(11000 + time)]
    assert blamed(rows, limits()) == []


def test_one_rule_is_blamed_for_a_wrong_refusal() -> None:
    # Another user's three show that the limit itself is as declared.
    replayed = [
        *BEGIN,
        *three(11000, user=1),
        ok(11100, ref="a", id="one"),
        ok(11110, ref="a", id="one"),
        ok(11120),
        refused(11130),
    ]
    assert blamed(replayed, limits()) == ["challenge-limit-replay-free"]
    stale = [*three(0), *three(11000, user=1), refused(11100)]
    assert blamed(stale, limits()) == ["challenge-limit-reset"]
    # Nobody ever got three: the limit is two, whatever else was sent meanwhile.
    low = [*BEGIN, ok(11000), ok(11010), ok(11020, user=1), ok(11030, user=1), refused(11100), refused(11110, user=1)]
    assert blamed(low, limits()) == [LOWER]


def test_a_refused_replay_is_not_laid_to_the_count_as_well() -> None:
    rows = [*BEGIN, ok(11000, ref="a"), refused(11100, ref="a")]
    assert blamed(rows, limits()) == ["challenge-limit-replay-free"]


def test_callers_without_a_right_to_be_served_are_not_judged() -> None:
    for broken in ({"user": 10}, {"user": 11}, {"user": 0, "key": 1}, {"intent": "token-twice"}):
        assert blamed([*BEGIN, refused(11000, **broken)], limits()) == [], broken


def test_no_failure_stands_where_a_part_is_missing() -> None:
    """From above neither: any of the four may be a replay of what was given before, and is not shown."""
    gap = ["w1.arrow ends early"]
    assert verdict(UPPER, [*three(0), ok(50)], limits()).status == "fail"
    assert verdict(UPPER, [*three(0), ok(50)], limits(), gaps=gap).status == "inconclusive"
    assert verdict(LOWER, [*BEGIN, ok(11000), refused(11100)], limits(), gaps=gap).status == "inconclusive"


def test_a_record_that_is_there_twice_counts_once() -> None:
    rows = [*three(0), {**ok(20), "seq": 2, "id": "challenge-2"}]
    assert verdict(UPPER, rows, limits()).status != "fail"


def test_two_resets_of_which_one_is_unknown_decide_by_the_one_that_succeeded() -> None:
    rows = [*three(0), {"t": [50, 60], "op": "reset"}, {"t": [70, 80], "op": "reset", "status": 0}, refused(100)]
    assert blamed(rows, limits()) == ["challenge-limit-reset"]
    # A reset that may not have happened explains nothing: what was used before the run is not known.
    assert blamed([*rows[:3], rows[4], rows[5]], limits()) == []


def test_the_bracket_is_told_where_the_refusals_do_not_decide() -> None:
    rows = [*BEGIN, *[{"t": [11000, 11300]} for _ in range(5)], refused(11100)]
    found = verdict(LOWER, rows, limits())
    assert (found.status, "up to 5" in found.message) == ("inconclusive", True)
