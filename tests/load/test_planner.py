"""The planner: whoever shares a limit is dealt together, and what a pool is too small for is said."""

from collections import Counter, defaultdict
from dataclasses import replace
from typing import Any

import pytest

from harness.plan import load_plan
from harness.pool import Pool
from harness.profile import Profile
from scenarios.load.part import Deal, Part
from scenarios.load.planner import deal
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
def test_whoever_drives_a_limit_at_the_same_time_as_others_shares_it_with_none(
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
            if overlap(one, other):
                _apart(of, one, other)


def _apart(of: Profile, one: Part, other: Part) -> None:
    users, scenarios = of.pool.users, {one.stage.scenario, other.stage.scenario}
    if scenarios != {"background", "idempotency"} or set(one.users) != set(other.users):
        assert not {users[index].person for index in one.users} & {users[index].person for index in other.users}
    elsewhere = one.process != other.process  # what a limit leaves is counted in each process by itself
    drives = {rate_scope: {"rate-limit"}, challenge_scope: {"rate-limit", "challenge-limit"}}
    for scope, drivers in drives.items():
        mine = {scope(of, users[index]) for index in one.users}
        theirs = {scope(of, users[index]) for index in other.users}
        assert not mine & theirs or not (scenarios & drivers or elsewhere), (*scenarios, scope.__name__)


@pytest.mark.parametrize("challenge_by", ["user", "programme"])
@pytest.mark.parametrize("rate_by", ["api-key", "ip"])
def test_users_who_share_a_few_limits_are_dealt_to_every_scenario(challenge_by: str, rate_by: str) -> None:
    of = profile(160, keys=8, challenges={**CHALLENGES, "scope": challenge_by}, rate={**RATE, "scope": rate_by})
    made = dealt(of)
    assert {part.stage.scenario for part in made.parts} == SCENARIOS
    lengths = {part.stage.scenario: part.end_s - part.start_s for part in made.parts}
    assert lengths["idempotency"] >= 12
    by_itself = rate_by == "ip"  # with keys, some are set apart for the rate limit
    (driven,) = (part for part in made.parts if part.stage.scenario == "rate-limit")
    assert any(overlap(driven, part) for part in made.parts if part is not driven) != by_itself
    (background,) = (part.stage for part in made.parts if part.stage.scenario == "background")
    assert background.rate < 40 * 8 / 3
    assert any("requests a second, as all scenarios share" in note for note in made.notes)


def test_persons_with_several_tokens_are_not_set_apart_with_a_shared_limit() -> None:
    of = profile(160, keys=8, rate=RATE | {"scope": "api-key"}, control=True)
    several = [replace(user, person=of.pool.users[user.index - 8].person) if user.index in (12, 28, 60) else user
               for user in of.pool.users]  # fmt: skip
    made = dealt(replace(of, pool=Pool(tuple(several))))
    (driven,) = (part for part in made.parts if part.stage.scenario == "rate-limit")
    assert not {12, 28, 60} & set(driven.users)


def test_a_limit_of_hundreds_is_driven_where_rate_and_time_allow_it() -> None:
    challenges = {"count": 300, "window": "24h", "scope": "programme"}
    for rate, says in ((RATE | {"count": 100}, ""), (RATE | {"count": 5}, "takes"), (None, "")):
        made = dealt(profile(160, keys=1, challenges=challenges, rate=rate and rate | {"scope": "api-key"}))
        driven = [part for part in made.parts if part.stage.scenario == "challenge-limit"]
        assert bool(driven) != bool(says), made.notes
        assert any("300 challenges takes" in note for note in made.notes) == bool(says)
        assert all(part.end_s - part.start_s >= 2 for part in driven)


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
        {"rate": RATE, "challenges": {**CHALLENGES, "count": 5000}}, "takes more than 2000 requests",
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
