"""Profiles and pools: what is read from them, and what is said about those that cannot be used."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.case import INTENTS
from harness.config import schema
from harness.errors import ExitCode, HarnessError
from harness.profile import ChallengeLimit, Profile, RateLimit, control_call, is_loopback, load_profile
from harness.run_folder import facts_of, profile_from_facts

USER = {"token": "token-aaaaaaaa", "api_key": "key-bbbbbbbb", "channels": ["AUTHY"]}
FULL = """
[target]
base_url = "http://127.0.0.1:8921/multi/"
exclusive = true
clock_step = "10ms"
late_effect = "30s"
hosts = 2
[credentials]
users = "users.json"
[policy]
in_flight = "reject"
in_flight_for = "120s"
concurrent_duplicate = "conflict"
[limits.challenges]
count = 5
window = "24h"
scope = "programme"
[limits.rate]
count = 50
window = "1s"
algorithm = "token-bucket"
burst = 60
scope = "user"
retry_after = true
counts_refusals = false
counts_replays = true
[control]
accept = "POST /simulate/challenges/{challenge_id}/accept"
headers = { "x-simulator-key" = "very-secret-value" }
[outcomes]
after-accept = ["409:STATE_INVALID"]
"""
PLAIN = '[target]\nbase_url = "http://127.0.0.1:8921"\n[credentials]\nusers = "users.json"\n'


def profile(folder: Path, text: str = PLAIN, users: Any = None) -> Profile:
    (folder / "users.json").write_text(json.dumps([USER] if users is None else users))
    path = folder / "profile.toml"
    path.write_text(text)
    return load_profile(path)


def test_reads_every_part_of_the_form(tmp_path: Path) -> None:
    read = profile(tmp_path, FULL)
    assert read.target.base_url == "http://127.0.0.1:8921/multi"
    assert (read.target.exclusive, read.target.clock_step_ns, read.target.hosts) == (True, 10_000_000, 2)
    assert read.target.late_effect_ns == 30 * 10**9
    assert read.policy.in_flight_for_ns == 120 * 10**9
    assert read.challenges == ChallengeLimit(5, 24 * 3600 * 10**9, "programme")
    assert read.rate == RateLimit(50, 10**9, "token-bucket", "user", 60, True, False, True, None)
    assert read.outcomes == {"after-accept": ("409:STATE_INVALID",)}


def test_everything_but_base_url_and_users_is_optional(tmp_path: Path) -> None:
    read = profile(tmp_path)
    assert (read.challenges, read.rate, read.control.accept) == (None, None, None)
    assert (read.policy.in_flight, read.target.exclusive, read.target.late_effect_ns) == ("allow", False, None)


def test_survives_the_way_through_a_run_folder_without_its_secrets(tmp_path: Path) -> None:
    read = profile(tmp_path, FULL)
    told = json.dumps([facts_of(read), read.pool.facts()])
    assert not [secret for secret in read.secrets() if secret in told]
    facts, pool = json.loads(told)
    again = profile_from_facts(facts, pool)
    assert (again.target, again.policy, again.challenges, again.rate) == (
        read.target,
        read.policy,
        read.challenges,
        read.rate,
    )
    assert [user.facts() for user in again.pool.users] == [user.facts() for user in read.pool.users]


def test_users_are_numbered_by_person_programme_and_key(tmp_path: Path) -> None:
    users = [
        {**USER, "token": "t-0"},
        {**USER, "token": "t-1", "user": "ann", "programme": "p", "api_key": "other"},
        {**USER, "token": "t-2", "user": "ann", "programme": "p", "api_key": "other"},
        {**USER, "token": "t-3", "state": "impersonator", "channels": []},
    ]
    pool = profile(tmp_path, users=users).pool
    assert [(user.person, user.programme, user.key) for user in pool.users] == [
        (0, 0, 0),
        (1, 1, 1),
        (1, 1, 1),
        (2, 0, 0),
    ]
    assert [user.index for user in pool.active] == [0, 1, 2]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "'target' is missing"),
        ("x = ", "not TOML"),
        (PLAIN.replace("base_url", "base_ulr"), "Did you mean 'base_url'"),
        (PLAIN + "[policies]\n", "Did you mean 'policy'"),
        (PLAIN + '[policy]\nin_flight = "alow"\n', "Did you mean 'allow'"),
        (PLAIN + '[limits.rate]\ncount = "5"\nwindow = "1s"\n', "limits.rate.count: '5' is not valid"),
        (PLAIN + '[limits.rate]\ncount = 0\nwindow = "1s"\n', "at least 1"),
        (PLAIN + '[limits.rate]\ncount = 5\nwindow = "1"\n', "A number and a unit"),
        (PLAIN + '[limits.rate]\ncount = 5\nwindow = "900000d"\n', "too long"),
        (PLAIN + '[limits.rate]\ncount = 5\nwindow = "0s"\n', "too short"),
        (PLAIN + '[limits.rate]\ncount = 5\nwindow = "1s"\nburst = 9\n', "only a token-bucket has a burst"),
        (PLAIN + '[limits.challenges]\ncount = 5\n', "'window' is missing"),
        (PLAIN + '[control]\naccept = "simulate"\n', "control.accept: 'simulate' is not valid"),
        (PLAIN + '[outcomes]\nafter-accept = ["nonsense"]\n', "'nonsense' is not valid"),
        (PLAIN.replace("http://", ""), "has no scheme or host"),
        (PLAIN.replace("http://", "ftp://"), "has no scheme or host"),
        (PLAIN.replace("http://127.0.0.1:8921", "http://127.0.0.1:99999"), "Port out of range"),
        (PLAIN.replace("http://", "http://me:pass@"), "holds a user or password"),
        (PLAIN.replace("8921", "8921/?a=b"), "query"),
        (PLAIN.replace("127.0.0.1", "10.0.0.1"), "not a loopback address"),
        (PLAIN.replace("127.0.0.1", "example.org"), "allow = true"),
        (PLAIN.replace('users = "users.json"', ""), "Give exactly one of: users, users_env"),
        (PLAIN.replace("users.json", "nowhere.json"), "No such file"),
        (PLAIN.replace('users = "users.json"', 'users_env = "STEPUP_NOT_SET"'), "STEPUP_NOT_SET is not set"),
    ],
)  # fmt: skip
def test_a_profile_that_cannot_be_used_is_refused_with_what_to_do(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(HarnessError) as raised:
        profile(tmp_path, text)
    assert says in str(raised.value)
    assert raised.value.code == ExitCode.USAGE
    assert str(raised.value).count("\n") <= 1


@pytest.mark.parametrize(
    ("users", "says"),
    [
        ([], "has no users"),
        ({}, "must be a list"),
        ([USER, USER], "users 0 and 1 have the same token"),
        ([{"token": "t", "api_key": "k"}], "'channels' is missing"),
        ([{**USER, "channels": []}], "no active user is enrolled"),
        ([{**USER, "channels": ["AUTHI"]}], "Did you mean 'AUTHY'"),
        ([{**USER, "state": "loged_out"}], "Did you mean 'logged_out'"),
        ([{**USER, "chanels": ["AUTHY"]}], "Did you mean 'channels'"),
        ([{**USER, "token": ""}], "user 0: token"),
        ([{**USER, "token": 7}], "user 0: token"),
        ([{**USER, "token": "se cret\n"}], "user 0: token"),
        (["x"], "user 0"),
    ],
)
def test_a_pool_that_cannot_be_used_is_refused_without_showing_a_secret(users: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(HarnessError) as raised:
        profile(tmp_path, users=users)
    assert says in str(raised.value)
    assert "token-aaaaaaaa" not in str(raised.value)
    assert "se cret" not in str(raised.value)


def test_a_pool_may_carry_its_owners_notes(tmp_path: Path) -> None:
    assert len(profile(tmp_path, users=[{**USER, "comment": "a device in the lab"}]).pool.users) == 1


def test_a_pool_that_is_not_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "profile.toml"
    path.write_text(PLAIN)
    for text in ("", "[", "[" * 100_000, '[{"token": "a"'):
        (tmp_path / "users.json").write_text(text)
        with pytest.raises(HarnessError, match="not JSON"):
            load_profile(path)


def test_the_pool_can_be_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = tmp_path / "elsewhere.json"
    pool.write_text(json.dumps([USER]))
    monkeypatch.setenv("STEPUP_POOL", str(pool))
    read = profile(tmp_path, PLAIN.replace('users = "users.json"', 'users_env = "STEPUP_POOL"'))
    assert read.pool.users[0].token == USER["token"]


def test_another_host_is_tested_only_when_the_profile_allows_it(tmp_path: Path) -> None:
    text = PLAIN.replace("127.0.0.1", "example.org").replace("[credentials]", "allow = true\n[credentials]")
    assert profile(tmp_path, text).target.base_url == "http://example.org:8921"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.8.9.1", True),
        ("http://[::1]:80/x", True),
        ("http://localhost", True),
        ("http://localhost.example.org", False),
        ("http://0.0.0.0", False),
        ("http://192.168.0.1", False),
    ],
)
def test_loopback_is_told_by_the_address_alone(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected


def test_a_challenge_id_from_a_target_cannot_leave_its_path_segment() -> None:
    assert control_call("POST /simulate/{challenge_id}/accept", "../../x?y#z") == (
        "POST",
        "/simulate/..%2F..%2Fx%3Fy%23z/accept",
    )


def test_the_form_knows_every_kind_of_request_by_name() -> None:
    told = schema("profile.schema.json")["properties"]["outcomes"]["properties"]
    assert {name: one["description"].lower() for name, one in told.items()} == {
        name: f"{intent.says}.".lower() for name, intent in INTENTS.items()
    }
