"""What can be set about the embedded service: where it listens, whom it knows, and the policies it keeps."""

from dataclasses import dataclass, fields, replace
from types import NoneType, UnionType
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from harness.errors import HarnessError, suggest

CHANNELS: Final = ("AUTHY", "BIOMETRIC")
SECOND: Final = 10**9  # ns
FIXED: Final = ("seed", "fault", "host", "port", "workers")  # settings that have flags of their own


@dataclass(frozen=True)
class Settings:
    """Settings of the service; times in seconds. A count of None means that there is no such limit.

    `seed` makes the pool of `users` tokens. `port` 0 takes a free one. `prefix` is the path below which the operation
    lives, such as `/multi`. `in_flight_for` None: a challenge stays pending until it is settled. `work_for` is how
    long a request is worked on where a concurrent duplicate is answered 409 meanwhile.
    """

    seed: int = 1
    fault: str | None = None
    host: str = "127.0.0.1"
    port: int = 0
    workers: int = 2
    users: int = 400
    prefix: str = ""
    in_flight: Literal["allow", "reject"] = "allow"
    in_flight_for: float | None = None
    concurrent_duplicate: Literal["wait", "conflict"] = "wait"
    work_for: float = 0.005
    longest_ref: int = 255
    ref_retention: float = 25 * 3600.0  # the document asks for 24 h; an hour more forgives clocks that differ
    late_effect: float = 3.0
    challenge_count: int | None = 20
    challenge_window: float = 10.0
    challenge_scope: Literal["user", "programme"] = "user"
    rate_count: int | None = 40
    rate_window: float = 1.0
    rate_algorithm: Literal["sliding-window", "fixed-window", "token-bucket"] = "sliding-window"
    rate_scope: Literal["api-key", "user", "ip", "global"] = "user"
    rate_burst: int | None = None
    rate_phase: Literal["shared", "epoch", "first-request"] = "shared"
    retry_after: bool = True
    counts_refusals: bool = False
    counts_replays: bool = True

    def __post_init__(self) -> None:
        for name, least in (("users", 1), ("workers", 1), ("longest_ref", 1), ("rate_count", 1), ("rate_burst", 1),
                            ("challenge_count", 1), ("port", 0), ("seed", 0)):  # fmt: skip
            value = getattr(self, name)
            if value is not None and value < least:
                raise HarnessError(f"setting {name}: {value} is too small", hint=f"The least is {least}.")
        for name in ("rate_window", "challenge_window", "in_flight_for", "ref_retention"):
            value = getattr(self, name)
            if value is not None and not 0.001 <= value <= 10**8:
                raise HarnessError(f"setting {name}: {value} s cannot be kept", hint="It takes 0.001 to 100000000.")
        if self.prefix and (not self.prefix.startswith("/") or self.prefix.endswith("/")):
            raise HarnessError(f"setting prefix: {self.prefix!r} is no path prefix", hint="Write it as /multi.")

    @property
    def bucket(self) -> int:
        """The size of the token bucket: its burst, or the count."""
        return self.rate_burst or self.rate_count or 0


def with_policies(settings: Settings, given: tuple[str, ...]) -> Settings:
    """The settings changed by each `KEY=VALUE`; HarnessError names the valid keys or values."""
    kinds = get_type_hints(Settings)
    known = [field.name for field in fields(Settings) if field.name not in FIXED]
    changed: dict[str, Any] = {}
    for one in given:
        name, separator, text = one.partition("=")
        if name not in known:
            raise HarnessError(f"--policy {one}: no such setting", hint=suggest(name, known))
        if not separator:
            raise HarnessError(f"--policy {one}: has no value", hint=f"Write --policy {name}=VALUE.")
        changed[name] = _value(kinds[name], text, f"--policy {one}")
    return replace(settings, **changed)


def _value(kind: Any, text: str, where: str) -> Any:
    """`text` as a value of the annotated type: a number, a choice, true or false, or none where that is possible."""
    if get_origin(kind) is UnionType:
        if text == "none":
            return None
        kind = next(part for part in get_args(kind) if part is not NoneType)
    if get_origin(kind) is Literal:
        choices: dict[str, Any] = {choice: choice for choice in get_args(kind)}
    elif kind is bool:
        choices = {"true": True, "false": False}
    else:
        return _number(kind, text, where)
    if text not in choices:
        raise HarnessError(f"{where}: no such value", hint=suggest(text, list(choices)))
    return choices[text]


def _number(kind: Any, text: str, where: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        named = "a whole number" if kind is int else "a number of seconds"
        raise HarnessError(f"{where}: {text!r} is not {named}", hint="Times are in seconds, without a unit.") from None
