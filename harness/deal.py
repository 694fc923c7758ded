"""Deals the pool's users to the stages of a run, so that one stage does not use up what another needs."""

from itertools import zip_longest
from typing import Final

from harness.pool import Pool, User

FEWEST_TO_SPLIT: Final = 8  # persons; with fewer, each stage sees all users, and the later one reads what is used up
MOST_FOR_CONFORMANCE: Final = 80  # persons; its cases are sent one after another, so more would idle


def deal(pool: Pool, stages: list[str]) -> dict[str, list[int]]:
    """User indices for each stage. All tokens of one person go to one stage, as limits and refs are per person."""
    everyone = [user.index for user in pool.users]
    persons = _active_persons(pool)
    if len(stages) < 2 or len(persons) < FEWEST_TO_SPLIT:
        return dict.fromkeys(stages, everyone)
    quota = min(MOST_FOR_CONFORMANCE, len(persons) // 4 + 2)
    chosen = set(_varied(persons)[:quota])
    first = [user.index for user in pool.users if user.person in chosen or user.state != "active"]
    return {"conformance": first, "load": sorted(set(everyone) - set(first))}


def _active_persons(pool: Pool) -> dict[int, list[User]]:
    """The active tokens of each person that has one."""
    persons: dict[int, list[User]] = {}
    for user in pool.active:
        persons.setdefault(user.person, []).append(user)
    return persons


def _varied(persons: dict[int, list[User]]) -> list[int]:
    """All persons, so ordered that each kind (programme, enrolment, number of tokens) comes early."""
    kinds: dict[object, list[int]] = {}
    for person, tokens in persons.items():
        kind = (tokens[0].programme, tokens[0].channels, tokens[0].unsupported, len(tokens) > 1)
        kinds.setdefault(kind, []).append(person)
    rows = zip_longest(*kinds.values())
    return [person for row in rows for person in row if person is not None]
