"""Each planted fault does what its name says: what the correct service answers one way, it answers another."""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from harness.reference.faults import FAULTS
from tests.reference.client import OPERATION, Answer, Client
from tests.reference.conftest import MakeDesk
from tests.reference.desk import Desk
from tests.reference.test_contract import UUID

Make = Callable[..., Desk]
OPEN: dict[str, Any] = {"rate_count": None, "challenge_count": None}


def code_of(answer: Answer) -> Any:
    """The errorCode of a conflict, otherwise the status."""
    return answer.body.get("errorCode") if answer.status == 409 and isinstance(answer.body, dict) else answer.status


def codes(desk: Desk, user: dict[str, Any], many: int, **how: Any) -> list[Any]:
    return [code_of(desk.client.push(user, **how)) for _ in range(many)]


def at_once(desk: Desk, many: int, how: Callable[[Client, int], Answer]) -> list[Answer]:
    """So many requests at the same moment, each over a connection that is open already."""
    start = threading.Barrier(many)

    def one(number: int) -> Answer:
        client = Client(desk.base_url)
        client.pushes()
        start.wait(20)
        answer = how(client, number)
        client.close()
        return answer

    with ThreadPoolExecutor(many) as pool:
        return list(pool.map(one, range(many)))


# Each looks at a service from one side; beside it stands what the correct one shows.
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


def rate_at_once(make: Make) -> Any:
    here = make(rate_count=4, challenge_count=None)
    return [answer.status for answer in at_once(here, 12, lambda client, _: client.push(here.users.both[0]))].count(200)


def challenges_at_once(make: Make) -> Any:
    here = make(rate_count=None, challenge_count=4)
    return [answer.status for answer in at_once(here, 12, lambda client, _: client.push(here.users.both[0]))].count(200)


def pending_at_once(make: Make) -> Any:
    here = make(**OPEN, in_flight="reject", in_flight_for=3.0)
    return [answer.status for answer in at_once(here, 8, lambda client, _: client.push(here.users.both[0]))].count(200)


def all_at_once(make: Make) -> Any:
    here = make(**OPEN)
    users = here.users.both
    return {answer.status for answer in at_once(here, 16, lambda client, number: client.push(users[number]))}


def rate(make: Make) -> Any:
    """Requests let in: at once, after 0.5, 0.8, 1.1 and 4 windows; over channels, logins, users, and for replays."""
    here = make(rate_count=10, challenge_count=None)
    one, again = here.users.twice()
    other = next(row for row in here.users.both if row["programme"] == one["programme"] and row["user"] != one["user"])
    told = [codes(here, one, 12).count(200), codes(here, other, 12).count(200)]
    told.append(codes(here, one, 1, channel="BIOMETRIC").count(200))
    told.append(codes(here, again, 1).count(200))
    for later in (0.5, 0.3, 0.3, 3.0):
        here.put_forward(later)
        told.append(codes(here, one, 30).count(200))
    here.put_forward(4)
    told.append(codes(here, one, 15, ref="ref").count(200))
    return told


def rate_over_edges(make: Make) -> Any:
    """The most requests let in by any stretch of less than a window, wherever its windows begin."""
    here = make(rate_count=10, challenge_count=None)
    user = here.users.both[0]
    let_in: list[tuple[int, int]] = []
    for pause, many in [(0.0, 1), (0.9, 12), (0.1, 12), (2.3, 12), (0.5, 12), (1.3, 0)] * 8:
        here.put_forward(pause)
        let_in.append((here.service.clock.now(), codes(here, user, many).count(200)))
    return max(sum(many for at, many in let_in if begin <= at < begin + 10**9) for begin, _ in let_in)


def rate_below(make: Make) -> Any:
    """Whether a user who stays below the rate is let in again and again, after having been above it once."""
    here = make(rate_count=4, challenge_count=None)
    user = here.users.both[0]
    codes(here, user, 5)
    told = []
    for _ in range(8):
        here.put_forward(0.9)
        told.append(code_of(here.client.push(user)))
    return told.count(429)


def bucket(make: Make) -> Any:
    here = make(rate_count=40, challenge_count=None, rate_algorithm="token-bucket", rate_burst=20)
    user = here.users.both[0]
    told = [codes(here, user, 45).count(200)]
    for later in (0.25, 0.75, 0.5):
        here.put_forward(later)
        told.append(codes(here, user, 25).count(200))
    return told


def retry_after(make: Make) -> Any:
    here = make(rate_count=1, challenge_count=None)
    codes(here, here.users.both[0], 1)
    return here.client.push(here.users.both[0]).headers.get("retry-after")


def effects_of_refusal(make: Make) -> Any:
    here = make(rate_count=1, challenge_count=None)
    codes(here, here.users.both[0], 5)
    return here.client.pushes()


def effects_of_no_credentials(make: Make) -> Any:
    here = make(rate_count=2, challenge_count=None)
    user = here.users.both[0]
    codes(here, user, 4, api_key="none")
    return codes(here, user, 2), here.client.pushes()


def challenges(make: Make) -> Any:
    """Challenges issued: at once, over channels, logins and users, and after 0.7 and 1.1 windows."""
    here = make(rate_count=None, challenge_count=4)
    one, again = here.users.twice()
    other = next(row for row in here.users.both if row["programme"] == one["programme"] and row["user"] != one["user"])
    told = [codes(here, one, 6, ref=None), codes(here, one, 1, channel="BIOMETRIC"), codes(here, again, 1)]
    told.append(codes(here, other, 1))
    for later in (0.7, 0.4):
        here.put_forward(later * here.service.settings.challenge_window)
        told.append(codes(here, one, 1))
    return told


def challenges_over_edges(make: Make) -> Any:
    here = make(rate_count=None, challenge_count=4, challenge_window=4.0)
    user = here.users.both[0]
    let_in = []
    for turn in range(40):
        let_in.append(codes(here, user, 4 if turn % 7 == 0 else 1).count(200))
        here.put_forward(0.5)
    return max(sum(let_in[place : place + 8]) for place in range(32))


def what_costs_a_challenge(make: Make) -> Any:
    here = make(rate_count=None, challenge_count=3)
    user = next(row for row in here.users.active if row["channels"] == ["AUTHY"])
    codes(here, user, 3, channel="BIOMETRIC")
    codes(here, user, 3, ref="ref")
    told = codes(here, user, 4)
    here.put_forward(6)
    codes(here, user, 3)
    here.put_forward(6)
    return told + codes(here, user, 1)


def replay_at_the_limit(make: Make) -> Any:
    here = make(rate_count=None, challenge_count=2)
    user = here.users.both[0]
    first = here.client.push(user, ref="ref")
    return codes(here, user, 2), here.client.push(user, ref="ref").body == first.body


def many_users(make: Make) -> Any:
    here = make(rate_count=None, challenge_count=100)
    return {code for _ in range(15) for user in here.users.both[:20] for code in codes(here, user, 1)}


def pushes(make: Make) -> Any:
    """Challenges, and pushes, for 60 refs each asked for twice, and for 5 refusals."""
    here = make(rate_count=None, challenge_count=60)
    user = here.users.both[0]
    told = [code for number in range(60) for code in codes(here, user, 2, ref=f"ref {number}")]
    codes(here, user, 5)
    return told.count(200) // 2, here.client.pushes()


def statuses_of_many(make: Make) -> Any:
    here = make(**OPEN)
    return set(codes(here, here.users.both[0], 150))


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


def settled(make: Make) -> Any:
    """What a token gets once it is settled, on either channel, and what another login of its owner gets."""
    told = []
    for verb in ("accept", "decline"):
        here = make(**OPEN)
        one, again = here.users.twice()
        assert here.client.settle(here.client.push(one).id, verb).status == 200
        told += codes(here, one, 1) + codes(here, one, 1, channel="BIOMETRIC") + codes(here, again, 1)
    return told


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


def conflicting(make: Make) -> Any:
    here = make(**OPEN, concurrent_duplicate="conflict")
    return codes(here, here.users.both[0], 2, ref="ref")


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


def raw(desk: Desk, headers: list[tuple[str, str]], method: str = "POST", body: str = "") -> int:
    """The status of a request with these headers, more than one of a name if so wished."""
    host, port = desk.base_url.removeprefix("http://").split(":")
    lines = [f"{method} {OPERATION}AUTHY HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", body]
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall("\r\n".join(lines).encode("latin-1"))
        return int(connection.recv(4096).split(b" ")[1])


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


def paths(make: Make) -> Any:
    here = make(**OPEN)
    user = here.users.both[0]
    ways = ["authy", "AUTHY%20", "AUTHY.json", "AUTHYX", "SMS", "PIGEON", "", "AUTHY/", "AUTHY/x", "%2541UTHY"]
    return [here.client.push(user, way).status for way in ways]


@dataclass(frozen=True)
class Look:
    """What the correct service shows from one side, and the faults that show something else there."""

    look: Callable[[Make], Any]
    correct: Any
    faults: str


LIMIT, STATE = "CHALLENGE_LIMIT_EXCEEDED", "STATE_INVALID"
CHANNEL_FIELD = {"invalidFields": [{"fieldName": "channel", "error": "IN", "params": ["AUTHY", "BIOMETRIC"]}]}
LOOKS = [
    Look(served, {(200, "application/json", "uuid")}, """created-201 id-renamed id-number id-empty body-with-tail
         text-not-json ids-by-worker ids-by-time ids-too-short ids-by-ref ids-by-user ids-sequential"""),
    Look(distinct_ids, 41, "ids-recycled ids-too-short ids-by-user"),
    Look(replays, [True, True], """ref-ignored ref-ignored-on-biometric replay-refused replay-new-id
         replica-lag"""),
    Look(replays_later, True, "ref-forgotten-soon refs-flushed"),
    Look(replays_after_many, (True, True), "ref-evicted-by-user ref-evicted ref-last-only"),
    Look(replays_of_another_login, True, "ref-per-token"),
    Look(same_ref_elsewhere, 4, "ref-shared-by-users ref-shared-by-programme ref-shared-by-channels"),
    Look(near_refs, 0, "ref-case-folded ref-cut-at-32 ref-cut-at-64 ref-normalised ref-hashed-short"),
    Look(without_refs, 5, "no-ref-as-empty no-ref-deduplicated in-flight-refused"),
    Look(refs_after_refusal, ([200, 429, 429], 200), "refusal-remembered ref-spent-by-refusal"),
    Look(duplicates_at_once, 1, "idempotency-race idempotency-race-narrow idempotency-race-bare"),
    Look(users_at_once, 0, "request-mixed-up answers-swapped"),
    Look(rate_at_once, 4, "rate-race"),
    Look(challenges_at_once, 4, "challenges-race"),
    Look(pending_at_once, 1, "in-flight-race"),
    Look(all_at_once, {200}, "dropped-under-load"),
    Look(rate, [10, 10, 0, 0, 0, 0, 10, 10, 10], """rate-off-by-one rate-one-short rate-window-short rate-window-long
         rate-unlimited rate-shared rate-by-channel rate-per-token rate-skips-replays rate-fails-open
         rate-counts-refusals rate-never-recovers"""),
    Look(rate_over_edges, 10, "rate-fixed-window rate-window-from-first rate-off-by-one"),
    Look(rate_below, 1, "rate-never-recovers"),
    Look(bucket, [20, 10, 20, 20], "bucket-refilled-at-once bucket-too-deep bucket-slow"),
    Look(retry_after, "1", "retry-after-missing retry-after-too-early retry-after-no-number retry-after-negative"),
    Look(effects_of_refusal, 1, "rate-refused-yet-done"),
    Look(effects_of_no_credentials, ([200, 200], 2), "rate-counts-unauthorised work-before-credentials"),
    Look(challenges, [[200] * 4 + [LIMIT] * 2, [LIMIT], [LIMIT], [200], [LIMIT], [200]], """challenges-off-by-one
         challenges-one-short challenges-window-short challenges-window-long challenges-unlimited challenges-shared
         challenges-by-channel challenges-per-token challenges-told-as-429 challenges-told-as-state"""),
    Look(challenges_over_edges, 4, "challenges-fixed-window"),
    Look(what_costs_a_challenge, [200, 200, LIMIT, LIMIT, 200], """challenges-count-replays challenges-count-refusals
         challenges-prolonged"""),
    Look(replay_at_the_limit, ([200, LIMIT], True), "challenges-refuse-replays"),
    Look(many_users, {200}, "challenges-random-refusals"),
    Look(pushes, (60, 60), "replay-sends-push push-sent-twice push-lost push-before-checks retry-storm"),
    Look(statuses_of_many, {200}, "commit-lost"),
    Look(callers_that_leave, 10, "forgotten-when-caller-leaves"),
    Look(settled, [STATE, STATE, 200] * 2, """settled-served declined-served settled-by-channel settled-late
         settled-for-the-person"""),
    Look(pending, [200, STATE, STATE, 200, STATE, 200], """in-flight-ignored in-flight-by-channel in-flight-for-all
         in-flight-for-ever in-flight-too-short"""),
    Look(conflicting, [200, 200], "claim-left-behind"),
    Look(credentials, (
        {"no key": [401] * 3, "empty key": [401] * 3, "unknown key": [401] * 3, "foreign key": [403] * 3,
         "no token": [401] * 3, "unknown token": [401] * 3, "scheme": [401] * 3, "prefix": [401] * 3,
         "extension": [401] * 3, "logged_out": [401], "impersonator": [403], "two keys": [401]}, 0),
         """key-missing-served key-empty-served key-unknown-served key-of-any-tenant key-twice-served
         token-scheme-ignored token-prefix-served token-padded-served logged-out-served impersonator-served
         token-unknown-forbidden tenant-unauthorised form-before-credentials state-before-credentials
         work-before-credentials"""),
    Look(forms, [(401, True), (409, {"errorCode": "CHANNEL_NOT_SUPPORTED"}), "CHANNEL_NOT_REGISTERED",
                 (400, CHANNEL_FIELD), (405, "POST"), 200, 405, 405], """no-authenticate-header body-as-html
         conflict-as-problem conflict-code-unknown error-field-unknown bad-request-bare bad-request-wrong-field
         method-without-allow method-not-found method-get-served method-put-served unregistered-as-unsupported
         unsupported-as-unregistered unregistered-served unsupported-served conflict-as-400"""),
    Look(odd_input, [400, 400, 200, 400, 200, 200], """empty-ref-fails long-ref-fails odd-ref-fails odd-channel-fails
         odd-accept-fails body-fails"""),
    Look(paths, [400, 400, 400, 400, 400, 400, 404, 404, 404, 400], """channel-any-case channel-trimmed
         channel-with-suffix channel-by-prefix channel-sms-served channel-unknown-as-default channel-empty-served
         slash-served path-deeper-served channel-twice-decoded"""),
]  # fmt: skip
BY_PROCESSES = {  # which test_processes looks at, as they need several workers
    "idempotency-race-bare",
    "refs-per-worker",
    "rate-per-worker",
    "challenges-per-worker",
}
PAIRS = [(look, name) for look in LOOKS for name in look.faults.split()]


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.look.__name__)
def test_the_correct_service_shows_what_it_should(desk: MakeDesk, look: Look) -> None:
    assert look.look(desk) == look.correct


@pytest.mark.parametrize(("look", "name"), PAIRS, ids=[f"{name}-{look.look.__name__}" for look, name in PAIRS])
def test_a_fault_shows_something_else(desk: MakeDesk, look: Look, name: str) -> None:
    assert look.look(lambda **settings: desk(name, **settings)) != look.correct


def test_every_fault_is_looked_at() -> None:
    assert {name for _, name in PAIRS} | BY_PROCESSES == set(FAULTS)
