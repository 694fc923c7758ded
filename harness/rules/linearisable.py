"""The rule that catches what no other names: for each person one order of all calls that explains every answer."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

import numpy as np

from harness.history import History
from harness.profile import Profile
from harness.rules.registry import Finding, Violation, rule
from harness.rules.search import BUDGET, LIMITED, REFUSED, SERVED, Call, Terms, reduce, search
from harness.rules.search.likely import explained
from harness.rules.search.tables import Table, table_of, terms_of
from harness.rules.tokens.lives import lives_of

TOTAL: Final = 4_000_000  # configurations over all persons; a minute or two
PART: Final = 500_000  # exchanges looked at together, which bounds memory
SHOWN: Final = 10  # contradictions that are brought down to the fewest calls
NAMED: Final = 5  # users named whose calls could not be decided


@dataclass
class _Seen:
    """What searching one person after another has found so far."""

    history: History
    judged: int = 0
    spent: int = 0
    total: int = 0
    persons: set[int] = field(default_factory=set)
    undecided: set[int] = field(default_factory=set)
    wrong: list[tuple[int, list[Call], Terms, int]] = field(default_factory=list)

    def judge(self, calls: list[Call], terms: Terms) -> None:
        """Search the calls of one person and keep what comes of it."""
        self.judged += len(calls)
        outcome = search(calls, terms, min(BUDGET, TOTAL - self.spent))
        self.spent += outcome.spent
        if not outcome.decided:
            self.undecided.add(self.user(calls[0]))
        elif outcome.failed >= 0:
            self.total += 1
            self.wrong.append((calls[outcome.failed].row, calls, terms, outcome.failed))
            if len(self.wrong) > 10 * SHOWN:
                self.wrong = self.first()

    def first(self) -> list[tuple[int, list[Call], Terms, int]]:
        """The earliest contradictions: a row of the history, the calls, their terms, the place of the wrong one."""
        return sorted(self.wrong, key=lambda one: one[0])[:SHOWN]

    def user(self, call: Call) -> int:
        return int(self.history.frame["user"].to_numpy()[call.row])


@rule(
    "stepup-linearisable",
    family="state",
    severity="must",
    scope="history",
    statement="All answers to one user fit one order of the requests, within their times, at a correct endpoint.",
    source="openapi.yaml: idempotency-ref and errorCode, taken together; Herlihy and Wing, Linearizability, 1990",
    advice="Look at what is read and written outside one transaction: the token's state, its challenges, their count.",
    sound_with_gaps=False,
    least=10,
)
def stepup_linearisable(history: History, profile: Profile) -> Finding:
    """Occasions: the calls of persons with an answer that could fit no order."""
    lives = lives_of(history, profile)
    seen = _Seen(history)
    parts = len(lives.pushes) // PART + 1
    for number in range(parts):
        table = table_of(lives.part(number, parts), profile)
        terms = [terms_of(lives, table.eras, era, profile) for era in range(len(table.eras.after))]
        table = table.where(table.bites[table.group])
        plain = explained(table, terms)
        seen.persons.update(np.unique(table.person).tolist())
        seen.judged += int(plain[table.group].sum())
        for era, calls in _persons(table.where(~plain[table.group])):
            seen.judge(calls, terms[era])
    return _finding(seen)


def _finding(seen: _Seen) -> Finding:
    violations = [_violation(seen, *one) for one in seen.first()]
    return Finding(
        examined=seen.judged,
        violations=tuple(sorted(violations, key=lambda violation: violation.order)),
        total=seen.total,
        lacks="Wants a stage in which challenges are settled or a limit is reached.",
        facts={"persons": frozenset(seen.persons), "undecided": frozenset(seen.undecided)},
        conclude=_conclude,
    )


def _conclude(finding: Finding) -> Finding:
    shortfall, users = "", sorted(finding.facts["undecided"])
    if users:
        named = ", ".join(map(str, users[:NAMED])) + (", …" if len(users) > NAMED else "")
        shortfall = (
            f"the calls of {len(users):,} users overlap too much to try all orders ({BUDGET:,} states each): {named}"
        )
    return replace(finding, shortfall=shortfall, note=f"calls of {len(finding.facts['persons']):,} persons")


def _violation(seen: _Seen, _: int, calls: list[Call], terms: Terms, failed: int) -> Violation:
    fewest = reduce(calls, terms, failed)
    rows = tuple(sorted({call.row for call in fewest}))
    users = sorted({seen.user(call) for call in fewest} - {-1})
    who = f"user {users[0]}" if len(users) == 1 else f"users {', '.join(map(str, users))}, who are one person"
    last = max(fewest, key=lambda call: (call.end, call.row))
    others = f" and the other {len(fewest) - 1}" if len(fewest) > 1 else ""
    return Violation(rows, f"{who}: no order within the calls' times explains {_answer(last)}{others} of the witness")


def _answer(call: Call) -> str:
    words = {SERVED: "the last challenge given", LIMITED: "the refusal for the limit", REFUSED: "the last refusal"}
    return words.get(call.kind, "the last settle")


def _persons(table: Table) -> Iterator[tuple[int, list[Call]]]:
    """Era and calls, in order of sending, of each group."""
    order = np.lexsort((table.row, table.start, table.group))
    lines = np.stack([getattr(table, name)[order] for name in Call._fields], axis=1)
    era, group = table.era[order], table.group[order]
    edges = [0, *(np.flatnonzero(np.diff(group)) + 1).tolist(), len(group)]
    for begin, end in pairwise(edges):
        if begin == end:
            continue
        numbers: dict[int, int] = {}
        calls = [
            Call(row, kind, numbers.setdefault(token, len(numbers)), op, start, stop, effect)
            for row, kind, token, op, start, stop, effect in lines[begin:end].tolist()
        ]
        yield int(era[begin]), calls
