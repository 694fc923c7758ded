"""The rows of the matrix: every value alone on every channel, and every two values of different dimensions together."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from harness.spec import load_spec
from scenarios.conformance.desk import Desk, Role
from scenarios.conformance.dimensions import VALUES, Setting, Value
from scenarios.conformance.draft import Draft, draft_for

# Dimensions whose values are tried beside every value of every other; the rest beside a share of them.
FULL: Final = ("key", "token", "channel", "ref", "state")
SHARE: Final = (
    6  # one in so many pairs with a value of another dimension, in turn, so that each value meets each dimension
)


@dataclass(frozen=True)
class Row:
    """One case: what is unusual about it, and the channel it starts from."""

    values: tuple[Value, ...]
    channel: str

    @property
    def id(self) -> str:
        return "+".join([*(value.id for value in self.values), self.channel])

    @property
    def role(self) -> Role:
        return next((value.role for value in self.values if value.role != "plain"), "plain")


def single_rows(channels: tuple[str, ...]) -> list[Row]:
    """Each value alone, on each channel."""
    return [Row((value,), channel) for channel in channels for values in VALUES.values() for value in values]


def double_rows(channels: tuple[str, ...]) -> list[Row]:
    """Two values of different dimensions, the channels in turn."""
    rows = []
    for number, (first, second) in enumerate(_pairs()):
        rows.append(Row((first, second), channels[number % len(channels)]))
    return rows


def _pairs() -> Iterator[tuple[Value, Value]]:
    for one, other in combinations(VALUES, 2):
        full = one in FULL and other in FULL
        for a, first in enumerate(VALUES[one]):
            for b, second in enumerate(VALUES[other]):
                if _together(first, second) and (full or (a + b) % SHARE == 0 or _meets(a, b, one, other)):
                    yield first, second


def _meets(a: int, b: int, one: str, other: str) -> bool:
    """Whether this pair makes sure that every value of both dimensions meets one of the other."""
    first, second = len(VALUES[one]), len(VALUES[other])
    return a % second == b if first >= second else b % first == a


def _together(first: Value, second: Value) -> bool:
    """Whether two values can be had in one request: at most one of them says who asks."""
    return first.paired and second.paired and "plain" in (first.role, second.role)


def draft_of(row: Row, desk: Desk) -> Draft:
    """The request of a row; skips the test where the pool has nobody to make it."""
    unique = desk.stage.ref(row.id)
    user = desk.next(row.channel) if row.role == "plain" else desk.find(row.role, row.channel)
    draft = draft_for(user, row.channel, unique)
    setting = Setting(desk, user, row.channel, unique)
    for value in row.values:
        value.put(draft, setting)
    return draft


def channels_for_rows() -> tuple[str, ...]:
    return load_spec().channels
