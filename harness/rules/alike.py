"""Whether refusals of different callers look the same, so that a stranger learns nothing from them."""

import json
import re
from collections import Counter
from typing import Any, Final, NamedTuple

from harness.history import History
from harness.profile import Profile
from harness.rules.answers.kinds import OTHER, Kind, kinds_of
from harness.rules.answers.single import with_rows
from harness.rules.reading.columns import Ints
from harness.rules.registry import Finding, Violation, rule
from harness.spec import load_spec

SPEC: Final = load_spec()
FEWEST: Final = 3  # answers of a group; one alone may look as it does by chance
USUAL: Final = 0.9  # share of a group that must look the same before its look says anything
# These differ between any two answers, or tell of the connection.
VOLATILE: Final = ("date", "content-length", "connection", "keep-alive", "set-cookie", "server-timing", "age", "via")
# Dates, counters and identifiers: runs of digits and hex, and long words with a digit in them.
CHANGING: Final = re.compile(r"(?=[\w+/=-]*\d)[\w+/=-]{12,}|[0-9a-fA-F]{8,}|\d+")


class _Group(NamedTuple):
    """Answers that a caller may not tell from those of another group; `who` says whose they are."""

    who: str
    rows: Ints


@rule(
    "refusals-alike",
    family="who may",
    severity="should",
    scope="exchange",
    statement="A 401 does not tell an unknown token from one that was logged out, and a 403 for the api-key of another "
    "programme does not tell whether the user is enrolled: body and headers are the same.",
    source="OWASP Authentication Cheat Sheet, authentication and error messages",
    advice="Answer all callers without valid credentials with one constant body; put the reason into the log.",
)
def refusals_alike(history: History, profile: Profile) -> Finding:
    kinds = kinds_of(history, profile)
    strangers = _Group("an unknown token", with_rows(kinds, lambda kind: _plainly(kind, "token-unknown", 401)))
    left = _Group("one that was logged out", with_rows(kinds, lambda kind: _plainly(kind, "token-logged-out", 401)))
    enrolled = _Group("a user who is enrolled", with_rows(kinds, lambda kind: _foreign(kind, usable=True)))
    others = _Group("one who is not", with_rows(kinds, lambda kind: _foreign(kind, usable=False)))
    told = [_compare(history, *groups) for groups in ((strangers, left), (enrolled, others))]
    violations = tuple(violation for _, violation in told if violation is not None)
    lacks = "It takes users logged out, or of two programmes, with answers whose headers and bodies were kept."
    return Finding(sum(count for count, _ in told), violations, lacks=lacks)


def _plainly(kind: Kind, intent: str, status: int) -> bool:
    documented = kind.channel not in ("", OTHER)
    return kind.intent == intent and kind.status == status and kind.method == SPEC.method and documented


def _foreign(kind: Kind, *, usable: bool) -> bool:
    return _plainly(kind, "key-foreign", 403) and (kind.enrolled and kind.offered) == usable


def _compare(history: History, first: _Group, second: _Group) -> tuple[int, Violation | None]:
    """How many answers were compared, and the two that show a difference."""
    looks = [_usual(history, group.rows) for group in (first, second)]
    if looks[0] is None or looks[1] is None:
        return 0, None
    (one, one_row, one_count), (other, other_row, other_count) = looks[0], looks[1]
    if one == other:
        return one_count + other_count, None
    part = "headers" if one[1] == other[1] else "bodies"
    message = f"{part} tell {first.who} from {second.who}"
    return one_count + other_count, Violation((one_row, other_row), message)


def _usual(history: History, rows: Ints) -> tuple[tuple[str, str], int, int] | None:
    """What nearly all answers of a group look like, the earliest that does, and how many there are."""
    frame = history.frame
    seen = {
        int(row): (_headers(headers), _constant(body))
        for row, headers, body in zip(rows, frame["headers"].iloc[rows], frame["body"].iloc[rows], strict=True)
        if isinstance(headers, str) and isinstance(body, str)
    }
    if not seen:
        return None
    look, count = Counter(seen.values()).most_common(1)[0]
    if count < FEWEST or count < USUAL * len(seen):
        return None
    return look, min(row for row, one in seen.items() if one == look), len(seen)


def _headers(text: str) -> str:
    """Names and values of kept headers, without what changes from answer to answer."""
    try:
        told: Any = json.loads(text)
    except ValueError:
        return ""
    pairs = told.items() if isinstance(told, dict) else told
    lines = sorted((str(name).lower(), _constant(str(value))) for name, value in pairs)
    return "\n".join(f"{name}: {value}" for name, value in lines if name not in VOLATILE)


def _constant(text: str) -> str:
    """The text with what changes from answer to answer, and the channel that was asked for, taken out."""
    for channel in SPEC.channels:
        text = text.replace(channel, "*")
    return CHANGING.sub("#", text)
