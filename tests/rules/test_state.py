"""What in-flight and settled-token say where policies, tokens of one person, races, resets and lost calls meet."""

from typing import Any

import numpy as np
import pytest

from harness.judge import verdict_on
from harness.rules import RULES
from harness.rules.reading.timeline import Timeline
from harness.verdict import Verdict
from tests.history_files import make_history

Row = dict[str, Any]
STATE: Row = {"status": 409, "code": "STATE_INVALID"}
SETTLES: Row = {"control": {"accept": "POST /a/{challenge_id}", "decline": "POST /d/{challenge_id}"}}
REJECT: Row = {"policy": {"in_flight": "reject", "in_flight_for": "1s"}, **SETTLES}


def judged(rule: str, rows: list[Row], profile: Row | None = None, gaps: list[str] | None = None) -> Verdict:
    history, made = make_history(rows, profile, gaps=gaps)
    return verdict_on(RULES[rule], history, made)


def accept(sent: float, received: float, challenge: str, user: int = 0, **more: Any) -> Row:
    return {"t": [sent, received], "op": "accept", "user": user, "id": challenge, **more}


def test_a_profile_may_allow_both_answers_while_one_is_pending() -> None:
    rows: list[Row] = [{"t": [0, 10], "id": "a"}, {"t": [20, 30], **STATE}, {"t": [40, 50], "id": "b"}]
    rows += [{"t": [60, 70], "id": "c"}, {"t": [80, 90], **STATE}]
    assert judged("in-flight", rows).status == "fail"
    assert judged("in-flight", rows, REJECT).status == "fail"
    either = {"outcomes": {"pending": ["200", "409:STATE_INVALID"]}}
    assert judged("in-flight", rows, either).status == "pass"


def test_a_pending_challenge_of_another_token_is_no_reason_to_refuse() -> None:
    rows: list[Row] = [{"t": [0, 10], "id": "a"}, {"t": [1500, 1510], "user": 13, "id": "b"}]
    rows += [{"t": [1600, 1610], **STATE}]
    verdict = judged("in-flight", rows, REJECT)
    assert verdict.status == "fail"
    assert [row["row"] for row in verdict.witness] == [0, 2]


def test_close_to_the_expiry_either_answer_is_right() -> None:
    def second(at: float, **more: Any) -> str:
        rows: list[Row] = [{"t": [0, 10], "id": "a"}, {"t": [5, 8], **STATE}, {"t": [at, at + 5], **more}]
        return judged("in-flight", rows, REJECT).status

    assert second(980, id="b") == "fail"
    assert second(996, id="b") != "fail"
    assert second(1009, **STATE) != "fail"
    assert second(1013, **STATE) == "fail"


def test_a_challenge_from_before_the_run_may_be_pending_until_it_expires() -> None:
    served = {"t": [3000, 3010], "id": "a"}
    assert judged("in-flight", [{"t": [0, 10], **STATE}, served], REJECT).status != "fail"
    assert (
        judged("in-flight", [{"t": [0, 10], "user": 1}, {"t": [1500, 1510], **STATE}, served], REJECT).status == "fail"
    )


def test_a_challenge_settled_where_that_leaves_the_token_free_is_no_longer_pending() -> None:
    free = {**REJECT, "policy": {"in_flight": "reject"}, "outcomes": {"after-accept": ["200"]}}
    rows: list[Row] = [{"t": [0, 10], "id": "a"}, accept(20, 30, "a")]
    assert judged("in-flight", [*rows, {"t": [40, 50], "id": "b"}], free).status != "fail"
    assert judged("in-flight", [*rows, {"t": [25, 35], **STATE}], free).status != "fail"
    assert judged("settled-token", [*rows, {"t": [40, 50], **STATE}], free).status == "fail"


def test_a_duplicate_refused_while_the_first_is_worked_on_is_right_where_declared() -> None:
    rows: list[Row] = [{"t": [-90, -80], "id": "z"}, {"t": [0, 50], "ref": "r", "id": "a"}]
    rows += [{"t": [10, 20], "ref": "r", **STATE}]
    assert judged("in-flight", rows).status == "fail"
    assert judged("in-flight", rows, {"policy": {"concurrent_duplicate": "conflict"}}).status != "fail"
    later = [*rows[:2], {"t": [60, 70], "ref": "r", **STATE}]
    assert judged("in-flight", later, {"policy": {"concurrent_duplicate": "conflict"}}).status == "fail"


@pytest.mark.parametrize("lost", [{"status": 0}, {"status": 503}])
def test_a_settle_of_unknown_outcome_explains_refusals_but_demands_none(lost: Row) -> None:
    rows: list[Row] = [{"t": [0, 10], "id": "a"}, accept(20, 30, "a", **lost)]
    either = [{"t": [40, 50], "id": "b"}, {"t": [60, 70], **STATE}]
    assert judged("in-flight", rows + either, SETTLES).status != "fail"
    assert judged("settled-token", rows + either, SETTLES).status != "fail"


def test_an_accept_by_the_token_that_was_given_a_replay_settles_whichever_asked_first() -> None:
    rows: list[Row] = [{"t": [0, 10], "ref": "r", "status": 0}, {"t": [20, 30], "user": 13, "ref": "r", "id": "a"}]
    rows += [{"t": [20, 30], "id": "c"}, accept(40, 50, "a", user=13), {"t": [60, 70], "user": 13, "id": "b"}]
    assert judged("settled-token", rows, SETTLES).status != "fail"
    assert judged("in-flight", [*rows, {"t": [80, 90], **STATE}], SETTLES).status != "fail"


def test_an_accept_of_a_challenge_that_may_have_expired_binds_nobody() -> None:
    expires = {**SETTLES, "policy": {"in_flight_for": "1s"}}
    late: list[Row] = [{"t": [0, 10], "id": "a"}, accept(995, 1002, "a"), {"t": [1100, 1110], "id": "b"}]
    assert judged("settled-token", late, expires).status != "fail"
    soon: list[Row] = [{"t": [0, 10], "id": "a"}, accept(950, 960, "a"), {"t": [1100, 1110], "id": "b"}]
    assert judged("settled-token", soon, expires).status == "fail"


def test_an_accept_of_nobody_knows_whose_challenge_may_explain_any_refusal() -> None:
    rows: list[Row] = [{"t": [0, 10], "id": "a"}, accept(20, 30, "unseen", user=-1), {"t": [40, 50], **STATE}]
    assert judged("in-flight", rows, SETTLES).status != "fail"
    assert judged("in-flight", rows[::2], SETTLES).status == "fail"


def test_fuzzed_and_odd_requests_are_held_against_nobody() -> None:
    rows: list[Row] = [{"t": [0, 10], "id": "a"}, accept(20, 30, "a")]
    odd: list[Row] = [
        {"t": [40, 50], "intent": "any", "id": "b"},
        {"t": [40, 50], "intent": "ref-odd", "ref": "", "status": 400},
        {"t": [40, 50], "key": 1, "id": "c"},
        {"t": [40, 50], "user": 12, "channel": "BIOMETRIC", **STATE},
        {"t": [40, 50], "user": 10, "id": "d"},
        {"t": [40, 50], "user": -1, "id": "e"},
    ]
    for rule in ("in-flight", "settled-token", "stepup-linearisable"):
        assert judged(rule, rows + odd, SETTLES).status != "fail", rule


def test_a_gap_takes_back_what_a_lost_record_could_explain_and_nothing_else() -> None:
    gap = ["load-w1.arrow ends early"]
    refused: list[Row] = [{"t": [0, 10], "id": "a"}, {"t": [20, 30], **STATE}]
    assert judged("in-flight", refused, gaps=gap).status != "fail"
    twice: list[Row] = [{"t": [0, 10], "id": "a"}, {"t": [5, 15], "id": "b"}]
    assert judged("in-flight", twice, REJECT, gaps=gap).status == "fail"


def test_violations_come_earliest_first_and_are_all_counted() -> None:
    rows: list[Row] = []
    for user in range(8):
        rows += [{"t": [10 * user, 10 * user + 5], "user": user, "id": f"a{user}"}]
        rows += [{"t": [500 - 10 * user, 505 - 10 * user], "user": user, **STATE}]
    history, profile = make_history(rows)
    finding = RULES["in-flight"].check(history, profile)
    assert finding.total == len(finding.violations) == 8
    assert finding.violations[0].message.startswith("user 7 ")


def test_an_empty_history_is_judged() -> None:
    for rule in ("in-flight", "settled-token", "stepup-linearisable"):
        assert judged(rule, []).status == "not-exercised"


def test_look_ups_agree_with_looking_through_all_moments() -> None:
    rng = np.random.default_rng(5)
    who, when, values = (rng.integers(0, top, 300) for top in (6, 40, 90))
    asked, at = rng.integers(-1, 7, 200), rng.integers(-2, 43, 200)
    timeline = Timeline(who, when)
    for n in range(200):
        mine = [m for m in range(300) if who[m] == asked[n]]
        last = timeline.last(asked, at)[n]
        before = [when[m] for m in mine if when[m] < at[n]]
        assert (when[last] if last >= 0 else None) == (max(before) if before else None)
        until = timeline.last_until(asked, at)[n]
        up_to = [m for m in mine if when[m] <= at[n]]
        assert (when[until] if until >= 0 else None) == max((when[m] for m in up_to), default=None)
        first = timeline.first(asked, at)[n]
        after = [when[m] for m in mine if when[m] > at[n]]
        assert (when[first] if first >= 0 else None) == (min(after) if after else None)
        assert timeline.most_until(values, asked, at)[n] == max((values[m] for m in up_to), default=-1)
