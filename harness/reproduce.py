"""The command line that shows a violation again."""

from harness.history import History
from harness.rules import Rule, Violation


def reproduce(rule: Rule, history: History, violation: Violation, seed: int) -> str:
    """A shell command for a failed rule."""
    return ""
