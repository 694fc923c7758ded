"""Judges the limits of a history part by part, where each of their scopes lies within one part.

What may count for any scope, such as calls with an unknown token, is taken into account in every part. A refusal that
is wrong is explained by comparing all scopes: then nothing is told here, and the rules are asked of all pushes at once.
"""

import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from harness.history import History
from harness.history.parts import Parts
from harness.history.reader import Ints
from harness.profile import Profile
from harness.rules import RULES, Finding
from harness.rules.limits.challenges import wild_challenges
from harness.rules.limits.rate_requests import wild_requests
from harness.rules.reading.columns import Whole
from harness.rules.reading.lean import alone, ids_meet
from harness.rules.registry import Limit
from harness.workers import done

if TYPE_CHECKING:
    from harness.parted import Facts

MOST_WILD: Final = 10_000  # exchanges that may count for any scope, in all; a run makes some hundreds of them

Times = tuple[Ints, Ints]
Wild = dict[Limit, Times]


def wild_of(history: History, profile: Profile) -> Wild:
    """When what may count for any scope of each limit began and ended."""
    found: Wild = {}
    if profile.challenges is not None:
        found["challenges"] = wild_challenges(history, profile)
    if profile.rate is not None:
        found["rate"] = wild_requests(history, profile)
    return found


@dataclass(frozen=True)
class Scoped:
    """What a part shows of the rules on limits; `clear` where all of them held. And the seconds that each took."""

    findings: dict[str, Finding]
    clear: bool
    spent: Counter[str]


def judge_scopes(
    parts: Parts, limits: frozenset[Limit], wild: list[Wild], facts: "Facts", profile: Profile, local: Executor,
    spent: Counter[str],
) -> dict[str, list[Finding]]:  # fmt: skip
    """What each part shows of each rule on these limits; nothing where one was broken in any of them."""
    if "challenges" in limits and ids_meet(parts.columns()):
        limits = limits - {"challenges"}  # a challenge of two parts counts once
    rules = [rule.id for rule in RULES.values() if rule.by_scope and limits.issuperset(rule.by_scope)]
    if not rules or _size(wild) > MOST_WILD:
        return {}
    resets = parts.everybodys("reset")
    jobs = (
        (examine_scopes, parts, part, resets, _others(wild, part), facts, profile, rules) for part in range(parts.count)
    )
    found: dict[str, list[Finding]] = {}
    for _, seen in done(local, jobs):
        spent.update(seen.spent)
        if not seen.clear:
            return {}
        for name, finding in seen.findings.items():
            found.setdefault(name, []).append(finding)
    return found


def examine_scopes(
    parts: Parts, part: int, resets: pd.DataFrame, wild: Wild, facts: "Facts", profile: Profile, rules: Iterable[str]
) -> Scoped:
    """What one part shows of these rules. A check that breaks down is asked of all parts at once."""
    columns = alone(parts.columns()[part], parts.at)
    history = Whole(
        resets.copy(), facts.tallies, facts.gaps, facts.wall_offset_ns,
        columns=columns, total=parts.size, fetch=parts.at, fetch_all=parts.every, elsewhere=wild,
    )  # fmt: skip
    findings: dict[str, Finding] = {}
    spent: Counter[str] = Counter()
    for name in rules:
        check, begun = RULES[name].of_all, time.perf_counter()
        try:
            found = None if check is None else check(history, profile)
        except Exception:  # whatever it is, it is told by whom all parts are asked of
            found = None
        spent[name] += time.perf_counter() - begun  # type: ignore[assignment]  # stubs count in integers
        if found is None or found.violations:
            return Scoped({}, False, spent)
        findings[name] = found
    return Scoped(findings, True, spent)


def _size(wild: list[Wild]) -> int:
    return sum(len(start) for one in wild for start, _ in one.values())


def _others(wild: list[Wild], part: int) -> Wild:
    """What the parts but this one hold."""
    others = [one for place, one in enumerate(wild) if place != part]
    nothing = np.zeros(0, np.int64)

    def joined(limit: Limit, end: int) -> Ints:
        return np.concatenate([nothing, *(one[limit][end] for one in others)])

    return {limit: (joined(limit, 0), joined(limit, 1)) for limit in wild[part]}
