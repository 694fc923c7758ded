"""What a rule is, and the one place where rules are registered and validated."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, get_args

from harness.history import History
from harness.profile import Profile

Severity = Literal["must", "should"]
Scope = Literal["exchange", "history", "run"]
FAMILIES: Final = ("responses", "who may", "idempotency", "challenge limit", "rate limit", "state", "run")


@dataclass(frozen=True)
class Violation:
    """One contradiction: `rows` are positions in `history.frame`, the fewest exchanges that still contradict it."""

    rows: tuple[int, ...]
    message: str


@dataclass(frozen=True)
class Finding:
    """What a check saw. `examined` counts occasions on which the rule could have failed; 0 is 'not exercised'.

    `violations` come earliest first and may be a sample; `total` is how many there are (None: all are listed).
    `shortfall` says why what was seen does not decide ('' where it does): without violations that is 'inconclusive'.
    `note` says what was seen, `lacks` what target, profile or plan lack when nothing could be examined.
    """

    examined: int
    violations: tuple[Violation, ...] = ()
    total: int | None = None
    shortfall: str = ""
    note: str = ""
    lacks: str = ""


Check = Callable[[History, Profile], Finding]


@dataclass(frozen=True)
class Rule:
    """A promise of the endpoint. `source` says who makes it; `advice` what a developer of the target should look at.

    `sound_with_gaps`: whether a failure stands though a part of the history is missing, as it does where what is there
    contradicts itself, and does not where something that was not seen could explain it. `least`: the fewest occasions
    that earn a pass; a few lucky ones say nothing of a rule that is broken by chance.
    """

    id: str
    family: str
    severity: Severity
    scope: Scope
    statement: str
    source: str
    advice: str
    check: Check
    sound_with_gaps: bool = True
    least: int = 1


RULES: Final[dict[str, Rule]] = {}


def rule(
    rule_id: str,
    *,
    family: str,
    severity: Severity,
    scope: Scope,
    statement: str,
    source: str,
    advice: str,
    sound_with_gaps: bool = True,
    least: int = 1,
) -> Callable[[Check], Check]:
    """Register the decorated check as a rule; ValueError where the declaration is not complete or not unique."""

    def register(check: Check) -> Check:
        made = Rule(rule_id, family, severity, scope, statement, source, advice, check, sound_with_gaps, least)
        _validate(made)
        RULES[rule_id] = made
        return check

    return register


def _validate(made: Rule) -> None:
    if not re.fullmatch(r"[a-z]+(-[a-z]+)*", made.id) or made.id in RULES:
        raise ValueError(f"rule {made.id!r}: the id must be new, and words joined by hyphens")
    if made.family not in FAMILIES:
        raise ValueError(f"rule {made.id}: family {made.family!r} is none of {FAMILIES}")
    if made.severity not in get_args(Severity) or made.scope not in get_args(Scope):
        raise ValueError(f"rule {made.id}: severity or scope is not valid")
    if made.least < 1:
        raise ValueError(f"rule {made.id}: least is {made.least}, but nothing examined is never a pass")
    for name in ("statement", "source", "advice"):
        if not getattr(made, name).strip():
            raise ValueError(f"rule {made.id}: {name} is empty")
