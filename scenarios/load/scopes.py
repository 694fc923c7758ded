"""Whose requests and challenges a profile's limits count together, and over how long."""

from collections.abc import Iterable

from harness.pool import User
from harness.profile import Profile, RateLimit


def rate_scope(profile: Profile, user: User) -> int:
    """The number of the scope that this user's requests are counted in."""
    scope = profile.rate.scope if profile.rate else "user"
    return {"api-key": user.key, "user": user.person}.get(scope, 0)


def challenge_scope(profile: Profile, user: User) -> int:
    """The number of the scope that this user's challenges are counted in."""
    by_programme = profile.challenges is not None and profile.challenges.scope == "programme"
    return user.programme if by_programme else user.person


def windows_of(rate: RateLimit) -> tuple[int, int]:
    """How many requests a scope may make at once, and after how many ns it surely may again."""
    if rate.algorithm == "token-bucket":
        return rate.bucket, rate.window_ns * rate.bucket // rate.count
    return rate.count, rate.window_ns


def usable(users: Iterable[User]) -> list[User]:
    """The users that can be sent a push."""
    return [user for user in users if user.state == "active" and user.usable]
