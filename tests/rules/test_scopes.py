"""Limits are judged by part where no scope of theirs lies in several, and then nothing that counts is missing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness import parted, scopes
from harness.circles import places_of
from harness.history import read_history
from harness.judge import judge
from harness.pool import pool_of
from harness.profile import ChallengeLimit, Profile, RateLimit
from harness.rules import RULES, Finding
from tests.history_files import make_history, make_profile
from tests.rules.test_parted import Here, write
from tests.rules.whole_runs import Run, any_world, defective_world

SECOND = 10**9
# Persons 0 and 1 share a key, 1 and 2 a programme; 3 is alone, with two tokens.
USERS = [
    {"token": "a", "api_key": "k1", "programme": "p1", "channels": ["AUTHY"]},
    {"token": "b", "api_key": "k1", "programme": "p1", "channels": ["AUTHY"], "user": "b"},
    {"token": "c", "api_key": "k2", "programme": "p1", "channels": ["AUTHY"]},
    {"token": "d", "api_key": "k3", "programme": "p2", "channels": ["AUTHY"], "user": "d"},
    {"token": "e", "api_key": "k3", "programme": "p2", "channels": ["AUTHY"], "user": "d"},
]


def limited(challenges: str, rate: str, algorithm: str = "sliding-window") -> Profile:
    return replace(
        make_profile({}),
        pool=pool_of(USERS),
        challenges=ChallengeLimit(3, SECOND, challenges),  # type: ignore[arg-type]  # any of them
        rate=RateLimit(3, SECOND, algorithm, rate),  # type: ignore[arg-type]  # any of them
    )


def together(profile: Profile, most: int = 100) -> tuple[list[int], list[str]]:
    """For each token the first one in the same part, with a part for each circle, and the limits that are divisible."""
    asked = np.ones(len(USERS), np.int64)
    places = places_of(profile, asked, 5, most)
    part = places(np.arange(len(USERS))).tolist()
    return [part.index(one) for one in part], sorted(places.limits)


@pytest.mark.parametrize(
    ("challenges", "rate", "algorithm", "first", "limits"),
    [
        ("user", "user", "sliding-window", [0, 1, 2, 3, 3], ["challenges", "rate"]),
        ("user", "api-key", "token-bucket", [0, 0, 2, 3, 3], ["challenges", "rate"]),
        ("programme", "user", "sliding-window", [0, 0, 0, 3, 3], ["challenges", "rate"]),
        ("programme", "api-key", "sliding-window", [0, 0, 0, 3, 3], ["challenges", "rate"]),
        ("user", "api-key", "fixed-window", [0, 1, 2, 3, 3], ["challenges"]),
        ("user", "global", "sliding-window", [0, 1, 2, 3, 3], ["challenges"]),
    ],
)
def test_who_shares_a_limit_is_in_one_part(
    challenges: str, rate: str, algorithm: str, first: list[int], limits: list[str]
) -> None:
    assert together(limited(challenges, rate, algorithm)) == (first, limits)


def test_who_shares_a_limit_with_too_many_is_not_kept_together() -> None:
    assert together(limited("programme", "user"), most=2) == ([0, 1, 2, 3, 3], ["rate"])
    assert together(limited("programme", "user"), most=3) == ([0, 0, 0, 3, 3], ["challenges", "rate"])


def test_parts_are_filled_about_evenly_and_strangers_are_spread() -> None:
    profile = replace(limited("user", "user"), pool=pool_of([{**USERS[0], "token": f"t{n}"} for n in range(100)]))
    places = places_of(profile, np.arange(100), 7, 1000)
    filled = np.bincount(places(np.arange(100)), weights=np.arange(100))
    assert len(filled) == 7
    assert filled.max() < 1.15 * filled.min()
    assert len(set(places(np.arange(100, 200)).tolist())) == 7
    assert places(np.array([-1, -1])).max() < 7


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, list[Finding]]]:
    """What was seen by scope of each history that is judged in parts."""
    found: list[dict[str, list[Finding]]] = []
    whole = scopes.judge_scopes

    def watched(*arguments: object) -> dict[str, list[Finding]]:
        found.append(whole(*arguments))  # type: ignore[arg-type]  # handed on as they are
        return found[-1]

    monkeypatch.setattr(parted, "judge_scopes", watched)
    return found


def shares(seen: dict[str, list[Finding]]) -> set[str]:
    """What the rules go through of which something was seen by part."""
    return {share for name in seen for share in RULES[name].by_scope}


def test_limits_that_were_kept_are_decided_by_scope(tmp_path: Path, seen: list[dict[str, list[Finding]]]) -> None:
    history, profile = Run(any_world(1, programmes=5)).history()
    write(history, tmp_path)
    parts = parted.judge_in_parts(tmp_path, profile, local=Here(), a_part=history.size // 3)
    assert parts == judge(read_history(tmp_path), profile)
    assert {name for name, rule in RULES.items() if "challenges" in rule.by_scope} <= set(seen[0])
    assert all(len(findings) > 2 for findings in seen[0].values())


def test_what_is_wrong_is_explained_from_all_scopes(tmp_path: Path, seen: list[dict[str, list[Finding]]]) -> None:
    history, profile = Run(defective_world(2, "rate-of-all", programmes=5)).history()
    write(history, tmp_path)
    parts = parted.judge_in_parts(tmp_path, profile, local=Here(), a_part=history.size // 3)
    assert parts == judge(read_history(tmp_path), profile)
    assert any(one.status == "fail" and "rate" in RULES[one.rule].by_scope for one in parts)
    assert shares(seen[0]) == {"challenges", "ids"}


def test_an_id_of_two_parts_is_looked_for_in_all_of_them(tmp_path: Path, seen: list[dict[str, list[Finding]]]) -> None:
    pushes = [{"t": [n, n + 1], "user": n % 4, "ref": f"r{n}", "id": f"c{n}"} for n in range(40)]
    history, made = make_history([*pushes, {"t": [60, 61], "user": 2, "ref": "other", "id": "c1"}])
    profile = replace(limited("user", "user"), target=made.target, challenges=None, rate=None)
    write(history, tmp_path)
    parts = parted.judge_in_parts(tmp_path, profile, local=Here(), a_part=10)
    assert parts == judge(read_history(tmp_path), profile)
    assert next(one for one in parts if one.rule == "challenge-id-unique").violations == 1
    assert shares(seen[0]) == {"rate"}


@pytest.mark.parametrize("told", [39, 40, 41])
def test_pushes_are_counted_over_all_parts(told: int, tmp_path: Path, seen: list[dict[str, list[Finding]]]) -> None:
    pushes = [{"t": [n, n + 1], "user": n % 4, "ref": f"r{n}", "id": f"c{n}"} for n in range(1, 41)]
    counts = [{"op": "pushes", "t": [0, 0.5], "told": 0}, {"op": "pushes", "t": [5000, 5001], "told": told}]
    settings = {"target": {"exclusive": True, "late_effect": "1s"}, "control": {"pushes": "GET /pushes"}}
    history, made = make_history([*pushes, *counts], settings)
    profile = replace(limited("user", "user"), target=made.target, control=made.control, challenges=None, rate=None)
    write(history, tmp_path)
    parts = parted.judge_in_parts(tmp_path, profile, local=Here(), a_part=10)
    assert parts == judge(read_history(tmp_path), profile)
    verdict = next(one for one in parts if one.rule == "push-at-most-once")
    assert (verdict.status, verdict.examined) == ("pass" if told == 40 else "fail", 40)
    assert len(seen[0]["push-at-most-once"]) > 3
