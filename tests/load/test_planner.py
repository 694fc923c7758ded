"""The planner: whoever shares a limit is dealt together, and what a pool is too small for is said."""

from collections import Counter, defaultdict
from typing import Any

import pytest

from harness.plan import load_plan
from harness.profile import Profile
from scenarios.load.planner import Deal, Part, deal
from scenarios.load.scopes import challenge_scope, rate_scope
from scenarios.load.usage import Usage
from tests.load.profiles import profile

CHALLENGES = {"count": 5, "window": "24h", "scope": "user"}
RATE = {"count": 40, "window": "1s", "scope": "user"}
SCENARIOS = {"background", "idempotency", "rate-limit", "challenge-limit", "lifecycle"}


def dealt(of: Profile, processes: int = 1, usage: Usage | None = None) -> Deal:
    return deal(load_plan(), of, usage or Usage(), range(len(of.pool.users)), processes)


def overlap(one: Part, other: Part) -> bool:
    return one.start_s < other.end_s and other.start_s < one.end_s


@pytest.mark.parametrize("count", [1, 3, 12, 60, 400])
@pytest.mark.parametrize("challenge_by", ["user", "programme"])
@pytest.mark.parametrize("rate_by", ["api-key", "user", "ip", "global"])
@pytest.mark.parametrize("processes", [1, 3])
def test_scenarios_at_the_same_time_share_no_user_and_no_limit(
    count: int, challenge_by: str, rate_by: str, processes: int
) -> None:
    of = profile(count, challenges={**CHALLENGES, "scope": challenge_by}, rate={**RATE, "scope": rate_by})
    parts = dealt(of, processes).parts
    assert parts
    users = of.pool.users
    for place, one in enumerate(parts):
        assert one.users, one
        assert all(users[index].state == "active" for index in one.users)
        for other in parts[place + 1 :]:
            if not overlap(one, other):
                continue
            same_slot = {one.stage.scenario, other.stage.scenario} == {"background", "idempotency"}
            if same_slot and one.process == other.process and set(one.users) == set(other.users):
                continue  # with few users these two share them: neither drives anyone to a limit
            for scope in (rate_scope, challenge_scope):
                mine = {scope(of, users[index]) for index in one.users}
                theirs = {scope(of, users[index]) for index in other.users}
                assert not mine & theirs, (one.stage.scenario, other.stage.scenario, scope.__name__)


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_a_large_pool_runs_every_scenario_side_by_side(processes: int) -> None:
    made = dealt(profile(400, challenges=CHALLENGES, rate=RATE), processes)
    assert {part.stage.scenario for part in made.parts} == SCENARIOS
    assert made.notes == []
    assert {part.process for part in made.parts} == set(range(processes))
    rates: dict[str, float] = defaultdict(float)
    for part in made.parts:
        rates[part.stage.scenario] += part.stage.rate
    planned = {stage.scenario: stage.rate for stage in load_plan().stages}
    assert rates == pytest.approx(planned)


def test_the_deal_is_the_same_again() -> None:
    of = profile(400, challenges=CHALLENGES, rate=RATE)
    assert dealt(of, 2).facts() == dealt(of, 2).facts()


@pytest.mark.parametrize("count", [1, 3])
def test_a_tiny_pool_runs_scenarios_one_after_another_and_says_so(count: int) -> None:
    made = dealt(profile(count, challenges=CHALLENGES, rate=RATE))
    assert {part.stage.scenario for part in made.parts} == SCENARIOS
    starts = Counter(part.start_s for part in made.parts)
    assert len(starts) == 5
    assert any("one after another" in note for note in made.notes)
    assert all(part.reset for part in made.parts if part.start_s > 0)


def test_one_shared_limit_is_used_by_one_process() -> None:
    made = dealt(profile(400, rate={**RATE, "scope": "ip"}), processes=4)
    assert {part.process for part in made.parts} == {0}
    assert any("one process" in note for note in made.notes)


NOT_SHOWN: dict[str, tuple[dict[str, Any], str]] = {
    "no rate": ({"challenges": CHALLENGES}, "rate-limit: the profile declares no rate limit"),
    "no limit": ({"rate": RATE}, "challenge-limit: the profile declares no challenge limit"),
    "limit out of reach": (
        {"rate": RATE, "challenges": {**CHALLENGES, "count": 5000}}, "takes more than 200 requests",
    ),
    "one in flight": (
        {"rate": RATE, "challenges": CHALLENGES, "in_flight": "reject"}, "so nobody reaches the limit in time",
    ),
    "no control": ({"rate": RATE, "challenges": CHALLENGES, "control": False}, "lifecycle: the profile declares no"),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_SHOWN)
def test_what_cannot_be_shown_is_left_out_with_a_note(name: str) -> None:
    options, says = NOT_SHOWN[name]
    made = dealt(profile(200, **options))
    assert any(says in note for note in made.notes), made.notes
    assert {part.stage.scenario for part in made.parts} == SCENARIOS - {
        note.split(":")[0] for note in made.notes if note.split(":")[0] in SCENARIOS
    }


def test_settled_and_exhausted_users_are_left_out() -> None:
    of = profile(3, challenges=CHALLENGES, rate=RATE, control=False)
    everyone = frozenset(user.index for user in of.pool.users)
    assert dealt(of, usage=Usage(settled=everyone)).parts == []
    assert "no active user is left" in dealt(of, usage=Usage(settled=everyone)).notes[0]
    used = Usage(challenges=Counter({challenge_scope(of, user): 5 for user in of.pool.users}))
    assert any("reached the limit before" in note for note in dealt(of, usage=used).notes)


def test_a_long_rate_window_is_given_more_time_or_said_to_be_too_long() -> None:
    made = dealt(profile(200, rate={**RATE, "window": "10s"}))
    longest = max(part.end_s for part in made.parts if part.stage.scenario == "rate-limit")
    assert longest == pytest.approx(37.0)
    made = dealt(profile(200, rate={**RATE, "window": "1h"}))
    assert any("a window of 3600 s" in note for note in made.notes)


def test_persons_with_several_tokens_go_to_those_who_need_them() -> None:
    of = profile(300, persons_each=2, challenges=CHALLENGES, rate=RATE)
    mixed = [user.index for user in of.pool.users if user.index % 2 == 0 or user.index < 60]
    made = deal(load_plan(), of, Usage(), mixed, 1)
    several = {
        part.stage.scenario
        for part in made.parts
        if max(Counter(of.pool.users[index].person for index in part.users).values()) > 1
    }
    assert several >= {"rate-limit", "lifecycle", "challenge-limit", "idempotency"}
