"""A target and what it declares about itself, read from a profile in TOML."""

import os
import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from harness.allowances import Allowance, allowances_of
from harness.config import duration_ns, load_toml
from harness.errors import HarnessError
from harness.pool import Pool, read_pool

Algorithm = Literal["sliding-window", "sliding-window-counter", "fixed-window", "token-bucket"]
RateScope = Literal["api-key", "user", "ip", "global"]
Phase = Literal["shared", "epoch", "first-request"]
MS = 10**6


@dataclass(frozen=True)
class Target:
    """Where the deployment is. Times in ns; `late_effect_ns` None: a lost request may act at any later time."""

    base_url: str
    allow: bool = False
    exclusive: bool = False
    clock_step_ns: int = MS
    late_effect_ns: int | None = None
    hosts: int = 1
    ca_file: Path | None = None


@dataclass(frozen=True)
class Policy:
    """What the document leaves to the deployment; defaults are those seen in the platform's public acceptance tests."""

    in_flight: Literal["allow", "reject"] = "allow"
    in_flight_for_ns: int | None = None
    concurrent_duplicate: Literal["wait", "conflict"] = "wait"
    longest_ref: int | None = None


@dataclass(frozen=True)
class ChallengeLimit:
    """At most `count` challenges in any `window_ns`, for each user or programme."""

    count: int
    window_ns: int
    scope: Literal["user", "programme"] = "user"


@dataclass(frozen=True)
class RateLimit:
    """At most `count` requests in `window_ns` by the declared algorithm; None means that the profile does not say."""

    count: int
    window_ns: int
    algorithm: Algorithm = "sliding-window"
    scope: RateScope = "api-key"
    burst: int | None = None
    retry_after: bool = False
    counts_refusals: bool | None = None
    counts_replays: bool | None = None
    phase: Phase | None = None

    @property
    def bucket(self) -> int:
        """The size of the token bucket: the declared burst, or the count."""
        return self.burst if self.burst is not None else self.count


@dataclass(frozen=True)
class Control:
    """Calls that steer the target, each `METHOD /path` or None where the target has none."""

    accept: str | None = None
    decline: str | None = None
    pushes: str | None = None
    reset: str | None = None
    kill: str | None = None
    stall: str | None = None
    headers: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Profile:
    """A target, what it declares, and the credentials to test it with."""

    target: Target
    pool: Pool = field(repr=False)
    policy: Policy = Policy()
    challenges: ChallengeLimit | None = None
    rate: RateLimit | None = None
    control: Control = Control()
    outcomes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    allowed: tuple[Allowance, ...] = ()

    def secrets(self) -> list[str]:
        """Every value that may appear in no output: tokens, keys and the values of control headers."""
        return [*self.pool.secrets(), *self.control.headers.values()]


def load_profile(path: Path) -> Profile:
    """The profile in the file at `path` with its pool; HarnessError where either is not usable."""
    table = load_toml(path, "profile", "profile.schema.json")
    return profile_of(table, read_pool(_users_file(table["credentials"], path)), path)


def profile_of(table: dict[str, Any], pool: Pool, path: Path) -> Profile:
    """A profile from its checked table; `path` is where relative files start and what errors name."""
    target = _target(table["target"], path)
    limits = table.get("limits", {})
    outcomes = {name: tuple(values) for name, values in table.get("outcomes", {}).items()}
    challenges = _limit(limits.get("challenges"), ChallengeLimit)
    rate = _limit(limits.get("rate"), RateLimit)
    if rate is not None and rate.burst is not None and rate.algorithm != "token-bucket":
        raise HarnessError(f"profile {path}: limits.rate.burst: only a token-bucket has a burst", hint="Leave it out.")
    control = Control(**table.get("control", {}))
    allowed = allowances_of(table.get("allowed", []), f"profile {path}: allowed")
    return Profile(
        target, pool, Policy(**_times(table.get("policy", {}))), challenges, rate, control, outcomes, allowed
    )


def _limit(table: dict[str, Any] | None, kind: type[Any]) -> Any:
    return None if table is None else kind(**_times(table))


def _times(table: dict[str, Any]) -> dict[str, Any]:
    """The table with every duration as `<name>_ns`."""
    timed = {"window", "in_flight_for", "clock_step", "late_effect"}
    return {(f"{k}_ns" if k in timed else k): (duration_ns(v) if k in timed else v) for k, v in table.items()}


def _target(table: dict[str, Any], path: Path) -> Target:
    values = _times(table)
    values["base_url"] = _base_url(values["base_url"], path)
    if "ca_file" in values:
        values["ca_file"] = path.parent / values["ca_file"]
        if not values["ca_file"].is_file():
            raise HarnessError(f"profile {path}: target.ca_file: no such file: {values['ca_file']}")
    target = Target(**values)
    if not target.allow and not is_loopback(target.base_url):
        raise HarnessError(
            f"profile {path}: target.base_url: {urlsplit(target.base_url).hostname} is not a loopback address",
            hint="Load goes to another host only when the profile says `allow = true` under [target].",
        )
    return target


def _base_url(text: str, path: Path) -> str:
    """The URL without a trailing slash; HarnessError unless it is plain http(s) with a host."""
    where = f"profile {path}: target.base_url"
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise HarnessError(f"{where}: {text!r}: {error}", hint="Write it as http://127.0.0.1:8921/prefix.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise HarnessError(f"{where}: {text!r} has no scheme or host", hint="Write it as http://127.0.0.1:8921/prefix.")
    if parts.username is not None or parts.password is not None:
        raise HarnessError(f"{where}: holds a user or password", hint="Credentials belong into the credentials pool.")
    if parts.query or parts.fragment or re.search(r"[\s\x00-\x20\x7f]", text):
        raise HarnessError(f"{where}: {text!r} has a query, a fragment or spaces", hint="Leave them out.")
    return text.rstrip("/")


def is_loopback(base_url: str) -> bool:
    """Whether the URL names this machine by address or as localhost; names are not looked up, as answers change."""
    host = urlsplit(base_url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _users_file(credentials: dict[str, str], path: Path) -> Path:
    if "users" in credentials:
        return path.parent / credentials["users"]
    name = credentials["users_env"]
    value = os.environ.get(name)
    if not value:
        raise HarnessError(
            f"profile {path}: credentials.users_env: the environment variable {name} is not set",
            hint=f"Set it to the path of the users file: export {name}=/path/to/users.json",
        )
    return Path(value)


def control_call(template: str, challenge_id: str = "") -> tuple[str, str]:
    """Method and path of a control call with the challenge id in its place, percent-encoded."""
    from urllib.parse import quote

    method, path = template.split(" ", 1)
    return method, path.replace("{challenge_id}", quote(challenge_id, safe=""))


def channels_of(profile: Profile) -> tuple[str, ...]:
    """The document's channels that at least one active user of the pool is enrolled on."""
    from harness.spec import load_spec

    enrolled = {channel for user in profile.pool.users if user.state == "active" for channel in user.usable}
    return tuple(channel for channel in load_spec().channels if channel in enrolled)
