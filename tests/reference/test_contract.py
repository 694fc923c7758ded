"""The service answers each kind of request as the contract says, and tells nothing to those without credentials."""

import re
from typing import Any

import pytest

from tests.reference.client import OPERATION, Answer
from tests.reference.conftest import MakeDesk
from tests.reference.desk import Desk

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
UNAUTHORISED = (401, {"code": "UNAUTHORISED", "message": "valid credentials are needed"})
FORBIDDEN = (403, {"code": "FORBIDDEN", "message": "these credentials may not do this"})


def said(answer: Answer) -> tuple[int, Any]:
    return answer.status, answer.body


def invalid(field: str, error: str, params: list[Any]) -> tuple[int, Any]:
    fields = [{"fieldName": field, "error": error, "params": params}]
    return 400, {"message": f"not valid: {field}", "syntaxErrors": {"invalidFields": fields}}


@pytest.fixture
def here(desk: MakeDesk) -> Desk:
    return desk(rate_count=None, challenge_count=None)


def test_a_challenge_has_an_id_that_nobody_can_guess(here: Desk) -> None:
    ids = {here.client.push(user, channel).id for user in here.users.both[:5] for channel in user["channels"]}
    assert len(ids) == 10
    assert all(UUID.fullmatch(one) for one in ids)


def test_the_same_ref_is_the_same_challenge_for_the_same_person_and_channel_only(here: Desk) -> None:
    one, again = here.users.twice()
    other = next(user for user in here.users.both if user["user"] != one["user"])
    first = here.client.push(one, "AUTHY", "ref").id
    assert here.client.push(one, "AUTHY", "ref").id == first
    assert here.client.push(again, "AUTHY", "ref").id == first
    others = [
        here.client.push(one, "BIOMETRIC", "ref").id, here.client.push(other, "AUTHY", "ref").id,
        here.client.push(one, "AUTHY", "Ref").id, here.client.push(one, "AUTHY", "re").id,
        here.client.push(one, "AUTHY").id, here.client.push(one, "AUTHY").id,
    ]  # fmt: skip
    assert len({first, *others}) == 7
    assert here.client.pushes() == 7


def test_refs_are_remembered_for_their_time_and_not_longer(here: Desk) -> None:
    user = here.users.both[0]
    first = here.client.push(user, "AUTHY", "ref").id
    here.put_forward(25 * 3600)
    assert here.client.push(user, "AUTHY", "ref").id == first
    here.put_forward(0.000001)
    assert here.client.push(user, "AUTHY", "ref").id != first


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"api_key": "-"}, UNAUTHORISED), ({"api_key": ""}, UNAUTHORISED), ({"api_key": "key-none"}, UNAUTHORISED),
        ({"authorization": "-"}, UNAUTHORISED), ({"authorization": ""}, UNAUTHORISED),
        ({"authorization": "Bearer"}, UNAUTHORISED), ({"authorization": "Bearer token-none"}, UNAUTHORISED),
        ({"authorization": "Basic {token}"}, UNAUTHORISED), ({"authorization": "{token}"}, UNAUTHORISED),
        ({"authorization": "Bearer {token}x"}, UNAUTHORISED), ({"authorization": "Bearer {token:.20}"}, UNAUTHORISED),
    ],
)  # fmt: skip
def test_without_valid_credentials_nothing_else_is_told(here: Desk, changed: dict[str, str], expected: object) -> None:
    user = here.users.both[0]
    headers = {name: value.format(token=user["token"]) for name, value in changed.items()}
    for channel in ("AUTHY", "SMS"):
        answer = here.client.push(user, channel, "", **headers)
        assert said(answer) == expected
        assert answer.headers["www-authenticate"] == 'Bearer realm="stepup"'
    assert here.client.pushes() == 0


def test_a_scheme_is_written_in_any_case(here: Desk) -> None:
    user = here.users.both[0]
    assert here.client.push(user, authorization=f"bEARER {user['token']}").status == 200


def test_who_is_known_but_may_not_is_forbidden(here: Desk) -> None:
    user = here.users.both[0]
    other = next(row for row in here.users.both if row["programme"] != user["programme"])
    assert said(here.client.push(user, "SMS", api_key=other["api_key"])) == FORBIDDEN
    assert said(here.client.push(here.users.one(state="impersonator"), "SMS")) == FORBIDDEN
    assert said(here.client.push(here.users.one(state="logged_out"), "SMS")) == UNAUTHORISED


def test_each_reason_for_a_conflict_has_its_code(here: Desk) -> None:
    unsupported = here.users.one(unsupported=["BIOMETRIC"], state="active")
    assert here.client.push(unsupported, "BIOMETRIC").code == "CHANNEL_NOT_SUPPORTED"
    unregistered = next(row for row in here.users.active if row["channels"] == ["AUTHY"])
    assert here.client.push(unregistered, "BIOMETRIC").code == "CHANNEL_NOT_REGISTERED"
    assert here.client.push(next(row for row in here.users.active if row["channels"] == ["BIOMETRIC"])).code == (
        "CHANNEL_NOT_REGISTERED"
    )


@pytest.mark.parametrize(
    "channel", ["SMS", "authy", "AUTHY%20", "%20AUTHY", "AUTHY.json", "AUTHY;a", "%ff", "AUTHY%2F"]
)
def test_a_channel_outside_the_enum_is_named(here: Desk, channel: str) -> None:
    expected = invalid("channel", "IN", ["AUTHY", "BIOMETRIC"])
    assert said(here.client.push(here.users.both[0], channel)) == expected


def test_an_encoded_letter_is_the_same_letter(here: Desk) -> None:
    user = here.users.both[0]
    assert here.client.push(user, "%41UTHY", "ref").id == here.client.push(user, "AUTHY", "ref").id


@pytest.mark.parametrize("path", ["", "AUTHY/", "AUTHY/x", "/AUTHY"])
def test_a_path_that_misses_the_operation_is_not_found(here: Desk, path: str) -> None:
    assert said(here.client.push(here.users.both[0], path)) == (
        404, {"code": "NOT_FOUND", "message": "no such resource"}
    )  # fmt: skip


def test_a_ref_is_empty_or_too_long_by_name(here: Desk) -> None:
    user = here.users.both[0]
    assert said(here.client.push(user, "AUTHY", "")) == invalid("idempotency-ref", "HAS_TEXT", [])
    assert said(here.client.push(user, "AUTHY", "x" * 256)) == invalid("idempotency-ref", "SIZE", [1, 255])
    assert here.client.push(user, "AUTHY", "x" * 255).status == 200
    assert here.client.push(user, "AUTHY", "é\xff").id == here.client.push(user, "AUTHY", "é\xff").id


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUERY", "FROB"])
def test_every_other_method_is_not_allowed(here: Desk, method: str) -> None:
    answer = here.client.send(method, f"{OPERATION}AUTHY", {})
    assert (answer.status, answer.headers["allow"], set(answer.body)) == (405, "POST", {"code", "message"})


def test_a_settled_token_gets_nothing_more_but_replays(here: Desk) -> None:
    for verb, (one, again) in zip(("accept", "decline"), ((here.users.twice(), here.users.both[1:3])), strict=True):
        first = here.client.push(one, "AUTHY", "ref").id
        second = here.client.push(one, "AUTHY", "other").id
        assert here.client.settle(first, verb).status == 200
        assert here.client.settle(first, verb).status == 200
        assert here.client.settle(first, {"accept": "decline", "decline": "accept"}[verb]).status == 409
        assert here.client.settle(second, verb).status == 409
        assert here.client.push(one, "BIOMETRIC").code == "STATE_INVALID"
        assert here.client.push(one, "AUTHY", "ref").id == first
        assert here.client.push(again).status == 200


def test_the_simulator_knows_its_challenges_only(here: Desk) -> None:
    for call in ("POST /simulate/challenges/none/accept", "POST /simulate/nothing", "POST /simulate/challenges/a/eat"):
        assert here.client.control(call).status == 404
    assert here.client.control("GET /simulate/reset").status == 405


def test_below_a_prefix_it_is_the_same_and_elsewhere_not_there(desk: MakeDesk) -> None:
    here = desk(prefix="/multi")
    user = here.users.both[0]
    assert here.client.push(user).status == 200
    assert here.client.send("POST", f"{OPERATION}AUTHY", {}).status == 404
    assert here.client.pushes() == 1
