"""Rules on repeated calls: the same ref gets the same answer, at once, later, and after an answer that was lost.

A repeated success is `idempotent-concurrent`'s where it was sent before any answer had come, else
`idempotent-after-unknown`'s where an answer of the call had been lost, else `idempotent-replay`'s, whatever its age.
`ref-retention` looks once more at those that came later than a retry would, and says how long refs were seen to be
kept: where it fails and replays within a second are right, the ref was known and then forgotten.
"""

from dataclasses import asdict, replace
from typing import Final

import numpy as np

from harness.history import History
from harness.profile import Profile
from harness.rules.findings import each, finding_of, refusal
from harness.rules.refs.burst import Race, narrowest_race
from harness.rules.refs.repeats import YOUNG_NS, Repeats, repeats_of
from harness.rules.refs.spent import Stuck, served_afterwards, stuck_at_429
from harness.rules.refs.unexplained import unexplained
from harness.rules.registry import Finding, Most, Violation, rule
from harness.rules.told import ago, answer, who

RACE_WIDTH_MS: Final = 1.0  # a pass speaks for look-then-write gaps of at least this width
OLDEST_NS: Final = 10 * YOUNG_NS  # a pass of ref-retention wants a ref that was kept at least this long
SPEC_REF: Final = "openapi.yaml: components.parameters.idempotency-ref"
LOAD: Final = "The load stage's idempotency scenario provides them: stepup load --scenario idempotency."


@rule(
    "idempotent-replay",
    family="idempotency",
    severity="must",
    scope="history",
    statement="The same call with the same ref is answered like the first time, and is no second operation.",
    source=SPEC_REF,
    advice="Look up the ref, for the user and the operation, before anything that could refuse or begin anew, and "
    "answer with what was stored. Store it in the transaction that makes the challenge.",
    least=20,
)
def idempotent_replay(history: History, profile: Profile) -> Finding:
    whole = history.with_earlier
    repeats, refusals = repeats_of(whole, profile), unexplained(whole, profile)
    differing = repeats.told_otherwise(repeats.sequential)
    refused = refusals.because("answered")
    return finding_of(
        int(repeats.sequential.sum()) + len(refused),
        [
            *each(repeats.pushes, repeats.place, differing, lambda n: _differs(repeats, n)),
            *each(refusals.pushes, refusals.place, refused, lambda n: refusal(refusals, n)),
        ],
        len(differing) + len(refused),
        note="calls repeated once their first answer had come",
        lacks=LOAD,
    )


@rule(
    "idempotent-concurrent",
    family="idempotency",
    severity="must",
    scope="history",
    statement="Duplicates of a call that are under way at the same time lead to one operation and one answer, over any "
    "number of connections.",
    source=SPEC_REF,
    advice="Look-then-write is not enough: let a unique constraint on (user, operation, ref), or a lock that all "
    "workers share, decide which of the duplicates makes the challenge; the others wait for its answer.",
    least=30,
)
def idempotent_concurrent(history: History, profile: Profile) -> Finding:
    repeats, refusals = repeats_of(history, profile), unexplained(history, profile)
    differing = repeats.told_otherwise(repeats.overlapping)
    refused = refusals.because("overlapped")
    race = narrowest_race(history, profile)
    found = finding_of(
        len(refused),
        [
            *each(repeats.pushes, repeats.place, differing, lambda n: _differs(repeats, n)),
            *each(refusals.pushes, refusals.place, refused, lambda n: refusal(refusals, n)),
        ],
        len(differing) + len(refused),
        note="",
        lacks=LOAD,
    )
    return replace(found, facts={**asdict(race), "refused": len(refused)}, conclude=_how_narrow)


def _how_narrow(finding: Finding) -> Finding:
    facts, shortfall = dict(finding.facts), ""
    examined = max(facts.pop("refused"), facts["duplicates"])
    race = Race(**facts)
    seen = f"a gap of {race.width_ms:.2g} ms or more between look and write would have been seen with 95 %"
    if race.duplicates and race.width_ms > RACE_WIDTH_MS:
        shortfall = (
            f"the {race.duplicates:,} duplicates in {race.bursts:,} bursts came too far apart: only {seen}, and "
        )
        shortfall += f"a pass needs {RACE_WIDTH_MS:g} ms"
    note = f"duplicates in {race.bursts:,} bursts; {seen}" if examined else ""
    return replace(finding, examined=examined, note=note, shortfall=shortfall)


@rule(
    "idempotent-after-unknown",
    family="idempotency",
    severity="must",
    scope="history",
    statement="After a timeout, a broken connection or a 5xx, calling again with the same ref leads to at most one "
    "operation, whether the lost call had its effect or not.",
    source=SPEC_REF,
    advice="Make the challenge and store the ref in one transaction, so that a call that dies half-way leaves both or "
    "neither, and let what is still working after its caller has gone find the ref taken.",
    least=20,
)
def idempotent_after_unknown(history: History, profile: Profile) -> Finding:
    repeats, refusals = repeats_of(history, profile), unexplained(history, profile)
    differing = repeats.told_otherwise(repeats.after_unknown)
    refused = refusals.because("lost")
    return finding_of(
        int(repeats.after_unknown.sum()) + len(refused),
        [
            *each(repeats.pushes, repeats.place, differing, lambda n: _differs(repeats, n)),
            *each(refusals.pushes, refusals.place, refused, lambda n: refusal(refusals, n)),
        ],
        len(differing) + len(refused),
        note="calls repeated after an answer of theirs was lost",
        lacks=LOAD,
    )


@rule(
    "ref-retention",
    family="idempotency",
    severity="must",
    scope="history",
    statement="A ref is remembered for at least 24 hours, over restarts of the target too, however many others follow.",
    source=SPEC_REF,
    advice="Keep refs in a store that outlives the process, with an expiry of at least 24 hours, and drop none of them "
    "earlier to make room for others.",
    least=20,
)
def ref_retention(history: History, profile: Profile) -> Finding:
    repeats = repeats_of(history.with_earlier, profile)
    differing = repeats.told_otherwise(repeats.old)
    ages = repeats.age[repeats.old]
    found = finding_of(
        len(ages),
        each(repeats.pushes, repeats.place, differing, lambda n: _differs(repeats, n)),
        len(differing),
        note="",
        lacks="Wants a longer load stage, or a later run that asks again: stepup conformance --resume DIR.",
    )
    return replace(found, facts={"oldest": Most(ages.max(initial=0))}, conclude=_how_old)


def _how_old(finding: Finding) -> Finding:
    oldest, shortfall = finding.facts["oldest"], ""
    if finding.examined and oldest < OLDEST_NS:
        shortfall = f"the oldest ref that was used again was {ago(oldest)} old; a pass needs {ago(OLDEST_NS)}"
    note = f"calls repeated more than a second after their first answer, the latest {ago(oldest)} after it"
    return replace(finding, note=note if finding.examined else "", shortfall=shortfall)


USED_AGAIN: Final = "refs used again after a refusal or a 5xx"


def _still_limited(history: History, profile: Profile) -> Finding:
    """Refs that were refused with 429 and are refused so ever after."""
    stuck = stuck_at_429(history, profile)
    limited = np.arange(len(stuck.place))
    violations = each(stuck.pushes, stuck.place, limited, lambda n: _limited_again(stuck, n))
    return finding_of(len(limited), violations, len(limited), note=USED_AGAIN, lacks="")


@rule(
    "ref-not-spent-by-refusal",
    family="idempotency",
    severity="must",
    scope="history",
    statement="A call that was refused with 401, 403 or 429, or failed with a 5xx, leaves its ref free: the call can "
    "be made again with it.",
    source=SPEC_REF + "; only an operation uses a reference up",
    advice="Store the ref with the challenge, after authorisation and limits have been passed, and never the refusal.",
    least=10,
    of_all=_still_limited,
    by_scope=("rate",),
)
def ref_not_spent_by_refusal(history: History, profile: Profile) -> Finding:
    refusals = unexplained(history, profile)
    refused = refusals.because("refused")
    return finding_of(
        served_afterwards(history, profile) + len(refused),
        each(refusals.pushes, refusals.place, refused, lambda n: refusal(refusals, n)),
        len(refused),
        note=USED_AGAIN,
        lacks="Wants calls that are refused for their credentials or a rate limit, and made again with the same ref.",
    )


def _differs(repeats: Repeats, n: int) -> Violation:
    """An operation with two answers."""
    pushes, first, later, lost = repeats.pushes, int(repeats.first[n]), int(repeats.place[n]), int(repeats.lost[n])
    rows = [int(pushes.row[first]), int(pushes.row[later])]
    if repeats.overlapping[n]:
        when = "a duplicate under way at the same time"
    else:
        when = f"the same call {ago(int(repeats.age[n]))} later"
        if lost >= 0:
            rows.insert(0, int(pushes.row[lost]))
            when += ", after an answer was lost,"
    told = f"{who(pushes, later)}: answered {answer(pushes, first)}, and {when} {answer(pushes, later)}"
    return Violation(tuple(rows), told)


def _limited_again(stuck: Stuck, n: int) -> Violation:
    """A ref that was refused with 429 and still is, though the limit is not reached."""
    pushes, before, place = stuck.pushes, int(stuck.before[n]), int(stuck.place[n])
    waited = ago(int(pushes.sent[place] - pushes.received[before]))
    told = f"{who(pushes, place)}: refused with 429, and {waited} later again, though the rate limit cannot have been "
    return Violation((int(pushes.row[before]), int(pushes.row[place])), told + "reached")
