"""Whether refusals of different callers look the same, so that a stranger learns nothing from them."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

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


Look = tuple[str, str]  # headers and body, without what changes from answer to answer


class Looks(dict[Look, tuple[int, int]]):
    """What answers look like that a caller may not tell from others: how many look so, and the earliest of them."""

    def __add__(self, other: "Looks") -> "Looks":
        both = Looks(self)
        for look, (count, row) in other.items():
            so_far, first = both.get(look, (0, row))
            both[look] = (so_far + count, min(first, row))
        return both


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
    groups = (
        with_rows(kinds, lambda kind: _plainly(kind, "token-unknown", 401)),
        with_rows(kinds, lambda kind: _plainly(kind, "token-logged-out", 401)),
        with_rows(kinds, lambda kind: _foreign(kind, usable=True)),
        with_rows(kinds, lambda kind: _foreign(kind, usable=False)),
    )
    facts = {who: _looks(history, rows) for who, rows in zip(GROUPS, groups, strict=True)}
    return Finding(0, lacks=LACKS, facts=facts, conclude=_compare_all)


GROUPS: Final = (
    "an unknown token",
    "one that was logged out",
    "a user who is enrolled",
    "one who is not",
)
LACKS: Final = "It takes users logged out, or of two programmes, with answers whose headers and bodies were kept."


def _compare_all(finding: Finding) -> Finding:
    told = [_compare(finding.facts, *names) for names in (GROUPS[:2], GROUPS[2:])]
    violations = tuple(violation for _, violation in told if violation is not None)
    return replace(finding, examined=sum(count for count, _ in told), violations=violations, total=None)


def _plainly(kind: Kind, intent: str, status: int) -> bool:
    documented = kind.channel not in ("", OTHER)
    return kind.intent == intent and kind.status == status and kind.method == SPEC.method and documented


def _foreign(kind: Kind, *, usable: bool) -> bool:
    return _plainly(kind, "key-foreign", 403) and (kind.enrolled and kind.offered) == usable


def _compare(looks: Mapping[str, Looks], first: str, second: str) -> tuple[int, Violation | None]:
    """How many answers were compared, and the two that show a difference."""
    usual = (_usual(looks[first]), _usual(looks[second]))
    if usual[0] is None or usual[1] is None:
        return 0, None
    (one, one_row, one_count), (other, other_row, other_count) = usual[0], usual[1]
    if one == other:
        return one_count + other_count, None
    part = "headers" if one[1] == other[1] else "bodies"
    return one_count + other_count, Violation((one_row, other_row), f"{part} tell {first} from {second}")


def _usual(looks: Looks) -> tuple[Look, int, int] | None:
    """What nearly all answers of a group look like, the earliest that does, and how many there are."""
    many = sum(count for count, _ in looks.values())
    if not looks:
        return None
    look, (count, row) = max(looks.items(), key=lambda item: (item[1][0], -item[1][1]))
    return (look, row, many) if count >= FEWEST and count >= USUAL * many else None


def _looks(history: History, rows: Ints) -> Looks:
    frame = history.at(rows, ["headers", "body"])
    found = Looks()
    for row, headers, body in zip(history.number(rows).tolist(), frame["headers"], frame["body"], strict=True):
        if isinstance(headers, str) and isinstance(body, str):
            found += Looks({(_headers(headers), _constant(body)): (1, row)})
    return found


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
