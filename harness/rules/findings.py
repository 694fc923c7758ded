"""Puts findings together: the earliest violations spelt out, the rest counted."""

from collections.abc import Callable
from typing import Final

import numpy as np

from harness.rules.reading.operations import Ints, Pushes
from harness.rules.refs.unexplained import REASONS, Unexplained
from harness.rules.registry import Finding, Violation
from harness.rules.told import answer, who

SHOWN: Final = 100  # violations that are spelt out; the rest are counted


def finding_of(
    examined: int, violations: list[Violation], total: int, *, note: str, lacks: str, shortfall: str = ""
) -> Finding:
    violations.sort(key=lambda violation: violation.order)
    return Finding(examined, tuple(violations), total, shortfall, note if examined else "", lacks)


def each(pushes: Pushes, place: Ints, chosen: Ints, violation: Callable[[int], Violation]) -> list[Violation]:
    """The earliest of the chosen, spelt out."""
    first = chosen[np.argsort(pushes.row[place[chosen]], kind="stable")][:SHOWN]
    return [violation(int(n)) for n in first]


SAYS: Final = {
    "answered": "although the same call had been answered {other}",
    "overlapped": "while a duplicate under way at the same time was answered {other}",
    "lost": "after the answer to the same call had been lost",
    "refused": "after a call with this ref had been answered {other}",
    "elsewhere": "after {who} was answered {other}",
    "near": "after a ref nearly equal to it had been used: {who} was answered {other}",
}


def refusal(refusals: Unexplained, n: int) -> Violation:
    """A valid call that was refused for its ref."""
    pushes, place, proof = refusals.pushes, int(refusals.place[n]), int(refusals.proof[n])
    cause = int(refusals.cause[n])
    because = SAYS[REASONS[refusals.reason[n]]].format(other=answer(pushes, cause), who=who(pushes, cause))
    later = pushes.sent[proof] > pushes.received[place]
    stands = "other calls of this token are served later" if later else "nobody had settled this token"
    told = f"{who(pushes, place)}: refused with {answer(pushes, place)} {because}; {stands}"
    rows = dict.fromkeys(int(pushes.row[n]) for n in (cause, place, proof))
    return Violation(tuple(rows), told)
