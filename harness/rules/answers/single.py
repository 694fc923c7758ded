"""Turns kinds of answers that break a rule into its finding: counted by kind, told by the earliest row of each."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from harness.case import INTENTS, in_words
from harness.history import History
from harness.profile import Profile
from harness.rules.answers.blame import blame, meant, rule_of
from harness.rules.answers.kinds import Kind, Kinds, kinds_of
from harness.rules.reading.columns import Ints
from harness.rules.registry import Finding, Violation

MOST_TOLD: Final = 20  # violations listed; the verdict counts the rest


@dataclass(frozen=True)
class Doubt:
    """Answers that may be right for a reason that their kind does not show: which they are, and which rows stand."""

    applies: Callable[[Kind], bool]
    stands: Callable[[Ints], Ints]


def those(kinds: Kinds, chosen: Callable[[Kind], bool]) -> list[int]:
    """The numbers of the kinds that fit."""
    return [number for number, kind in enumerate(kinds.each) if chosen(kind)]


def blamed(history: History, profile: Profile, rule_id: str) -> dict[int, str]:
    """The kinds that break a rule by themselves, each with a sentence on its earliest row."""
    kinds = kinds_of(history, profile)
    found = those(kinds, lambda kind: blame(kind, profile) == rule_id)
    return {number: told(history, profile, int(kinds.first[number]), kinds.each[number]) for number in found}


def told(history: History, profile: Profile, row: int, kind: Kind) -> str:
    """What was asked, what came, and what would have been right."""
    meaning, columns = meant(kind, profile), history.frame.iloc[row]
    says = INTENTS[meaning.intent].says if meaning.intent in INTENTS else "an unknown kind of request"
    came = f"{kind.status} {columns['error_code']}".strip()
    right = in_words(meaning.allowed) or "nothing"
    return f"{says} ({_who(columns, kind)}) was answered {came}; allowed: {right}"


def _who(columns: Any, kind: Kind) -> str:
    user = f"user {columns['user']}" if kind.state else "no user of the pool"
    return f"{user}, {kind.method} {str(columns['channel'])[:60]}".strip()


def finding_of(kinds: Kinds, examined: list[int], broken: Mapping[int, str], **more: Any) -> Finding:
    """A finding from kinds: those in `broken` break the rule, those in `examined` could have."""
    occasions = int(kinds.count[sorted({*examined, *broken})].sum()) if examined or broken else 0
    earliest = sorted(broken, key=lambda number: int(kinds.first[number]))
    violations = tuple(Violation((int(kinds.first[n]),), broken[n]) for n in earliest[:MOST_TOLD])
    total = int(kinds.count[list(broken)].sum()) if broken else 0
    return Finding(occasions, violations, total, **more)


def joined(finding: Finding, more: Iterable[Violation], total: int) -> Finding:
    """The finding with more violations, `total` in all; those of exchanges that it has already are left out."""
    known = {violation.rows for violation in finding.violations}
    fresh = [violation for violation in more if violation.rows not in known]
    every = sorted((*finding.violations, *fresh), key=lambda violation: violation.order)[:MOST_TOLD]
    counted = max(len(every), (finding.total or 0) + total)
    return replace(finding, violations=tuple(every), total=counted, examined=max(finding.examined, counted))


def by_intent(history: History, profile: Profile, rule_id: str, doubt: Doubt | None = None, **more: Any) -> Finding:
    """The finding of a rule that has intents of its own: every definite answer to one of them is an occasion."""
    kinds = kinds_of(history, profile)
    found = blamed(history, profile, rule_id)
    own = those(kinds, lambda kind: definite(kind) and rule_of(meant(kind, profile).intent) == rule_id)
    unsure = [number for number in found if doubt is not None and doubt.applies(kinds.each[number])]
    firm = finding_of(kinds, own, {n: text for n, text in found.items() if n not in unsure}, **more)
    if doubt is None or not unsure:
        return firm
    rows = doubt.stands(kinds.rows_of(unsure)).tolist()
    shown = [Violation((row,), told(history, profile, row, kinds.of(row))) for row in rows[:MOST_TOLD]]
    return joined(firm, shown, len(rows))


def definite(kind: Kind) -> bool:
    """Whether an answer says what the target decided: a 5xx does not, and a 429 says nothing of what it refuses."""
    return kind.status < 500 and kind.status != 429


def kept(history: History, column: str, rows: Ints) -> dict[int, Any]:
    """The JSON values that a column (`headers`, `body`) kept of these rows; what is no JSON or was cut is left out."""
    texts = history.frame[column].iloc[rows]
    present = texts.notna().to_numpy()
    found: dict[int, Any] = {}
    for row, text in zip(rows[present], texts[present], strict=True):
        try:
            found[int(row)] = json.loads(text)
        except (ValueError, RecursionError):
            continue
    return found


def header(headers: Any, name: str) -> str | None:
    """A header's value from kept headers, several joined by commas; None where it was not sent."""
    pairs = headers.items() if isinstance(headers, dict) else headers if isinstance(headers, list) else ()
    values = [str(value) for given, value in pairs if str(given).lower() == name.lower()]
    return ", ".join(values) if values else None


def invalid_fields(body: Any) -> list[dict[str, Any]]:
    """The fields that a 400's body says are wrong; none where it has another form."""
    syntax = body.get("syntaxErrors") if isinstance(body, dict) else None
    fields = syntax.get("invalidFields") if isinstance(syntax, dict) else None
    return [field for field in fields if isinstance(field, dict)] if isinstance(fields, list) else []


def with_rows(kinds: Kinds, chosen: Callable[[Kind], bool]) -> Ints:
    """The positions of all rows of the kinds that fit."""
    return kinds.rows_of(those(kinds, chosen)) if kinds.each else np.zeros(0, dtype=np.int64)
