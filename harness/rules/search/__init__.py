"""Searches for one order of a person's calls that a correct endpoint could have answered this way."""

from harness.rules.search.calls import LIMITED, MAYBE, MAYBE_SETTLED, REFUSED, SERVED, SETTLED, Call, Terms
from harness.rules.search.frontier import BUDGET, Outcome, search
from harness.rules.search.reduce import reduce

__all__ = [
    "BUDGET",
    "LIMITED",
    "MAYBE",
    "MAYBE_SETTLED",
    "REFUSED",
    "SERVED",
    "SETTLED",
    "Call",
    "Outcome",
    "Terms",
    "reduce",
    "search",
]
