"""Whom the service knows: the programmes with their keys, and the tokens of the people logged in to them."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from harness.reference.settings import CHANNELS, Settings

PROGRAMMES: Final = 6
AUTHY_ONLY_PROGRAMME: Final = 4  # the programme that does not offer BIOMETRIC
TWO_TOKENS: Final = 10  # every tenth person is logged in twice


@dataclass(frozen=True, slots=True)
class Login:
    """One token. `enrolled` are the person's channels, `unsupported` those that the programme does not offer."""

    token: str
    api_key: str
    programme: str
    person: str
    state: str
    enrolled: frozenset[str]
    unsupported: frozenset[str]


class People:
    """All logins by token, and all programmes by key."""

    def __init__(self, rows: Iterable[dict[str, Any]]) -> None:
        self.logins: dict[str, Login] = {}
        self.programmes: dict[str, str] = {}
        for row in rows:
            login = Login(
                row["token"], row["api_key"], row["programme"], row["user"], row["state"],
                frozenset(row["channels"]), frozenset(row.get("unsupported", ())),
            )  # fmt: skip
            self.logins[login.token] = login
            self.programmes[login.api_key] = login.programme


def make_people(settings: Settings) -> list[dict[str, Any]]:
    """The rows of users.json for a pool of this seed and size: every kind of user, as far as it reaches."""
    rng = random.Random(f"people:{settings.seed}")  # noqa: S311  (a pool that is the same again needs no secrecy)
    keys = [f"key-{number}-{_secret(rng)}" for number in range(PROGRAMMES)]
    rows: list[dict[str, Any]] = []
    person = 0
    while len(rows) < settings.users:
        row = _row(person, keys, rng)
        rows.append(row)
        if person % TWO_TOKENS == TWO_TOKENS - 1 and row["state"] == "active" and len(rows) < settings.users:
            rows.append({**row, "token": f"token-{_secret(rng)}"})
        person += 1
    return rows


def _row(person: int, keys: list[str], rng: random.Random) -> dict[str, Any]:
    """The first few persons are plain, so that a small pool is of use; then every kind comes round."""
    programme = person % PROGRAMMES
    row: dict[str, Any] = {
        "token": f"token-{_secret(rng)}",
        "api_key": keys[programme],
        "programme": f"programme-{programme}",
        "user": f"person-{person}-{rng.getrandbits(32):08x}",
        "channels": list(_enrolled(person)),
        "state": _state(person),
    }
    return {**row, "unsupported": ["BIOMETRIC"]} if programme == AUTHY_ONLY_PROGRAMME else row


def _enrolled(person: int) -> tuple[str, ...]:
    """Three persons in four on both channels; nobody is left without one that their programme offers."""
    if person % 8 == 3:
        return CHANNELS[:1]
    if person % 8 == 5 and person % PROGRAMMES != AUTHY_ONLY_PROGRAMME:
        return CHANNELS[1:]
    return CHANNELS


def _state(person: int) -> str:
    return {7: "logged_out", 14: "impersonator"}.get(person % 17, "active")


def _secret(rng: random.Random) -> str:
    return f"{rng.getrandbits(128):032x}"
