"""Limits admit what they declare and no more, at every edge of their windows, for each scope alone."""

from typing import Any

import pytest

from harness.reference.limits import FixedWindow
from tests.reference.conftest import MakeDesk
from tests.reference.desk import Desk

TICK = 1e-9


def statuses(desk: Desk, many: int, user: dict[str, Any] | None = None, **how: Any) -> list[int]:
    """So many requests one after another, at one moment of the service's clock."""
    return [desk.client.push(user or desk.users.both[0], **how).status for _ in range(many)]


def admitted(desk: Desk, many: int, user: dict[str, Any] | None = None) -> int:
    return statuses(desk, many, user).count(200)


def test_a_sliding_window_of_any_phase_holds_the_count(desk: MakeDesk) -> None:
    here = desk(rate_count=3, rate_window=1.0, challenge_count=None)
    assert statuses(here, 4) == [200, 200, 200, 429]
    here.put_forward(0.4)
    assert admitted(here, 1) == 0
    here.put_forward(0.6 - TICK)
    assert admitted(here, 1) == 0
    here.put_forward(TICK)
    assert admitted(here, 2) == 2
    here.put_forward(0.9)
    assert admitted(here, 5) == 1
    here.put_forward(0.1)
    assert admitted(here, 5) == 2


def test_refusals_that_count_keep_the_door_shut(desk: MakeDesk) -> None:
    here = desk(rate_count=2, rate_window=1.0, counts_refusals=True, challenge_count=None)
    assert statuses(here, 3) == [200, 200, 429]
    here.put_forward(0.9)
    assert statuses(here, 2) == [429, 429]
    here.put_forward(0.9)
    assert admitted(here, 1) == 0
    here.put_forward(1)
    assert admitted(here, 3) == 2


def test_replays_count_or_not_as_declared(desk: MakeDesk) -> None:
    counting, free = (desk(rate_count=2, counts_replays=counts, challenge_count=None) for counts in (True, False))
    assert [counting.client.push(counting.users.both[0], ref="ref").status for _ in range(3)] == [200, 200, 429]
    assert [free.client.push(free.users.both[0], ref="ref").status for _ in range(4)] == [200] * 4
    assert statuses(free, 2) == [200, 429]
    assert free.client.push(free.users.both[0], ref="ref").status == 200


@pytest.mark.parametrize("phase", ["shared", "epoch"])
def test_a_fixed_window_begins_anew_for_all_at_once(desk: MakeDesk, phase: str) -> None:
    here = desk(rate_count=3, rate_window=1.0, rate_algorithm="fixed-window", rate_phase=phase, challenge_count=None)
    limit = here.service.rate
    assert isinstance(limit, FixedWindow)
    assert limit.origin is not None
    assert (limit.origin == 0) == (phase == "epoch")
    into = (here.service.clock.now() - limit.origin) % 10**9
    here.put_forward((10**9 - into) / 1e9 + 0.9)
    one, other = here.users.both[0], here.users.both[1]
    assert (admitted(here, 4, one), admitted(here, 4, other)) == (3, 3)
    here.put_forward(0.1 - TICK)
    assert (admitted(here, 1, one), admitted(here, 1, other)) == (0, 0)
    here.put_forward(TICK)
    assert (admitted(here, 4, one), admitted(here, 4, other)) == (3, 3)


def test_a_fixed_window_may_begin_at_each_first_request(desk: MakeDesk) -> None:
    here = desk(
        rate_count=3, rate_window=1.0, rate_algorithm="fixed-window", rate_phase="first-request", challenge_count=None
    )
    one, other = here.users.both[0], here.users.both[1]
    assert admitted(here, 2, one) == 2
    here.put_forward(0.9)
    assert (admitted(here, 2, one), admitted(here, 4, other)) == (1, 3)
    here.put_forward(0.1)
    assert (admitted(here, 4, one), admitted(here, 1, other)) == (3, 0)


def test_a_bucket_gives_its_burst_and_then_a_token_at_a_time(desk: MakeDesk) -> None:
    here = desk(rate_count=10, rate_window=1.0, rate_algorithm="token-bucket", rate_burst=3, challenge_count=None)
    assert admitted(here, 5) == 3
    here.put_forward(0.1 - TICK)
    assert admitted(here, 1) == 0
    here.put_forward(TICK)
    assert admitted(here, 2) == 1
    here.put_forward(0.25)
    assert admitted(here, 5) == 2
    here.put_forward(60)
    assert admitted(here, 5) == 3


@pytest.mark.parametrize("algorithm", ["sliding-window", "fixed-window", "token-bucket"])
@pytest.mark.parametrize("counts_refusals", [False, True])
def test_who_comes_back_when_told_is_let_in(desk: MakeDesk, algorithm: str, counts_refusals: bool) -> None:
    here = desk(
        rate_count=3, rate_window=2.5, rate_algorithm=algorithm, counts_refusals=counts_refusals, challenge_count=None
    )
    for _ in range(5):
        assert here.client.push(here.users.both[0]).status == 200
        while (answer := here.client.push(here.users.both[0])).status == 200:
            pass
        here.put_forward(int(answer.headers["retry-after"]))


def test_without_retry_after_nothing_is_said(desk: MakeDesk) -> None:
    here = desk(rate_count=1, retry_after=False)
    assert statuses(here, 1) == [200]
    assert "retry-after" not in here.client.push(here.users.both[0]).headers


@pytest.mark.parametrize(
    ("scope", "shared"),
    [("user", {"person"}), ("api-key", {"person", "programme"}), ("global", {"person", "programme", "all"}),
     ("ip", {"person", "programme", "all"})],
)  # fmt: skip
def test_a_rate_is_shared_by_its_scope_only(desk: MakeDesk, scope: str, shared: set[str]) -> None:
    here = desk(rate_count=2, rate_scope=scope, challenge_count=None)
    one, again = here.users.twice()
    others = [user for user in here.users.both if user["user"] != one["user"]]
    same = next(user for user in others if user["programme"] == one["programme"])
    other = next(user for user in others if user["programme"] != one["programme"])
    assert admitted(here, 3, one) == 2
    found = {
        name for name, who in (("person", again), ("programme", same), ("all", other)) if not admitted(here, 1, who)
    }
    assert found == shared


def test_nobody_without_valid_credentials_uses_up_a_rate(desk: MakeDesk) -> None:
    here = desk(rate_count=2)
    user, other = here.users.both[0], here.users.both[1]
    assert {here.client.push(user, api_key=key).status for key in ("-", "", "none", other["api_key"])} == {401, 403}
    assert statuses(here, 3) == [200, 200, 429]


def test_a_refused_request_leaves_no_trace(desk: MakeDesk) -> None:
    here = desk(rate_count=1, rate_window=1.0)
    user = here.users.both[0]
    assert [here.client.push(user, ref=ref).status for ref in ("a", "b", "b")] == [200, 429, 429]
    assert here.client.pushes() == 1
    here.put_forward(1)
    assert here.client.push(user, ref="b").status == 200


def test_challenges_are_limited_in_every_window(desk: MakeDesk) -> None:
    here = desk(rate_count=None, challenge_count=3, challenge_window=10)
    user = here.users.both[0]
    first = here.client.push(user, ref="first").id
    here.put_forward(6)
    assert admitted(here, 3) == 2
    assert here.client.push(user, "BIOMETRIC").code == "CHALLENGE_LIMIT_EXCEEDED"
    assert here.client.push(user, ref="first").id == first
    here.put_forward(4 - TICK)
    assert admitted(here, 1) == 0
    here.put_forward(TICK)
    assert admitted(here, 3) == 1
    assert here.client.pushes() == 4


def test_what_is_refused_or_replayed_is_no_challenge(desk: MakeDesk) -> None:
    here = desk(rate_count=None, challenge_count=2)
    user = next(row for row in here.users.active if row["channels"] == ["AUTHY"])
    assert [here.client.push(user, "BIOMETRIC").status for _ in range(3)] == [409] * 3
    assert len({here.client.push(user, ref="ref").id for _ in range(4)}) == 1
    assert statuses(here, 3, user) == [200, 409, 409]


@pytest.mark.parametrize(("scope", "shared"), [("user", {"person"}), ("programme", {"person", "programme"})])
def test_challenges_are_shared_by_their_scope_only(desk: MakeDesk, scope: str, shared: set[str]) -> None:
    here = desk(rate_count=None, challenge_count=2, challenge_scope=scope)
    one, again = here.users.twice()
    others = [user for user in here.users.both if user["user"] != one["user"]]
    same = next(user for user in others if user["programme"] == one["programme"])
    other = next(user for user in others if user["programme"] != one["programme"])
    assert admitted(here, 3, one) == 2
    found = {
        name for name, who in (("person", again), ("programme", same), ("all", other)) if not admitted(here, 1, who)
    }
    assert found == shared


def test_a_reset_forgets_limits_and_keeps_refs_and_settled_tokens(desk: MakeDesk) -> None:
    here = desk(rate_count=3, challenge_count=2)
    user, settled = here.users.both[:2]
    kept = here.client.push(user, ref="kept").id
    assert here.client.settle(here.client.push(settled).id).status == 200
    assert statuses(here, 3) == [200, 409, 429]
    assert here.client.control("POST /simulate/reset").status == 200
    assert here.client.push(user, ref="kept").id == kept
    assert statuses(here, 2) == [200, 200]
    assert here.client.push(settled).code == "STATE_INVALID"


def test_one_challenge_may_be_pending_where_that_is_declared(desk: MakeDesk) -> None:
    here = desk(rate_count=None, challenge_count=None, in_flight="reject", in_flight_for=3.0)
    one, again = here.users.twice()
    first = here.client.push(one, ref="ref").id
    assert here.client.push(one, "BIOMETRIC").code == "STATE_INVALID"
    assert here.client.push(one, ref="ref").id == first
    assert admitted(here, 1, again) == 1
    here.put_forward(3 - TICK)
    assert here.client.push(one).code == "STATE_INVALID"
    here.put_forward(TICK)
    assert here.client.settle(first).status == 409
    assert admitted(here, 2, one) == 1


def test_a_pending_challenge_without_expiry_waits_for_its_answer(desk: MakeDesk) -> None:
    here = desk(rate_count=None, challenge_count=None, in_flight="reject")
    user = here.users.both[0]
    first = here.client.push(user).id
    here.put_forward(10**6)
    assert here.client.push(user).code == "STATE_INVALID"
    assert here.client.settle(first, "decline").status == 200
    assert here.client.push(user).code == "STATE_INVALID"
