"""What a single answer is held against: one rule for each way to be wrong, and none where nothing shows it."""

from typing import Any

import pytest

from harness.judge import judge
from harness.rules import RULES
from harness.rules.answers.kinds import kinds_of
from tests.history_files import make_history

SINGLE = [name for name, one in RULES.items() if one.scope == "exchange"]
FIELD = {"syntaxErrors": {"invalidFields": [{"fieldName": "channel", "error": "IN"}]}}
KEYLESS = {"intent": "key-missing", "key": -1}
STRANGER = {"user": -1, "intent": "token-unknown"}
UNENROLLED = {"user": 12, "channel": "BIOMETRIC"}
UNOFFERED = {"user": 14, "channel": "BIOMETRIC"}


def failed(*rows: dict[str, Any], **profile: Any) -> list[str]:
    """The rules over single exchanges that fail on a history."""
    history, made = make_history([{"t": [n * 10, n * 10 + 5], **row} for n, row in enumerate(rows)], profile)
    return [one.rule for one in judge(history, made) if one.status == "fail" and one.rule in SINGLE]


def code(name: str) -> dict[str, Any]:
    return {"status": 409, "code": name}


@pytest.mark.parametrize(
    ("row", "blamed"),
    [
        # A plain request of somebody who may: everything but 200 is wrong, unless limits or states may explain it.
        ({}, []),
        ({"status": 201}, ["documented-status"]),
        ({"status": 204}, ["documented-status"]),
        ({"status": 302}, ["documented-status"]),
        ({"status": 400, "body": FIELD}, ["documented-status"]),
        ({"status": 403}, ["documented-status"]),
        ({"status": 404}, ["documented-status"]),
        ({"status": 429}, []),
        ({"status": 500}, ["no-server-error"]),
        ({"status": 502, "body_fault": "html"}, ["no-server-error"]),
        ({"status": 503}, ["no-server-error"]),
        ({"status": 0, "error": "timeout"}, []),
        (code("CHALLENGE_LIMIT_EXCEEDED"), []),
        (code("STATE_INVALID"), []),
        (code("CHANNEL_NOT_REGISTERED"), ["channel-registered"]),
        (code("CHANNEL_NOT_SUPPORTED"), ["channel-supported"]),
        ({"status": 409, "body_fault": "no errorCode"}, ["documented-status", "response-schema"]),
        ({"body_fault": "bytes after the end of the answer"}, ["response-schema"]),
        # The pool says who may, whatever the intent says.
        ({"user": -1}, ["auth-required"]),
        ({"user": 99}, ["auth-required"]),
        ({"key": -1}, ["auth-required"]),
        ({"user": 10}, ["logged-out-refused"]),
        ({"user": 10, "status": 401}, []),
        ({"user": 11}, ["impersonator-refused"]),
        ({"user": 11, "status": 403}, []),
        ({"user": 0, "key": 1}, ["tenant-isolation"]),
        ({"user": 0, "key": 1, "status": 403}, []),
        (UNENROLLED, ["channel-registered"]),
        ({**UNENROLLED, **code("CHANNEL_NOT_REGISTERED")}, []),
        ({**UNENROLLED, "intent": "any"}, ["channel-registered"]),
        (UNOFFERED, ["channel-supported"]),
        ({**UNOFFERED, **code("CHANNEL_NOT_SUPPORTED")}, []),
        ({"user": 10, "intent": "unregistered", "channel": "AUTHY"}, ["logged-out-refused"]),
        ({"user": 10, "intent": "ref-odd", "ref": ""}, ["logged-out-refused"]),
        # Without good credentials nothing but their refusal.
        ({**STRANGER, "status": 401, "headers": [["www-authenticate", "Bearer"]]}, []),
        ({**STRANGER, "status": 401, "headers": []}, ["unauthorised-challenge"]),
        ({**STRANGER, "status": 403}, ["auth-required"]),
        ({**STRANGER, "status": 404}, ["auth-required"]),
        ({**STRANGER, "status": 400, "body": {"message": "no"}}, ["auth-required"]),
        ({**STRANGER, "status": 429}, []),
        ({**STRANGER, **code("STATE_INVALID")}, ["auth-first"]),
        ({**STRANGER, "channel": "SMS", "status": 400, "body": FIELD}, ["auth-first"]),
        ({**STRANGER, "status": 500}, ["no-server-error"]),
        ({"intent": "key-missing", "key": -1, "status": 400, "body": {"message": "no key"}}, []),
        ({"intent": "key-missing", "key": -1, "status": 400, "body": FIELD}, ["auth-first"]),
        ({"intent": "key-twice", "status": 200}, ["credentials-once"]),
        ({"intent": "key-twice", "status": 400, "body_fault": "html"}, ["response-schema"]),
        ({"intent": "token-twice", "status": 400, "body_fault": "html"}, []),
        ({**KEYLESS, "status": 400, "body_fault": "html", "allowed": "400,401,400:ANY_FORM"}, []),
        ({**KEYLESS, "status": 400, "body_fault": "html"}, ["response-schema"]),
        ({"intent": "key-foreign", "key": 1, "status": 401}, ["tenant-isolation"]),
        ({"intent": "token-scheme"}, ["auth-required"]),
        # Channels.
        ({"intent": "channel-unknown", "channel": "SMS", "status": 400, "body": FIELD}, []),
        ({"intent": "channel-unknown", "channel": "SMS", "status": 404}, ["channel-enum"]),
        ({"intent": "channel-unknown", "channel": "SMS", **code("CHANNEL_NOT_SUPPORTED")}, ["channel-enum"]),
        ({"intent": "any", "channel": "authy"}, ["channel-enum"]),
        ({"intent": "any", "channel": "authy", "status": 400}, []),
        ({"intent": "channel-slash", "channel": "AUTHY/"}, ["trailing-slash"]),
        ({"intent": "channel-slash", "channel": "AUTHY/", "status": 500}, ["no-server-error"]),
        ({"intent": "path-missed", "channel": "", "status": 500}, ["broken-http-refused"]),
        ({"intent": "path-missed", "channel": "AUTHY/x"}, ["channel-enum"]),
        ({"intent": "unregistered", **UNENROLLED, **code("CHANNEL_NOT_SUPPORTED")}, ["channel-registered"]),
        ({"intent": "unregistered", **UNENROLLED, **code("STATE_INVALID")}, ["channel-registered"]),
        ({"intent": "unregistered", **UNENROLLED, **code("CHALLENGE_LIMIT_EXCEEDED")}, []),
        ({"intent": "unregistered", **UNENROLLED, "status": 403}, ["channel-registered"]),
        # What history rules judge is left to them, and what they do not look at is not.
        ({"intent": "pending", **code("STATE_INVALID")}, []),
        ({"intent": "pending", "status": 404}, ["documented-status"]),
        ({"intent": "after-accept"}, []),
        ({"intent": "after-accept", **code("CHANNEL_NOT_REGISTERED")}, ["channel-registered"]),
        ({"intent": "after-decline", "status": 410}, ["documented-status"]),
        ({"intent": "limit-reached"}, []),
        # The rest of a request.
        ({"intent": "ref-odd", "ref": "", "status": 201}, ["documented-status"]),
        ({"intent": "ref-odd", "ref": "", "status": 400, "body": FIELD}, ["bad-request-names-field"]),
        ({"intent": "body-sent", "status": 413, "body_fault": "html"}, ["documented-status"]),
        ({"intent": "body-sent", "status": 415}, []),
        ({"intent": "accept-odd", "status": 406, "body_fault": "html"}, []),
        ({"intent": "accept-odd", "body_fault": "content type is 'text/html'"}, ["response-schema"]),
        ({"intent": "method-other", "method": "GET", "status": 405, "headers": {"Allow": "POST"}}, []),
        ({"intent": "method-other", "method": "GET", "status": 405, "headers": {}}, ["method-not-allowed"]),
        ({"intent": "method-other", "method": "PUT"}, ["method-not-allowed"]),
        ({"intent": "method-other", "method": "PUT", "user": 10}, ["method-not-allowed"]),
        ({"intent": "method-other", "method": "GET", "status": 501}, ["no-server-error"]),
        ({"intent": "method-unknown", "method": "BREW", "status": 501, "body_fault": "html"}, []),
        ({"intent": "method-unknown", "method": "TRACE", "status": 405, "body_fault": "html", "headers": {}}, []),
        ({"intent": "method-unknown", "method": "TRACE"}, ["method-not-allowed"]),
        ({"intent": "any", "status": 404, "body_fault": "html"}, ["documented-status"]),
        ({"intent": "any", "status": 409, "body_fault": "html"}, ["response-schema"]),
        ({"intent": "http-broken", "user": -1, "key": -1}, ["broken-http-refused"]),
        ({"intent": "http-legal", "status": 505, "body_fault": "html"}, []),
    ],
    ids=str,
)  # fmt: skip
def test_each_wrong_answer_is_held_against_the_rule_that_names_it(row: dict[str, Any], blamed: list[str]) -> None:
    assert failed(row) == blamed


def test_an_intent_of_another_version_is_judged_by_what_its_case_allows() -> None:
    history, profile = make_history([{"t": [0, 1], "status": 404}])
    history.frame["intent"] = history.frame["intent"].cat.rename_categories(["of-another-version"])
    assert [one.rule for one in judge(history, profile) if one.status == "fail"] == ["documented-status"]


def test_a_profile_that_declares_overload_makes_503_right_and_500_not() -> None:
    overload = {"outcomes": {"valid": ["200", "503"]}}
    assert failed({"status": 503}, {"intent": "ref-odd", "ref": "", "status": 503}, **overload) == []
    assert failed({"status": 500}, **overload) == ["no-server-error"]


def test_a_profile_says_what_its_deployment_answers() -> None:
    outcomes = {"outcomes": {"unregistered": ["404"], "token-unknown": ["403"]}}
    assert failed({**UNENROLLED, "status": 404}, {**STRANGER, "status": 403}, **outcomes) == []


def test_a_limit_by_user_shows_a_stranger_that_the_user_was_looked_up() -> None:
    row = {"intent": "key-unknown", "key": -1, "status": 429}
    for scope, blamed in (("user", ["auth-first"]), ("ip", []), ("global", []), ("api-key", [])):
        assert failed(row, limits={"rate": {"count": 5, "window": "1s", "scope": scope}}) == blamed


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        ([{}, {"status": 401}, {"status": 401}], "inconclusive"),
        ([{}, {"status": 401}, {}], "fail"),
        ([{}, {"status": 401}, {"status": 409, "code": "STATE_INVALID"}], "fail"),
        ([{}, {"status": 401}, {"user": 1}], "inconclusive"),
        ([{}, {"status": 401}, {"status": 429}], "inconclusive"),
        ([{}, {"status": 401}, {"status": 403}], "fail"),
        ([{"status": 401, "t": [0, 50]}, {"t": [40, 45]}], "inconclusive"),
        ([{"status": 401, "t": [0, 5]}, {"t": [6, 60]}, {"status": 401, "t": [70, 80]}], "fail"),
    ],
)
def test_a_token_may_expire_once_and_not_come_back(rows: list[dict[str, Any]], status: str) -> None:
    history, profile = make_history([{"t": [n * 10, n * 10 + 5], **row} for n, row in enumerate(rows)])
    verdict = judge(history, profile)[0]
    assert (verdict.rule, verdict.status) == ("documented-status", status)
    if status == "inconclusive":
        assert "1 active user of the pool (0) got 401" in verdict.message


def test_many_expired_tokens_are_one_sentence() -> None:
    rows = [{"t": [n, n + 1], "user": n % 8, "status": 200 if n < 8 else 401} for n in range(80)]
    history, profile = make_history(rows)
    assert "8 active users of the pool (0, 1, 2, 3, 4, …) got 401" in judge(history, profile)[0].message


def test_violations_are_told_one_of_each_kind_and_all_are_counted() -> None:
    rows: list[dict[str, Any]] = [{"t": [n, n + 1], "status": (403, 404, 410)[n % 3]} for n in range(300)]
    history, profile = make_history(rows)
    finding = RULES["documented-status"].check(history, profile)
    assert (finding.total, finding.examined, len(finding.violations)) == (300, 300, 3)
    assert [violation.rows for violation in finding.violations] == [(0,), (1,), (2,)]


def test_a_sentence_says_who_asked_what_came_and_what_would_have_been_right() -> None:
    history, profile = make_history([{"t": [0, 1], "user": 12, "channel": "BIOMETRIC", "intent": "unregistered"}])
    (violation,) = RULES["channel-registered"].check(history, profile).violations
    assert violation.message == (
        "the user is not enrolled on the channel (user 12, POST BIOMETRIC) was answered 200; "
        "allowed: 409 CHANNEL_NOT_REGISTERED"
    )


ODD_BODIES = [
    "{", "[]", "null", '"x"', '{"syntaxErrors": []}', '{"syntaxErrors": {"invalidFields": [1]}}', "[" * 5000,
    '{"syntaxErrors": {"invalidFields": {"fieldName": "channel"}}}',
]  # fmt: skip


@pytest.mark.parametrize("text", ODD_BODIES)
def test_bodies_of_any_form_are_read(text: str) -> None:
    rows = [{"t": [0, 1], "intent": "channel-unknown", "channel": "SMS", "status": 400, "body": text, "headers": text}]
    history, profile = make_history(rows)
    statuses = {one.rule: one.status for one in judge(history, profile)}
    readable = text not in ("{", "[" * 5000)
    assert statuses["bad-request-names-field"] == ("fail" if readable else "inconclusive")
    assert not [name for name in SINGLE if name not in statuses]


def test_no_check_breaks_down_on_a_history_of_anything() -> None:
    import random

    from tests.rules.test_kinds import random_row

    for seed in range(10):
        history, profile = make_history([random_row(random.Random(seed * 1000 + n), n) for n in range(200)])
        for name in SINGLE:
            RULES[name].check(history, profile)
        assert kinds_of(history, profile).count.sum() == len(kinds_of(history, profile).rows)


@pytest.mark.parametrize("intent", ["valid", "unregistered"])
def test_a_channel_on_which_nobody_of_the_programme_is_enrolled_may_not_be_offered(intent: str) -> None:
    """A pool has the users' enrolments; that a programme lacks a channel it may say, and mostly does not."""
    alone = [{"token": "token-0", "api_key": "key-a", "channels": ["AUTHY"]}]
    among = [*alone, {"token": "token-1", "api_key": "key-a", "channels": ["BIOMETRIC"]}]
    told = {"t": [0, 5], "channel": "BIOMETRIC", "intent": intent, **code("CHANNEL_NOT_SUPPORTED")}
    for pool, red in ((alone, []), (among, ["channel-registered"])):
        history, profile = make_history([told], pool=pool)
        assert [one.rule for one in judge(history, profile) if one.status == "fail"] == red
    history, profile = make_history([{**told, "status": 200, "code": ""}], pool=alone)
    assert "channel-registered" in [one.rule for one in judge(history, profile) if one.status == "fail"]


def test_a_settled_token_may_be_named_beside_an_odd_ref() -> None:
    odd = {"intent": "ref-odd", "ref": "r" * 300, "status": 400, "body": FIELD}  # names the channel
    alone = {"after-accept": ["400"]}
    for allowed, outcomes in (("200,400", alone), ("400", alone), ("400", {})):
        assert "bad-request-names-field" not in failed({**odd, "allowed": allowed}, outcomes=outcomes), (
            allowed,
            outcomes,
        )
    assert "bad-request-names-field" in failed({**odd, "allowed": "200,400"})
