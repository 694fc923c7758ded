"""What may be expected of a user follows from what was sent; what is not sure is never demanded."""

import pytest

from harness.history import Exchange
from harness.pool import User
from harness.profile import ChallengeLimit, Policy, Profile, RateLimit
from scenarios.conformance.ledger import Ledger
from scenarios.conformance.pace import Pace
from tests.conformance.people import profile

S = 10**9


def exchange(user: User, at: int, *, ref: str | None = None, status: int = 200, challenge: str = "") -> Exchange:
    outcome = {200: "ok", 0: "unknown", 503: "unknown"}.get(status, "refused")
    given = challenge or (f"c-{user.index}-{at}" if status == 200 else "")
    return Exchange(
        scenario="", case="", operation="push", intent="valid", allowed="200", method="POST", user=user.index,
        key=user.key, channel="AUTHY", ref=ref, intended=at, sent=at, received=at + S // 100, status=status,
        outcome=outcome, error_code="", challenge_id=given, retry_after=None, body_fault="", error="", connection=0,
        headers=None, body=None, told=0,
    )  # fmt: skip


def after(target: Profile, *sent: tuple[int, int, dict[str, object]]) -> Ledger:
    """A ledger after exchanges: user, time in seconds, and what else."""
    ledger = Ledger(target)
    for user, at, more in sent:
        who = target.pool.users[user]
        ledger.note(exchange(who, at * S, **more), who)  # type: ignore[arg-type]
    return ledger


THREE = profile(challenges=ChallengeLimit(3, 60 * S))
USERS = THREE.pool.users


def test_the_limit_is_sure_once_it_is_surely_full() -> None:
    ledger = after(THREE, (1, 1, {}), (1, 2, {}), (1, 3, {}))
    assert ledger.states(USERS[1], 10 * S) == ({"pending", "limit-reached"}, frozenset())
    assert ledger.left(USERS[1], 10 * S) == 0
    assert ledger.left(USERS[0], 10 * S) == 3


def test_near_the_end_of_the_window_the_limit_is_not_sure() -> None:
    ledger = after(THREE, (1, 1, {}), (1, 2, {}), (1, 3, {}))
    just_before = 61 * S - S // 10
    assert ledger.states(USERS[1], just_before) == ({"pending"}, frozenset({"limit-reached"}))
    assert ledger.frees_at(USERS[1], 1) > 61 * S
    assert ledger.left(USERS[1], ledger.frees_at(USERS[1], 1)) == 1
    assert ledger.left(USERS[1], ledger.frees_at(USERS[1], 3)) == 3


@pytest.mark.parametrize(
    ("more", "left"),
    [({"status": 409}, 3), ({"status": 401}, 3), ({"status": 503}, 2), ({"status": 0}, 2), ({"status": 200}, 2)],
)
def test_refusals_use_up_nothing_and_lost_answers_may(more: dict[str, object], left: int) -> None:
    assert after(THREE, (1, 1, more)).left(USERS[1], 2 * S) == left


def test_replays_use_up_nothing() -> None:
    ledger = after(THREE, (1, 1, {"ref": "r", "challenge": "c"}), (1, 2, {"ref": "r", "challenge": "c"}))
    assert ledger.left(USERS[1], 3 * S) == 2
    assert ledger.known == {(USERS[1].person, "AUTHY", "r"): "c"}


def test_all_tokens_of_a_person_share_the_limit_and_nobody_else_does() -> None:
    ledger = after(THREE, (0, 1, {}), (5, 2, {}))
    assert [ledger.left(USERS[index], 3 * S) for index in (0, 5, 1)] == [1, 1, 3]


def test_a_programme_shares_its_limit() -> None:
    shared = profile(challenges=ChallengeLimit(3, 60 * S, "programme"))
    ledger = after(shared, (0, 1, {}))
    assert [ledger.left(shared.pool.users[index], 2 * S) for index in (0, 1, 2)] == [2, 2, 3]


def test_a_settled_token_is_settled_until_a_reset_makes_that_open() -> None:
    ledger = after(THREE, (1, 1, {"ref": "r"}))
    ledger.settle(USERS[1], "accept")
    assert "after-accept" in ledger.states(USERS[1], 2 * S)[0]
    ledger.forget(2 * S)
    assert ledger.states(USERS[1], 3 * S) == (set(), frozenset({"after-accept", "after-decline"}))
    assert ledger.known == {}
    assert ledger.perhaps == {(USERS[1].person, "AUTHY", "r")}


def test_what_was_lost_may_come_after_a_reset() -> None:
    forever = profile(policy=Policy(in_flight="reject"))
    ledger = after(forever, (1, 1, {"status": 0}))
    user = forever.pool.users[1]
    ledger.forget(2 * S)
    assert ledger.states(user, 2 * S) == (set(), frozenset({"pending"}))
    assert ledger.anything_lost(2 * S)
    ledger.forget(60 * S)
    assert ledger.states(user, 60 * S) == (set(), frozenset())
    assert not ledger.anything_lost(60 * S)


def test_what_is_pending_expires() -> None:
    short = profile(policy=Policy(in_flight="reject", in_flight_for_ns=10 * S))
    ledger = after(short, (1, 1, {}))
    user = short.pool.users[1]
    assert ledger.states(user, 5 * S) == ({"pending"}, frozenset())
    assert ledger.states(user, 11 * S - S // 10) == (set(), frozenset({"pending"}))
    assert ledger.states(user, 12 * S) == (set(), frozenset())


@pytest.mark.parametrize(
    ("rate", "wait"),
    [
        (RateLimit(3, S), pytest.approx(1.011, abs=0.002)),
        (RateLimit(4, S), 0.0),
        (RateLimit(4, S, "token-bucket", burst=1), pytest.approx(0.261, abs=0.002)),
        (RateLimit(4, 2 * S, "token-bucket", burst=3), pytest.approx(1.521, abs=0.002)),
    ],
)
def test_the_pace_keeps_under_what_is_declared(rate: RateLimit, wait: float) -> None:
    pace = Pace(profile(rate=rate))
    for _ in range(3):
        pace.note(person=0, key=0, received=S)
    assert pace.wait_s(0, 0, S) == wait


@pytest.mark.parametrize(
    ("scope", "waits"),
    [("user", [True, False, False]), ("api-key", [True, True, False]), ("ip", [True, True, True])],
)
def test_the_pace_is_kept_for_each_scope(scope: str, waits: list[bool]) -> None:
    pace = Pace(profile(rate=RateLimit(1, S, scope=scope)))  # type: ignore[arg-type]
    pace.note(person=0, key=0, received=S)
    assert [pace.wait_s(person, key, S) > 0 for person, key in ((0, 0), (1, 0), (1, 1))] == waits
