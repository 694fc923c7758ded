"""What a rule is, and the one place where rules are registered and validated."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, get_args

from harness.history import History
from harness.profile import Profile

Severity = Literal["must", "should"]
Scope = Literal["exchange", "history", "run"]
Limit = Literal["challenges", "rate"]
Share = Limit | Literal["ids"]
FAMILIES: Final = ("responses", "who may", "idempotency", "challenge limit", "rate limit", "state", "run")


@dataclass(frozen=True)
class Violation:
    """One contradiction: `rows` are positions in `history.frame`, the fewest exchanges that still contradict it."""

    rows: tuple[int, ...]
    message: str

    @property
    def order(self) -> tuple[int, tuple[int, ...]]:
        """Violations are told in the order in which each was complete."""
        return max(self.rows), self.rows


@dataclass(frozen=True)
class Finding:
    """What a check saw. `examined` counts occasions on which the rule could have failed; 0 is 'not exercised'.

    `violations` come earliest first and may be a sample; `total` is how many there are (None: all are listed).
    `shortfall` says why what was seen does not decide ('' where it does): without violations that is 'inconclusive'.
    `note` says what was seen, `lacks` what target, profile or plan lack when nothing could be examined.

    A history may be examined in parts. What then follows from all parts together only is told by `conclude`, a function
    of a module or a partial of one, from `facts`: numbers and the like, which add up, sets, which are united, and
    `Most`.
    """

    examined: int
    violations: tuple[Violation, ...] = ()
    total: int | None = None
    shortfall: str = ""
    note: str = ""
    lacks: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    conclude: "Callable[[Finding], Finding] | None" = None

    @property
    def all_told(self) -> int:
        """How many violations there are."""
        return len(self.violations) if self.total is None else self.total


class Most(int):
    """A fact of which the largest counts."""


def merged(findings: "list[Finding]") -> Finding:
    """One finding from those of the parts of a history, in any order."""
    first = findings[0]
    facts: dict[str, Any] = {}
    for name, value in ((name, value) for one in findings for name, value in one.facts.items()):
        facts[name] = _joined(facts[name], value) if name in facts else value
    every = [violation for one in findings for violation in one.violations]
    return Finding(
        examined=sum(one.examined for one in findings),
        violations=tuple(sorted(every, key=lambda violation: violation.order)),
        total=sum(one.all_told for one in findings),
        shortfall=next((one.shortfall for one in findings if one.shortfall), ""),
        note=next((one.note for one in findings if one.note), ""),
        lacks=next((one.lacks for one in findings if one.lacks), ""),
        facts=facts,
        conclude=first.conclude,
    )


def _joined(one: Any, other: Any) -> Any:
    if isinstance(one, Most):
        return max(one, other)
    return one | other if isinstance(one, frozenset) else one + other


def concluded(finding: Finding) -> Finding:
    """The finding with what follows from its facts."""
    return finding if finding.conclude is None else replace(finding.conclude(finding), facts={}, conclude=None)


Check = Callable[[History, Profile], Finding]


@dataclass(frozen=True)
class Rule:
    """A promise of the endpoint. `source` says who makes it; `advice` what a developer of the target should look at.

    `sound_with_gaps`: whether a failure stands though a part of the history is missing, as it does where what is there
    contradicts itself, and does not where something that was not seen could explain it. `least`: the fewest occasions
    that earn a pass; a few lucky ones say nothing of a rule that is broken by chance.

    `by_person` may be asked of the exchanges of some persons at a time, with `merged` findings; `of_all` needs those of
    all persons, of which it uses the columns of `Pushes` and control calls only. A rule has one of the two, or both.
    `by_scope` names what `of_all` goes through: it may be asked of some scopes of these limits at a time too, or of
    some of the ids that were given, with `merged` findings. Limits only as long as they hold no violation: what
    explains a wrong refusal follows from all scopes.
    """

    id: str
    family: str
    severity: Severity
    scope: Scope
    statement: str
    source: str
    advice: str
    by_person: Check | None = None
    of_all: Check | None = None
    by_scope: tuple[Share, ...] = ()
    sound_with_gaps: bool = True
    least: int = 1

    def stands(self, profile: Profile) -> bool:
        """Whether a failure stands though a part of the history is missing: an unseen reset would explain most."""
        return self.scope == "exchange" or (self.sound_with_gaps and profile.control.reset is None)

    def check(self, history: History, profile: Profile) -> Finding:
        """What is seen of the rule in a whole history."""
        found = [ask(history, profile) for ask in (self.by_person, self.of_all) if ask is not None]
        return concluded(found[0] if len(found) == 1 else merged(found))


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
    by_person: bool = True,
    of_all: Check | None = None,
    by_scope: tuple[Share, ...] = (),
) -> Callable[[Check], Check]:
    """Register the decorated check as a rule; ValueError where the declaration is not complete or not unique.

    The check is asked by person unless `by_person` is False; `of_all` is another one, of which the rule consists too.
    `by_scope` is as in `Rule`.
    """

    def register(check: Check) -> Check:
        made = Rule(
            rule_id, family, severity, scope, statement, source, advice,
            by_person=check if by_person else None, of_all=of_all if by_person else check, by_scope=by_scope,
            sound_with_gaps=sound_with_gaps, least=least,
        )  # fmt: skip
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
