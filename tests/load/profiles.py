"""Profiles for tests that send nothing: pools of any size, limits of any scope."""

from pathlib import Path
from typing import Any

from harness.pool import pool_of
from harness.profile import Profile, profile_of


def profile(
    count: int, *, keys: int = 4, persons_each: int = 1, in_flight: str = "allow", control: bool = True,
    challenges: dict[str, Any] | None = None, rate: dict[str, Any] | None = None,
) -> Profile:  # fmt: skip
    """A profile over `count` active users, and one logged out."""
    rows: list[dict[str, Any]] = [
        {
            "token": f"token-{n}", "api_key": f"key-{n % keys}", "user": f"person {n // persons_each}",
            "channels": ["AUTHY"] if n % 5 == 0 else ["AUTHY", "BIOMETRIC"], "state": "active",
        }
        for n in range(count)
    ]  # fmt: skip
    rows.append({"token": "gone", "api_key": "key-0", "channels": ["AUTHY"], "state": "logged_out"})
    limits = {name: table for name, table in (("challenges", challenges), ("rate", rate)) if table is not None}
    calls = {"accept": "POST /a/{challenge_id}", "reset": "POST /r"} if control else {}
    table = {
        "target": {"base_url": "http://127.0.0.1:1"}, "credentials": {"users": "users.json"},
        "policy": {"in_flight": in_flight}, "limits": limits, "control": calls,
    }  # fmt: skip
    return profile_of(table, pool_of(rows), Path("profile.toml"))
