"""Looks at credentials, states, forms and paths: what a service answers to each kind of request."""

from typing import Any

from tests.reference.client import OPERATION
from tests.reference.looking import OPEN, Make, at_once, code_of, codes, raw


def pending_at_once(make: Make) -> Any:
    here = make(**OPEN, in_flight="reject", in_flight_for=3.0)
    return [answer.status for answer in at_once(here, 8, lambda client, _: client.push(here.users.both[0]))].count(200)


def all_at_once(make: Make) -> Any:
    here = make(**OPEN)
    users = here.users.both
    return {answer.status for answer in at_once(here, 16, lambda client, number: client.push(users[number]))}


def effects_of_no_credentials(make: Make) -> Any:
    here = make(rate_count=2, challenge_count=None)
    user = here.users.both[0]
    codes(here, user, 4, api_key="none")
    return codes(here, user, 2), here.client.pushes()


def statuses_of_many(make: Make) -> Any:
    here = make(**OPEN)
    return set(codes(here, here.users.both[0], 150))


def settled(make: Make) -> Any:
    """What a token gets once it is settled, on either channel, and what another login of its owner gets."""
    told = []
    for verb in ("accept", "decline"):
        here = make(**OPEN)
        one, again = here.users.twice()
        assert here.client.settle(here.client.push(one).id, verb).status == 200
        told += codes(here, one, 1) + codes(here, one, 1, channel="BIOMETRIC") + codes(here, again, 1)
    return told


def settled_where_asked(make: Make) -> Any:
    """What two logins of a person get once the challenge of the one that asked first is settled."""
    here = make(**OPEN)
    one, again = here.users.twice()
    first = here.client.push(one).id
    here.put_forward(0.1)
    here.client.push(again)
    assert here.client.settle(first, "accept").status == 200
    return codes(here, one, 1) + codes(here, again, 1)


def pending_of_two_logins(make: Make) -> Any:
    """What two logins of a person get where each may have one challenge pending."""
    here = make(**OPEN, in_flight="reject", in_flight_for=3.0)
    one, again = here.users.twice()
    return codes(here, one, 1) + codes(here, again, 1)


def pending(make: Make) -> Any:
    """Where one challenge may be pending: another, on the other channel, of another user, and as time goes by."""
    here = make(**OPEN, in_flight="reject", in_flight_for=3.0)
    user = here.users.both[0]
    other = next(row for row in here.users.both[1:] if row["programme"] == user["programme"])
    told = codes(here, user, 2) + codes(here, user, 1, channel="BIOMETRIC") + codes(here, other, 1)
    for later in (1.5, 1.6):
        here.put_forward(later)
        told += codes(here, user, 1)
    return told


def credentials(make: Make) -> Any:
    """Status for each way in which credentials may be wrong, on a channel that is right, wrong and not enrolled."""
    here = make(**OPEN)
    user = next(row for row in here.users.active if row["channels"] == ["AUTHY"])
    token, key = user["token"], user["api_key"]
    other = next(row for row in here.users.both if row["programme"] != user["programme"])
    wrong = {
        "no key": {"api_key": "-"}, "empty key": {"api_key": ""}, "unknown key": {"api_key": f"{key}x"},
        "foreign key": {"api_key": other["api_key"]}, "no token": {"authorization": "-"},
        "unknown token": {"authorization": "Bearer nobody"}, "scheme": {"authorization": f"Basic {token}"},
        "prefix": {"authorization": f"Bearer {token[:-2]}"}, "extension": {"authorization": f"Bearer {token}x"},
    }  # fmt: skip
    told = {
        name: [here.client.push(user, channel, **how).status for channel in ("AUTHY", "SMS", "BIOMETRIC")]
        for name, how in wrong.items()
    }
    for state in ("logged_out", "impersonator"):
        told[state] = [here.client.push(here.users.one(state=state)).status]
    both = [("authorization", f"Bearer {token}"), ("api-key", key), ("api-key", f"{key}x"), ("host", "x")]
    told["two keys"] = [raw(here, both)]
    return told, here.client.pushes()


def refusals(make: Make) -> Any:
    """Whether the answers to an unknown token and to one that was logged out differ in anything."""
    here = make(**OPEN)
    gone = here.users.one(state="logged_out")
    answers = [here.client.push(gone), here.client.push(gone, authorization="Bearer nobody")]
    return answers[0].body == answers[1].body


def forms(make: Make) -> Any:
    """The whole of each refusal."""
    here = make(**OPEN)
    user = next(row for row in here.users.active if row["channels"] == ["AUTHY"])
    nobody = here.client.push(user, api_key="none")
    unsupported = here.client.push(here.users.one(unsupported=["BIOMETRIC"], state="active"), "BIOMETRIC")
    wrong = here.client.push(user, "SMS")
    method = here.client.send("DELETE", f"{OPERATION}AUTHY", {})
    return [
        (nobody.status, "www-authenticate" in nobody.headers), (unsupported.status, unsupported.body),
        code_of(here.client.push(user, "BIOMETRIC")), (wrong.status, wrong.body.get("syntaxErrors")),
        (method.status, method.headers.get("allow")),
        here.client.push(user).status,
        raw(here, [("authorization", f"Bearer {user['token']}"), ("api-key", user["api_key"]), ("host", "x")], "GET"),
        raw(here, [("authorization", f"Bearer {user['token']}"), ("api-key", user["api_key"]), ("host", "x")], "PUT"),
    ]  # fmt: skip


def odd_input(make: Make) -> Any:
    here = make(**OPEN)
    user = here.users.both[0]
    body = [
        ("authorization", f"Bearer {user['token']}"),
        ("api-key", user["api_key"]),
        ("host", "x"),
        ("content-length", "2"),
    ]
    return [
        here.client.push(user, ref="").status, here.client.push(user, ref="x" * 300).status,
        here.client.push(user, ref="\xe9").status, here.client.push(user, "SMS").status,
        here.client.push(user, accept="text/xml").status, raw(here, body, body="{}"),
    ]  # fmt: skip


def broken_http(make: Make) -> Any:
    here = make(**OPEN)
    user = here.users.both[0]
    who = [("authorization", f"Bearer {user['token']}"), ("api-key", user["api_key"])]
    return raw(here, who), raw(here, [*who, ("host", "x"), ("content-length", "70000")], body="x" * 70000)


def paths(make: Make) -> Any:
    here = make(**OPEN)
    user = here.users.both[0]
    ways = ["authy", "AUTHY%20", "AUTHY.json", "AUTHYX", "SMS", "PIGEON", "", "AUTHY/", "AUTHY/x", "%2541UTHY"]
    return [here.client.push(user, way).status for way in ways]
