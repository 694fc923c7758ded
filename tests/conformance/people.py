"""A profile and a pool for tests of the conformance stage: one of each kind of user."""

from typing import Any

from harness.pool import Pool, pool_of
from harness.profile import ChallengeLimit, Policy, Profile, RateLimit, Target

BOTH, ONE, TWO = ["AUTHY", "BIOMETRIC"], "key-one-000000000", "key-two-222222222"
ROWS: list[dict[str, Any]] = [
    {"token": "token-zero-0000000000", "api_key": ONE, "channels": BOTH, "user": "p"},
    {"token": "token-one-1111111111", "api_key": ONE, "channels": ["AUTHY"]},
    {"token": "token-two-2222222222", "api_key": TWO, "channels": ["AUTHY"], "unsupported": ["BIOMETRIC"]},
    {"token": "token-out-3333333333", "api_key": ONE, "channels": ["AUTHY"], "state": "logged_out"},
    {"token": "token-imp-4444444444", "api_key": ONE, "channels": ["AUTHY"], "state": "impersonator"},
    {"token": "token-zero-again-555", "api_key": ONE, "channels": BOTH, "user": "p"},
]


def profile(
    *,
    base_url: str = "http://127.0.0.1:1",
    challenges: ChallengeLimit | None = None,
    rate: RateLimit | None = None,
    policy: Policy | None = None,
    rows: list[dict[str, Any]] | None = None,
) -> Profile:
    pool: Pool = pool_of(ROWS if rows is None else rows)
    return Profile(Target(base_url), pool, policy or Policy(longest_ref=255), challenges, rate)
