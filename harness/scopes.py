"""Judges limits and ids of a history part by part, where each scope, or id, lies within one part.

What may count for any scope, such as calls with an unknown token, is taken into account in every part. A refusal that
is wrong is explained by comparing all scopes: then nothing is told of its limit here, and the rules on it are asked of
all pushes at once. Rules on ids go with them, where no id was given in several parts.
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
from harness.rules.limits.rate_requests import signs_of, wild_requests
from harness.rules.reading.columns import Elsewhere, Whole, pushes_of
from harness.rules.reading.lean import alone, ids_meet
from harness.rules.registry import Limit, Share
from harness.workers import done

if TYPE_CHECKING:
    from harness.parted import Facts

MOST_WILD: Final = 10_000  # exchanges that may count for any scope, in all; a run makes some hundreds of them


def wild_of(history: History, profile: Profile) -> Elsewhere:
    """What who looks at other scopes of each limit needs to know of these."""
    times: dict[Limit, tuple[Ints, Ints]] = {}
    signs: frozenset[str] = frozenset()
    if profile.challenges is not None:
        times["challenges"] = wild_challenges(history, profile)
    if profile.rate is not None:
        times["rate"] = wild_requests(history, profile)
        signs = signs_of(pushes_of(history, profile), profile)
    return Elsewhere(times, signs)


@dataclass(frozen=True)
class Scoped:
    """What a part shows of the rules that held there, or whose ids are its own; `broken` names the others' limits.

    And the seconds that each took.
    """

    findings: dict[str, Finding]
    broken: frozenset[Share]
    spent: Counter[str]


def judge_scopes(
    parts: Parts, limits: frozenset[Limit], wild: list[Elsewhere], facts: "Facts", profile: Profile, local: Executor,
    spent: Counter[str],
) -> dict[str, list[Finding]]:  # fmt: skip
    """What each part shows of each rule on these limits, and on ids; nothing of limits broken in any of them."""
    shares = _apart(parts, limits, wild)
    calls = parts.everybodys()
    jobs = (
        (examine_scopes, parts, part, calls, _others(wild, part), facts, profile, _within(shares))
        for part in range(parts.count)
    )
    found: dict[str, list[Finding]] = {}
    for _, seen in done(local, jobs if shares else ()):
        spent.update(seen.spent)
        shares -= seen.broken
        for name, finding in seen.findings.items():
            found.setdefault(name, []).append(finding)
    return {name: found[name] for name in _within(shares)}


def _apart(parts: Parts, limits: frozenset[Limit], wild: list[Elsewhere]) -> set[Share]:
    """What no two parts have a share of."""
    shares: set[Share] = set() if _size(wild) > MOST_WILD else set(limits)
    if ids_meet(parts.columns()):
        return shares - {"challenges"}  # a challenge of two parts counts once
    return shares | {"ids"}


def _within(shares: set[Share]) -> list[str]:
    return [rule.id for rule in RULES.values() if rule.by_scope and shares.issuperset(rule.by_scope)]


def examine_scopes(
    parts: Parts,
    part: int,
    calls: pd.DataFrame,
    wild: Elsewhere,
    facts: "Facts",
    profile: Profile,
    rules: Iterable[str],
) -> Scoped:
    """What one part shows of these rules. A check that breaks down is asked of all parts at once."""
    columns = alone(parts.columns()[part], parts.at)
    history = Whole(
        calls.copy(), facts.tallies, facts.gaps, facts.wall_offset_ns,
        columns=columns, total=parts.size, rows=parts, elsewhere=wild,
    )  # fmt: skip
    findings: dict[str, Finding] = {}
    spent: Counter[str] = Counter()
    broken: frozenset[Share] = frozenset()
    for name in rules:
        check, shares, begun = RULES[name].of_all, frozenset(RULES[name].by_scope), time.perf_counter()
        try:
            found = None if check is None else check(history, profile)
        except Exception:  # whatever it is, it is told by whom all parts are asked of
            found = None
        spent[name] += time.perf_counter() - begun  # type: ignore[assignment]  # stubs count in integers
        if found is None or (found.violations and shares != {"ids"}):
            broken |= shares
        else:
            findings[name] = found
    return Scoped(findings, broken, spent)


def _size(wild: list[Elsewhere]) -> int:
    return sum(len(start) for one in wild for start, _ in one.times.values())


def _others(wild: list[Elsewhere], part: int) -> Elsewhere:
    """What the parts but this one hold, and the signs of all."""
    others = [one.times for place, one in enumerate(wild) if place != part]
    nothing = np.zeros(0, np.int64)

    def joined(limit: Limit, end: int) -> Ints:
        return np.concatenate([nothing, *(one[limit][end] for one in others)])

    times = {limit: (joined(limit, 0), joined(limit, 1)) for limit in wild[part].times}
    return Elsewhere(times, frozenset().union(*(one.signs for one in wild)))
