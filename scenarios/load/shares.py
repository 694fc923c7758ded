"""Shares islands of users out among scenarios: each gets as many as its share says, and those of the kind it needs."""

from math import ceil
from typing import Final

from harness.pool import User

Island = list[User]

MOST: Final = {
    "rate-limit": 6,
    "challenge-limit": 30,
    "lifecycle": 40,
    "idempotency": 120,
    "chaos": 30,
}  # persons that can be of use
LOGINS: Final = (
    "rate-limit",
    "lifecycle",
    "challenge-limit",
    "idempotency",
)  # to whom persons with several tokens are of use


def shared_out(shares: dict[str, float], islands: list[Island]) -> dict[str, list[Island]]:
    """Islands for each scenario by its share, those of every kind first to whom few are dealt."""
    whole = sum(shares.values())
    wanted = {
        name: max(2, min(MOST.get(name, len(islands)), ceil(len(islands) * share / whole)))
        for name, share in shares.items()
    }
    first = _several_logins(wanted, islands)
    taken = {id(island) for mine in first.values() for island in mine}
    rest = _varied([island for island in islands if id(island) not in taken])
    dealt: dict[str, list[Island]] = {}
    for name in sorted(wanted, key=lambda one: (one == "background", wanted[one])):
        left = wanted[name] - len(first.get(name, []))
        count = len(rest) if name == "background" else min(left, max(len(rest) - 1, 0))
        if name == "rate-limit":
            # Largest number of enrolled channels last: a channel that is not enrolled is free to ask for.
            rest.sort(key=lambda island: len(island[0].usable))
        dealt[name], rest = first.get(name, []) + rest[:count], rest[count:]
        rest = _varied(rest)
    if dealt and rest and "background" not in shares:
        largest = max(dealt, key=lambda one: MOST.get(one, 0))
        dealt[largest] += rest[: max(MOST.get(largest, 0) - len(dealt[largest]), 0)]
    return dealt


def _several_logins(wanted: dict[str, int], islands: list[Island]) -> dict[str, list[Island]]:
    """Islands with persons who have several tokens, in turn to those who need them, a third of what each wants.

    Limits and refs are kept for the person, and a settled token is not: only these can show it.
    """
    several = [island for island in islands if len({user.person for user in island}) < len(island)]
    names = [name for name in LOGINS if name in wanted]
    return {
        name: several[place :: len(names)][: ceil(wanted[name] / 3)] for place, name in enumerate(names)
    }  # fmt: skip


def _varied(islands: list[Island]) -> list[Island]:
    """The islands, those with both channels first, alternating between programmes."""
    seen: dict[int, int] = {}
    keyed = []
    for island in islands:
        programme = island[0].programme
        seen[programme] = seen.get(programme, 0) + 1
        keyed.append(((-len(island[0].usable), seen[programme], programme), island))
    return [island for _, island in sorted(keyed, key=lambda one: one[0])]
