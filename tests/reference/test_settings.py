"""Policies are set by name on the command line, and what is wrong is said with what would be right."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.pool import pool_of
from harness.profile import profile_of
from harness.reference.people import make_people
from harness.reference.profile_file import profile_text
from harness.reference.settings import Settings, with_policies


def test_policies_are_read_by_the_type_of_their_setting() -> None:
    given = ("in_flight=reject", "in_flight_for=3", "challenge_count=none", "rate_burst=20", "counts_refusals=true",
             "rate_window=0.5", "prefix=/multi")  # fmt: skip
    assert with_policies(Settings(), given) == Settings(
        in_flight="reject", in_flight_for=3.0, challenge_count=None, rate_burst=20, counts_refusals=True,
        rate_window=0.5, prefix="/multi",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("rate_cuont=3", "Did you mean 'rate_count'"), ("in_flight=rejcet", "Did you mean 'reject'"),
        ("rate_count", "Write --policy rate_count=VALUE"), ("rate_count=many", "'many' is not a whole number"),
        ("rate_count=0", "The least is 1"), ("rate_window=1s", "Times are in seconds"), ("rate_window=0", "0.001 to"),
        ("retry_after=yes", "Valid: true, false"), ("seed=3", "no such setting"),
        ("prefix=multi", "Write it as /multi"),
        ("rate_window=nan", "0.001 to"), ("rate_count=", "'' is not a whole number"),
        ("rate_algorithm=none", "Valid: "),
    ],
)  # fmt: skip
def test_a_policy_that_cannot_be_is_said_so(given: str, says: str) -> None:
    with pytest.raises(HarnessError) as error:
        with_policies(Settings(), (given,))
    assert says in str(error.value)


@pytest.mark.parametrize(
    "settings",
    [
        Settings(), Settings(rate_count=None, challenge_count=None), Settings(in_flight="reject", in_flight_for=0.25),
        Settings(rate_algorithm="token-bucket", rate_burst=7), Settings(rate_algorithm="token-bucket", rate_count=3),
        Settings(rate_algorithm="fixed-window", rate_phase="epoch", rate_window=0.123456),
        Settings(challenge_scope="programme", challenge_window=86400.0), Settings(host="::1", prefix="/multi"),
    ],
)  # fmt: skip
def test_the_profile_declares_what_the_service_keeps(settings: Settings) -> None:
    users = make_people(settings)
    table: dict[str, Any] = tomllib.loads(profile_text(settings, f"http://127.0.0.1:1{settings.prefix}"))
    profile = profile_of(table, pool_of(users), Path("profile.toml"))
    assert (profile.policy.in_flight, profile.policy.longest_ref) == (settings.in_flight, settings.longest_ref)
    assert (profile.policy.in_flight_for_ns or 0) == round((settings.in_flight_for or 0) * 1e9)
    assert (profile.challenges is None, profile.rate is None) == (not settings.challenge_count, not settings.rate_count)
    if profile.challenges:
        kept = (profile.challenges.count, profile.challenges.window_ns, profile.challenges.scope)
        assert kept == (settings.challenge_count, settings.challenge_window * 1e9, settings.challenge_scope)
    if profile.rate:
        declared = (profile.rate.count, profile.rate.window_ns, profile.rate.scope)
        assert declared == (settings.rate_count, round(settings.rate_window * 1e9), settings.rate_scope)
        assert (profile.rate.algorithm, profile.rate.bucket) == (settings.rate_algorithm, settings.bucket)
        assert (profile.rate.phase or "shared") == settings.rate_phase


def test_the_pool_has_every_kind_of_user_and_is_the_same_again() -> None:
    rows = make_people(Settings())
    assert rows == make_people(Settings())
    assert rows != make_people(Settings(seed=2))
    pool = pool_of(rows)
    kinds = {(user.state, user.channels, user.unsupported) for user in pool.users}
    assert len(pool.users) == 400
    assert {state for state, _, _ in kinds} == {"active", "logged_out", "impersonator"}
    assert {channels for _, channels, _ in kinds} == {("AUTHY",), ("BIOMETRIC",), ("AUTHY", "BIOMETRIC")}
    assert {unsupported for _, _, unsupported in kinds} == {(), ("BIOMETRIC",)}
    assert len({user.programme for user in pool.users}) == 6
    assert len({user.person for user in pool.users}) < 380
    assert all(user.usable for user in pool.active)


@pytest.mark.parametrize("users", [1, 2, 3, 10])
def test_a_small_pool_is_of_use(users: int) -> None:
    pool = pool_of(make_people(Settings(users=users)))
    assert len(pool.users) == users
    assert pool.users[0].usable == ("AUTHY", "BIOMETRIC")
