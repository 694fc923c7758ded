"""Rules on the challenge limit: never more than declared, never refused before, and nothing else counts."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np

from harness.history import History
from harness.profile import Profile
from harness.rules.bounds import sliding
from harness.rules.bounds.lanes import Ints, Lanes
from harness.rules.limits.challenge_refusals import (
    LIMITED,
    OTHERS,
    REFUSALS,
    REPLAYS,
    STALE,
    Refusals,
    refusals_of,
    served,
)
from harness.rules.limits.challenges import challenges_of
from harness.rules.limits.limited import Limited, by_era
from harness.rules.limits.wrongful import SHOWN, Beside, Judged, beside
from harness.rules.reading.columns import small_once_a_history
from harness.rules.reading.operations import FOREVER
from harness.rules.registry import Finding, Most, Violation, rule
from harness.rules.told import ago, who

UNDECLARED: Final = "limits.challenges (count and window) in the profile."
MORE: Final = "A plan with a challenge-limit stage drives scopes to the limit; a short window or control.reset helps."
ALONE: Final = "target.exclusive = true in the profile, where nobody else uses the target meanwhile."
SOURCE: Final = "openapi.yaml 409 CHALLENGE_LIMIT_EXCEEDED; the count and window are those of the profile"
CLOSE: Final = 0.05  # of the limit: how far from it the highest limit that all refusals allow may be for a pass

# For each thing that may wrongly count: what the target did if it counts, and what an occasion to see it is.
SPEAKS: Final = {
    REPLAYS: ("replays of served calls were counted", "calls served beside so many replays"),
    LIMITED: ("calls refused with 429 were counted", "calls served beside so many 429"),
    REFUSALS: ("refused calls were counted", "calls served beside so many refusals"),
    OTHERS: ("challenges of others were counted", "calls served beside so many challenges of others"),
    STALE: ("challenges were counted after their window, or after a reset", "calls served after so many earlier ones"),
}


@rule(
    "challenge-limit-upper",
    family="challenge limit",
    severity="must",
    scope="history",
    statement="In no window does a scope get more challenges than the limit, however many are asked for at once.",
    source=SOURCE,
    advice="Count and issue in one atomic step: two requests that look before either writes both see room.",
    sound_with_gaps=False,  # a replay looks like a challenge of its own where the first call is not seen
    by_person=False,
    by_scope=("challenges",),
)
def challenge_limit_upper(history: History, profile: Profile) -> Finding:
    limit = profile.challenges
    if limit is None:
        return Finding(0, lacks=UNDECLARED)
    limited, count = challenges_of(history, profile), limit.count * profile.target.hosts
    window = limited.slack.short(limit.window_ns)
    admitted, refused = by_era(limited.resets, limited.admitted, limited.refused)
    crowds, total = sliding.crowds(admitted, count, window)
    crowds = crowds or sliding.chained(admitted, count, window)
    filled = sliding.filled(admitted, count, window, refused)
    violations = tuple(_too_many(limited, admitted, crowd, count, limit.window_ns) for crowd in crowds)
    most = 0 if filled or violations else sliding.most(admitted, window)
    facts = {"most": Most(most), "count": Most(count), "window": Most(limit.window_ns)}
    total = max(total, len(violations))
    return Finding(max(filled, len(violations)), violations, total, facts=facts, conclude=_how_full)


def _how_full(finding: Finding) -> Finding:
    most, count, window = (finding.facts[name] for name in ("most", "count", "window"))
    if finding.examined:
        return replace(finding, note=f"windows filled to {count:,} while more was refused")
    seen = f"no more than {most:,} of {count:,} challenges surely fell into one window of {ago(window)}"
    if most >= count:
        return replace(finding, shortfall=f"{seen}, and nothing more was asked for meanwhile", lacks=MORE)
    return replace(finding, note=seen, lacks=MORE)


def _too_many(limited: Limited, lanes: Lanes, crowd: sliding.Crowd, count: int, window: int) -> Violation:
    places = lanes.place[lanes.within(crowd.scope, crowd.start, crowd.end)[: crowd.many]]
    whose = who(limited.pushes, int(places[0])).split(" on ")[0]
    span = ago(crowd.end - crowd.start)
    told = f"{whose}: {crowd.many:,} challenges within {span}, where the limit is {count:,} in {ago(window)}"
    return Violation(_rows(limited, places), told)


def _rows(limited: Limited, places: Ints) -> tuple[int, ...]:
    return tuple(int(row) for row in np.sort(limited.pushes.row[places]))


@rule(
    "challenge-limit-lower",
    family="challenge limit",
    severity="must",
    scope="history",
    statement="CHALLENGE_LIMIT_EXCEEDED is never given while fewer challenges than the limit can have counted.",
    source=SOURCE,
    advice="Look for an off-by-one, a hidden second challenge after a lost answer, or a window longer than declared.",
    sound_with_gaps=False,
    by_person=False,
    by_scope=("challenges",),
)
def challenge_limit_lower(history: History, profile: Profile) -> Finding:
    if profile.challenges is None:
        return Finding(0, lacks=UNDECLARED)
    refusals = refusals_of(history, profile)
    violations, total = _wrong(refusals, "")
    facts = heights(refusals, refusals.others, profile.challenges.count)
    return how_low(facts, violations, total, profile, "a whole window after the beginning of the run or after a reset")


def heights(refusals: Judged, refused: int, count: int) -> dict[str, Any]:
    """Facts on how high a limit is, of which so many were `refused`, those that cannot be decided included."""
    own = refusals.counted[refusals.own]
    numbers = {"own": len(own), "refused": refused, "decided": len(refusals.counted)}
    return {**numbers, "lowest": Most(-int(own.min(initial=FOREVER))), "count": Most(count)}


def how_low(
    facts: dict[str, Any], violations: tuple[Violation, ...], total: int, profile: Profile, since: str, hint: str = ""
) -> Finding:
    """What the refusals show of a limit's height. `since` says when one can be decided, `hint` what may help."""
    lacks = MORE if profile.target.exclusive else ALONE
    undecided = f"none {since}" if profile.target.exclusive else "others may use the same limit"
    conclude = partial(_how_low, undecided=undecided, hint=hint)
    return Finding(facts["own"], violations, total, lacks=lacks, facts=facts, conclude=conclude)


def _how_low(finding: Finding, undecided: str, hint: str) -> Finding:
    facts, shortfall = finding.facts, ""
    if not facts["own"]:
        if facts["refused"] and not facts["decided"]:
            shortfall = f"{facts['refused']:,} refusals were seen, but {undecided}"
        return replace(finding, shortfall=shortfall)
    count, lowest, lacks = facts["count"], -facts["lowest"], finding.lacks
    if lowest > count * (1 + CLOSE):
        shortfall = f"{facts['own']:,} refusals, but a limit of up to {lowest:,} would explain them all"
        lacks = hint if hint and facts["unknown"] else lacks
    note = f"refused with at least {lowest:,} of {count:,} that can have counted"
    return replace(finding, note=note, shortfall=shortfall, lacks=lacks)


def _wrong(refusals: Refusals, cause: str) -> tuple[tuple[Violation, ...], int]:
    """The refusals that are wrong for one cause, earliest first, each with all that can have counted; their number."""
    count, window = refusals.limit.count, ago(refusals.limit.window_ns)
    because = f"; it fits if {SPEAKS[cause][0]}" if cause else ""
    chosen = refusals.explained(cause)
    made = []
    for n in chosen[:SHOWN].tolist():
        place = int(refusals.at.place[n])
        told = f"{who(refusals.limited.pushes, place)}: refused with CHALLENGE_LIMIT_EXCEEDED though at most "
        told += f"{refusals.counted[n]:,} of {count:,} challenges in {window} can have counted{because}"
        places = [place, *refusals.counted_at(n)]
        if cause:
            places += refusals.shown(cause, n).tolist()
        made.append(Violation(_rows(refusals.limited, np.unique(places)), told))
    return tuple(made), len(chosen)


def counts_not(cause: str, history: History, profile: Profile) -> Finding:
    """What is known of one thing that must not use up the challenge limit."""
    if profile.challenges is None:
        return Finding(0, lacks=UNDECLARED)
    found = _count_not(history, profile)[cause]
    if cause != OTHERS:
        return found
    limited = challenges_of(history, profile)
    passed = served(limited, limited.slack.short(profile.challenges.window_ns))
    facts = {"beside": beside(passed, limited.admitted), "count": Most(profile.challenges.count)}
    return replace(found, examined=found.all_told, facts=facts, conclude=partial(how_often, note=SPEAKS[OTHERS][1]))


def how_often(finding: Finding, note: str) -> Finding:
    """How often others could have been counted, those that were not included."""
    times: Beside = finding.facts["beside"]
    examined = finding.examined + times.occasions(finding.facts["count"])
    return replace(finding, examined=examined, note=note if examined else "")


@small_once_a_history
def _count_not(history: History, profile: Profile) -> dict[str, Finding]:
    """For each thing that must not use up the challenge limit what is known of it, but how often others came by."""
    refusals = refusals_of(history, profile)
    return {cause: _counts_not(cause, refusals) for cause in SPEAKS}


def _counts_not(cause: str, refusals: Refusals) -> Finding:
    violations, total = _wrong(refusals, cause)
    occasions = refusals.blame.occasions[cause] + total
    if cause == REPLAYS:
        violations = tuple(sorted((*violations, *_repeated(refusals)), key=lambda one: one.order))
        total, occasions = total + len(refusals.repeated), occasions + refusals.at_limit + len(refusals.repeated)
    return Finding(occasions, violations, total, note=SPEAKS[cause][1] if occasions else "", lacks=MORE)


def _repeated(refusals: Refusals) -> list[Violation]:
    """Refusals of calls that had been served before: a replay is no new challenge."""
    made = []
    for place, earlier in list(zip(refusals.repeated.tolist(), refusals.earlier.tolist(), strict=True))[:SHOWN]:
        told = f"{who(refusals.limited.pushes, place)}: a replay was refused with CHALLENGE_LIMIT_EXCEEDED"
        made.append(Violation(_rows(refusals.limited, np.array([earlier, place])), told))
    return made


def _register(rule_id: str, statement: str, advice: str) -> None:
    def check(history: History, profile: Profile) -> Finding:
        return counts_not(rule_id, history, profile)

    made: Callable[[Callable[[History, Profile], Finding]], object] = rule(
        rule_id,
        family="challenge limit",
        severity="must",
        scope="history",
        statement=statement,
        source=SOURCE,
        advice=advice,
        sound_with_gaps=False,
        by_person=False,
        by_scope=("challenges",),
    )
    made(check)


_register(
    REPLAYS,
    "A replay uses up nothing of the challenge limit, and is served when nothing is left of it.",
    "Look the idempotency-ref up before the limit is looked at, and count where the challenge is written.",
)
_register(
    REFUSALS,
    "A refused request uses up nothing of the challenge limit.",
    "Count where the challenge is written, not where the request comes in.",
)
_register(
    OTHERS,
    "The challenges of other users, or of other programmes, use up nothing of a scope's limit.",
    "Look at the key of the counter: it must hold the whole scope and nothing less.",
)
_register(
    STALE,
    "A challenge leaves the count when its window is over, and when the target is reset.",
    "Look at the window's unit and length, and at what removes old entries.",
)
