"""Who may ask: what the history around an answer says for or against it."""

from typing import Any

import pytest

from harness.judge import verdict_on, with_known_gaps
from harness.rules import RULES
from harness.verdict import Verdict
from tests.history_files import make_history

UNENROLLED = {"user": 12, "channel": "BIOMETRIC", "intent": "unregistered"}
STATE = {**UNENROLLED, "status": 409, "code": "STATE_INVALID", "t": [100, 110]}
REJECT = {"policy": {"in_flight": "reject"}}


def verdict(rule: str, rows: list[dict[str, Any]], profile: dict[str, Any] | None = None) -> Verdict:
    history, made = make_history(rows, profile)
    return verdict_on(RULES[rule], with_known_gaps(history), made)


@pytest.mark.parametrize(
    ("before", "profile", "status"),
    [
        ([], {}, "fail"),
        ([{"op": "accept", "user": 12, "t": [0, 5]}], {}, "pass"),
        ([{"op": "decline", "user": 12, "t": [0, 5]}], {}, "pass"),
        ([{"op": "accept", "user": 12, "t": [0, 5], "status": 0, "error": "reset"}], {}, "pass"),
        ([{"op": "accept", "user": 12, "t": [0, 5], "status": 404}], {}, "fail"),
        ([{"op": "accept", "user": 0, "t": [0, 5]}], {}, "fail"),
        ([{"op": "accept", "user": 12, "t": [105, 120]}], {}, "pass"),
        ([{"op": "accept", "user": 12, "t": [111, 120]}], {}, "fail"),
        ([{"user": 12, "t": [0, 5]}], {}, "fail"),
        ([{"user": 12, "t": [0, 5]}], REJECT, "pass"),
        ([{"user": 12, "t": [0, 5], "status": 0, "error": "timeout"}], REJECT, "pass"),
        ([{"user": 0, "t": [0, 5]}], REJECT, "fail"),
        ([{"user": 12, "t": [0, 5], "status": 429}], REJECT, "fail"),
    ],
)
def test_a_token_may_be_told_of_its_state_only_where_it_can_have_one(
    before: list[dict[str, Any]], profile: dict[str, Any], status: str
) -> None:
    assert verdict("channel-registered", [*before, STATE], profile).status == status


def test_of_many_told_of_a_state_only_those_without_one_count() -> None:
    rows = [{"op": "accept", "user": 12, "t": [0, 5]}]
    rows += [{**STATE, "t": [10 + n, 11 + n]} for n in range(4)]
    others = [{"token": "a", "api_key": "k", "channels": ["AUTHY"]} for _ in range(1)]
    pool = [{"token": f"t{n}", "api_key": "k", "channels": ["AUTHY"]} for n in range(13)] + [others[0]]
    rows += [{**STATE, "user": 13, "t": [20 + n, 21 + n]} for n in range(3)]
    history, profile = make_history(rows, {}, pool)
    told = verdict_on(RULES["channel-registered"], history, profile)
    assert (told.status, told.violations, told.examined) == ("fail", 3, 7)
    assert told.witness[0]["user"] == 13


FOREIGN = {"intent": "key-foreign", "user": 0, "key": 1}


@pytest.mark.parametrize(
    ("later", "status"),
    [([], "fail"), ([{"status": 401, "t": [20, 21]}], "not-exercised-or-pass"), ([{"t": [20, 21]}], "fail"),
     ([{"status": 401, "t": [20, 21]}, {"t": [30, 31]}], "fail")],
)  # fmt: skip
def test_a_foreign_key_with_a_token_that_may_have_expired_proves_nothing(
    later: list[dict[str, Any]], status: str
) -> None:
    told = verdict("tenant-isolation", [{"t": [0, 1]}, {**FOREIGN, "t": [10, 11], "status": 401}, *later])
    assert told.status in status.split("-or-") if status != "fail" else told.status == "fail"


def answers(group: dict[str, Any], bodies: list[str], start: int, **headers: str) -> list[dict[str, Any]]:
    named = {"content-type": "application/json", **headers}
    return [
        {"t": [start + n, start + n + 0.5], **group, "status": 401, "body": body, "headers": {**named, "date": str(n)}}
        for n, body in enumerate(bodies)
    ]


UNKNOWN = {"intent": "token-unknown", "user": -1}
LEFT = {"intent": "token-logged-out", "user": 10}
SAME = ["{}"] * 10


@pytest.mark.parametrize(
    ("one", "other", "status", "part"),
    [
        (answers(UNKNOWN, SAME, 0), answers(LEFT, SAME, 50), "pass", ""),
        (answers(UNKNOWN, SAME, 0), answers(LEFT, ["{ }"] * 10, 50), "fail", "bodies tell"),
        (answers(UNKNOWN, SAME, 0), answers(LEFT, SAME, 50, **{"x-reason": "gone"}), "fail", "headers tell"),
        (answers(UNKNOWN, SAME, 0), answers(LEFT, [*SAME[:9], "other"], 50), "pass", ""),
        (answers(UNKNOWN, SAME, 0), answers(LEFT, SAME[:2], 50), "not-exercised", ""),
        (answers(UNKNOWN, [f"at {n} ms, id {n:032x}" for n in range(9)], 0),
         answers(LEFT, [f"at {n * 7} ms, id {n * 3:032x}" for n in range(9)], 50), "pass", ""),
        (answers(UNKNOWN, ["a", "b", "c"], 0), answers(LEFT, ["d", "e", "f"], 50), "not-exercised", ""),
        (answers(UNKNOWN, ["a"] * 5 + ["b"] * 5, 0), answers(LEFT, ["c"] * 10, 50), "not-exercised", ""),
    ],
)  # fmt: skip
def test_refusals_differ_only_where_each_side_always_looks_its_own_way(
    one: list[dict[str, Any]], other: list[dict[str, Any]], status: str, part: str
) -> None:
    told = verdict("refusals-alike", [*one, *other])
    assert told.status == status
    assert told.message.startswith(part) or status != "fail"


def test_headers_that_cannot_be_read_are_the_same_everywhere() -> None:
    rows = [{**row, "headers": "{cut off"} for row in (*answers(UNKNOWN, SAME, 0), *answers(LEFT, SAME, 50))]
    assert verdict("refusals-alike", rows).status == "pass"
