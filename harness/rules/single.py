"""Turns kinds of answers that break a rule into its finding: counted by kind, told by the earliest row of each."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from harness.case import INTENTS
from harness.history import History
from harness.profile import Profile
from harness.rules.blame import blame, meant, rule_of
from harness.rules.columns import Ints
from harness.rules.kinds import Kind, Kinds, kinds_of
from harness.rules.registry import Finding, Violation

MOST_TOLD: Final = 20  # violations listed; the verdict counts the rest


def those(kinds: Kinds, chosen: Callable[[Kind], bool]) -> list[int]:
    """The numbers of the kinds that fit."""
    return [number for number, kind in enumerate(kinds.each) if chosen(kind)]


def blamed(history: History, profile: Profile, rule_id: str) -> dict[int, str]:
    """The kinds that break a rule by themselves, each with a sentence on its earliest row."""
    kinds = kinds_of(history, profile)
    found = those(kinds, lambda kind: blame(kind, profile) == rule_id)
    return {number: told(history, kinds, number, profile) for number in found}


def told(history: History, kinds: Kinds, number: int, profile: Profile) -> str:
    """What was asked, what came, and what would have been right."""
    kind = meant(kinds.each[number], profile)
    row = history.frame.iloc[kinds.first[number]]
    says = INTENTS[kind.intent].says if kind.intent in INTENTS else "an unknown kind of request"
    came = f"{kind.status} {row['error_code']}".strip()
    right = " or ".join(outcome.replace(":", " ") for outcome in kind.allowed) or "nothing"
    return f"{says} ({_who(row, kind)}) was answered {came}; allowed: {right}"


def _who(row: Any, kind: Kind) -> str:
    user = f"user {row['user']}" if kind.state else "no user of the pool"
    channel = str(row["channel"])[:60]
    return f"{user}, {kind.method} {channel}".strip()


def finding_of(kinds: Kinds, examined: list[int], broken: Mapping[int, str], **more: Any) -> Finding:
    """A finding from kinds: those in `broken` break the rule, those in `examined` could have."""
    occasions = int(kinds.count[sorted({*examined, *broken})].sum()) if examined or broken else 0
    earliest = sorted(broken, key=lambda number: int(kinds.first[number]))
    violations = tuple(Violation((int(kinds.first[n]),), broken[n]) for n in earliest[:MOST_TOLD])
    total = int(kinds.count[list(broken)].sum()) if broken else 0
    return Finding(occasions, violations, total, **more)


def finding_on_rows(occasions: int, broken: Mapping[int, str], **more: Any) -> Finding:
    """A finding from rows: those in `broken`, each with its sentence, break the rule."""
    violations = tuple(Violation((row,), broken[row]) for row in sorted(broken)[:MOST_TOLD])
    return Finding(occasions, violations, len(broken), **more)


def by_intent(history: History, profile: Profile, rule_id: str, **more: Any) -> Finding:
    """The finding of a rule that has intents of its own: every definite answer to one of them is an occasion."""
    kinds = kinds_of(history, profile)
    own = those(kinds, lambda kind: definite(kind) and rule_of(meant(kind, profile).intent) == rule_id)
    return finding_of(kinds, own, blamed(history, profile, rule_id), **more)


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
