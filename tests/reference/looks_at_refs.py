"""Looks at what refs and ids a service gives out, remembers and tells apart."""

import socket
from typing import Any

from tests.reference.client import OPERATION
from tests.reference.looking import OPEN, Make, at_once, code_of, codes
from tests.reference.test_contract import UUID


def served(make: Make) -> Any:
    here = make(**OPEN)
    user = here.users.both[0]
    answers = [here.client.push(user, ref=f"ref {n}") for n in range(60)]
    here.put_forward(0.001)
    forms = set()
    for answer in answers:
        ids = isinstance(answer.body, dict) and answer.body.get("id")
        form = "uuid" if isinstance(ids, str) and UUID.fullmatch(ids) else "other"
        forms.add((answer.status, answer.headers["content-type"], form))
    return forms


def distinct_ids(make: Make) -> Any:
    here = make(**OPEN)
    ids = []
    for _ in range(20):
        ids += [
            here.client.push(user, ref="same" if user is here.users.both[0] else None) for user in here.users.both[:3]
        ]
        here.put_forward(3)
    return len({str(answer.body) for answer in ids if answer.status == 200})


def replays(make: Make) -> Any:
    here = make(**OPEN)
    user = here.users.both[0]
    first = [here.client.push(user, channel, "ref").body for channel in user["channels"]]
    return [
        here.client.push(user, channel, "ref").body == body
        for channel, body in zip(user["channels"], first, strict=True)
    ]


def replays_later(make: Make) -> Any:
    here = make(**OPEN)
    user = here.users.both[0]
    first = here.client.push(user, ref="ref").body
    here.put_forward(6)
    return here.client.push(user, ref="ref").body == first


def replays_after_many(make: Make) -> Any:
    here = make(**OPEN)
    user, other = here.users.both[:2]
    first = here.client.push(user, ref="ref").body
    for number in range(5):
        here.put_forward(0.001)
        here.client.push(user, ref=f"ref {number}")
    soon = here.client.push(user, ref="ref").body == first
    for number in range(500):
        here.put_forward(0.001)
        here.client.push(other, ref=f"ref {number}")
    return soon, here.client.push(user, ref="ref").body == first


def replays_of_another_login(make: Make) -> Any:
    here = make(**OPEN)
    one, again = here.users.twice()
    return here.client.push(one, ref="ref").body == here.client.push(again, ref="ref").body


def same_ref_elsewhere(make: Make) -> Any:
    here = make(**OPEN)
    user, *others = here.users.both
    same = next(row for row in others if row["programme"] == user["programme"])
    asked = [(user, "AUTHY"), (user, "BIOMETRIC"), (same, "AUTHY"), (others[0], "AUTHY")]
    return len({here.client.push(who, channel, "ref").id for who, channel in asked})


def near_refs(make: Make) -> Any:
    here = make(**OPEN)
    user = here.users.both[0]
    refs = ["a-b", "ab", "A-b", "x" * 32, "x" * 33, "y" * 64, "y" * 65, *(f"ref {n}" for n in range(300))]
    return len(refs) - len({here.client.push(user, ref=ref).id for ref in refs})


def without_refs(make: Make) -> Any:
    here = make(**OPEN)
    user = here.users.both[0]
    return len({str(here.client.push(user).body) for _ in range(5)})


def refs_after_refusal(make: Make) -> Any:
    here = make(rate_count=1, challenge_count=None)
    user = here.users.both[0]
    refused = codes(here, user, 2, ref="one") + codes(here, user, 1, ref="two")
    here.put_forward(1.1)
    return refused, code_of(here.client.push(user, ref="two"))


def duplicates_at_once(make: Make) -> Any:
    here = make(**OPEN)
    user = here.users.both[0]
    most = 0
    for burst in range(25):
        answers = at_once(here, 8, lambda client, _, ref=f"ref {burst}": client.push(user, ref=ref))  # type: ignore[misc]
        most = max(most, len({str(answer.body) for answer in answers}))
    return most


def users_at_once(make: Make) -> Any:
    """Whether what several users got at once is theirs."""
    here = make(**OPEN)
    users = here.users.both[:6]
    wrong = 0
    for burst in range(15):
        ref = f"ref {burst}"
        answers = at_once(here, 6, lambda client, number, ref=ref: client.push(users[number], ref=ref))  # type: ignore[misc]
        again = [here.client.push(user, ref=ref).body for user in users]
        wrong += sum(answer.body != body for answer, body in zip(answers, again, strict=True))
    return wrong


def conflicting(make: Make) -> Any:
    here = make(**OPEN, concurrent_duplicate="conflict")
    return codes(here, here.users.both[0], 2, ref="ref")


def callers_that_leave(make: Make) -> Any:
    here = make(**OPEN)
    user = here.users.both[0]
    host, port = here.base_url.removeprefix("http://").split(":")
    for number in range(10):
        with socket.create_connection((host, int(port))) as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # closes with a reset
            caller.sendall(
                f"POST {OPERATION}AUTHY HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {user['token']}\r\n"
                f"api-key: {user['api_key']}\r\nidempotency-ref: {number}\r\n\r\n".encode()
            )
    for _ in range(3):
        codes(here, user, 5)
    for number in range(10):
        here.client.push(user, ref=f"{number}")
    return here.client.pushes() - 15
