"""Rules about the run itself: is the history whole, and did the machine that made the load keep its schedule?"""

from harness.history import History


def gaps_of(history: History) -> tuple[str, ...]:
    """Everything that is known to be missing from a history, a sentence each."""
    return history.gaps
