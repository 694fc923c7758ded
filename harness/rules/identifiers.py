"""Rules on which operation a challenge id belongs to: to one only, that of its caller, and not to be guessed.

An id that two operations were given is told by one rule, by what the two have in common: the ref (`idempotent-scope`),
the caller without a ref (`no-ref-no-replay`), the caller and the channel (`ref-exact`), else `challenge-id-unique`.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np

from harness.history import History
from harness.profile import Profile
from harness.rules.findings import each, finding_of, refusal
from harness.rules.idempotency import LOAD, SPEC_REF
from harness.rules.reading.operations import Flags, pushes_of
from harness.rules.refs.counting import Count, Span, come_by, counts_of, spans_between
from harness.rules.refs.guessing import fresh_bits, ids_in_order
from harness.rules.refs.sharing import Shared, nearly_equal, operations_with_an_id, same_ref_elsewhere, shared_ids
from harness.rules.refs.unexplained import unexplained
from harness.rules.registry import Finding, Violation, rule
from harness.rules.told import quoted, who

SPEC_ID: Final = "openapi.yaml: components.schemas.Challenge.properties.id"
# The OWASP Session Management Cheat Sheet asks for 64 bits of what is a credential by itself. A challenge id is none:
# 48 bits, less what an estimate from samples may lack, leave no id to be found by trying those near another one.
ENOUGH_BITS: Final = 44.0
ENOUGH_IDS: Final = 200  # with fewer the entropy of a position is underestimated


def _same_ref(shared: Shared) -> Flags:
    return shared.same_ref & (shared.other_person | shared.other_channel)


def _no_ref(shared: Shared) -> Flags:
    return ~shared.other_person & shared.a_ref_is_missing


def _own_refs(shared: Shared) -> Flags:
    return ~shared.other_person & ~shared.other_channel & ~shared.a_ref_is_missing


def _by_chance(shared: Shared) -> Flags:
    different = np.where(shared.other_person, ~shared.same_ref, shared.other_channel & ~shared.same_ref)
    chosen: Flags = different & (shared.other_person | ~shared.a_ref_is_missing)
    return chosen


def _two_refs(history: History, profile: Profile) -> Finding:
    found = _given_twice(history, profile, _own_refs)
    return replace(found, examined=found.all_told)


@rule(
    "idempotent-scope",
    family="idempotency",
    severity="must",
    scope="history",
    statement="The same ref of another user, or on the other channel, is another operation with its own challenge.",
    source=SPEC_REF,
    advice="Make the user and the operation with its channel part of the key under which a ref is stored.",
    least=10,
    of_all=lambda history, profile: _given_twice(history, profile, _same_ref),
    by_scope=("ids",),
)
def idempotent_scope(history: History, profile: Profile) -> Finding:
    refusals = unexplained(history, profile)
    refused = refusals.because("elsewhere")
    return finding_of(
        same_ref_elsewhere(history, profile) + len(refused),
        each(refusals.pushes, refusals.place, refused, lambda n: refusal(refusals, n)),
        len(refused),
        note="operations whose ref another user, or the other channel, had as well",
        lacks=f"{LOAD} It takes users of different persons, or one that is enrolled on both channels.",
    )


@rule(
    "ref-exact",
    family="idempotency",
    severity="must",
    scope="history",
    statement="Refs that differ in anything, in letter case, padding or behind a long common beginning, are different.",
    source=SPEC_REF,
    advice="Compare refs byte by byte and in full: no folding of case, no trimming, no column that cuts them off, no "
    "hash too short, no collation of the database that calls different texts equal.",
    least=20,
    of_all=_two_refs,
    by_scope=("ids",),
)
def ref_exact(history: History, profile: Profile) -> Finding:
    refusals = unexplained(history, profile)
    refused = refusals.because("near")
    return finding_of(
        nearly_equal(history, profile) + len(refused),
        each(refusals.pushes, refusals.place, refused, lambda n: refusal(refusals, n)),
        len(refused),
        note="operations with refs nearly equal to another's of the same user and channel",
        lacks=LOAD,
    )


@rule(
    "no-ref-no-replay",
    family="idempotency",
    severity="must",
    scope="history",
    statement="Without a ref two requests are two operations, each with a challenge of its own.",
    source=SPEC_REF,
    advice="Replay nothing to a request without a ref, and never store an answer under an absent one.",
    least=10,
    of_all=lambda history, profile: _given_twice(history, profile, _no_ref),
    by_scope=("ids",),
)
def no_ref_no_replay(history: History, profile: Profile) -> Finding:
    pushes = pushes_of(history, profile)
    without = pushes.person[pushes.success & (pushes.ref < 0) & (pushes.person >= 0)]
    examined = len(without) - len(np.unique(without))
    note = "requests without a ref after others of the same user"
    return Finding(examined, note=note, lacks=LOAD, conclude=_at_least_the_wrong)


def _at_least_the_wrong(finding: Finding) -> Finding:
    examined = max(finding.examined, finding.all_told)
    return replace(finding, examined=examined, note=finding.note if examined else "")


@rule(
    "challenge-id-unique",
    family="idempotency",
    severity="must",
    scope="history",
    statement="No challenge id is issued twice, and nobody is given that of somebody else.",
    source=SPEC_ID,
    advice="Take ids from a source that no other process or host repeats, such as random UUIDs; where a user was given "
    "another's, look for state that requests share (caches, pools, variables outside the request).",
    least=100,
    of_all=lambda history, profile: _given_twice(history, profile, _by_chance),
    by_scope=("ids",),
)
def challenge_id_unique(history: History, profile: Profile) -> Finding:
    return finding_of(
        len(operations_with_an_id(pushes_of(history, profile))),
        [],
        0,
        note="operations whose id was compared with all others",
        lacks="Wants operations that are given a challenge.",
    )


@rule(
    "challenge-id-unguessable",
    family="idempotency",
    severity="should",
    scope="history",
    statement="A challenge id cannot be guessed from others: no counters, no clocks, at least 48 random bits.",
    source="OWASP Session Management Cheat Sheet, session ID entropy; RFC 9562, section 8",
    advice="Use random UUIDs (version 4), or another 128 bits of a cryptographic random source.",
    least=ENOUGH_IDS,
    by_person=False,
)
def challenge_id_unguessable(history: History, profile: Profile) -> Finding:
    rows, ids = ids_in_order(history, profile)
    bits = fresh_bits(ids)
    seen = f"about {bits:.0f} bits of an id are new to somebody who knows the one before"
    if len(ids) < ENOUGH_IDS or bits >= ENOUGH_BITS:
        return finding_of(len(ids), [], 0, note=f"ids in the order of issue; {seen}", lacks="Wants more challenges.")
    shown = ", ".join(quoted(text) for text in ids[:3])
    told = f"only {seen} ({ENOUGH_BITS:.0f} or more are wanted); in order of issue: {shown}"
    return finding_of(len(ids), [Violation(tuple(rows[:3]), told)], 1, note="", lacks="")


def _given_twice(history: History, profile: Profile, which: Callable[[Shared], Flags]) -> Finding:
    """Ids that were given to more than one operation, of one kind of pair."""
    shared = shared_ids(history, profile)

    def violation(n: int) -> Violation:
        pushes, place, owner = shared.pushes, int(shared.place[n]), int(shared.owner[n])
        given = quoted(str(pushes.ids[pushes.id[place]]))
        told = f"challenge {given} was given to {who(pushes, owner)}, and again to {who(pushes, place)}"
        if pushes.token[place] != pushes.token[owner] and shared.same_ref[n]:
            told += " (if both tokens are one person's, let the pool say so with `user`)"
        return Violation((int(pushes.row[owner]), int(pushes.row[place])), told)

    chosen = np.flatnonzero(which(shared))
    violations = each(shared.pushes, shared.place, chosen, violation)
    return finding_of(0, violations, len(chosen), note="", lacks="")


@rule(
    "push-at-most-once",
    family="idempotency",
    severity="must",
    scope="history",
    statement="Each challenge is one push: none is sent twice, none is left out.",
    source="openapi.yaml: paths./stepup/challenges/push/{channel}.post: issues a push notification",
    advice="Send the push once the challenge is committed, from an outbox that remembers what it has sent; retries of "
    "the sender, of the queue and of the database transaction are where second pushes come from.",
    sound_with_gaps=False,
    least=20,
    by_person=False,
    by_scope=("ids",),
)
def push_at_most_once(history: History, profile: Profile) -> Finding:
    if profile.control.pushes is None:
        return Finding(0, lacks="The profile names no call that tells how many pushes were sent: control.pushes.")
    counts = counts_of(history, profile)
    target = profile.target
    compare = partial(_compared, counts, alone=target.exclusive, bounded=target.late_effect_ns is not None)
    return Finding(0, facts={"come": come_by(counts, history, profile)}, conclude=compare)


def _compared(counts: tuple[Count, ...], finding: Finding, *, alone: bool, bounded: bool) -> Finding:
    """What follows from the challenges that had come by each count; `bounded`: how late one may come is declared."""
    spans = spans_between(counts, finding.facts["come"])
    longest = {span.first.row: span for span in spans}
    wrong = [found for span in spans if (found := _miscounted(span, alone=alone))]
    counted, given = sum(span.counted for span in longest.values()), sum(span.given for span in longest.values())
    room = max(spans, key=lambda span: span.given).room if spans else 0
    return finding_of(
        given,
        wrong,
        len(wrong),
        note=f"challenges between counts; {counted:,} pushes were counted, {room:,} more would have gone unnoticed",
        shortfall=_not_counted(list(longest.values()), alone=alone, bounded=bounded),
        lacks="Wants the number of pushes told before and after challenges are asked for.",
    )


def _miscounted(span: Span, *, alone: bool) -> Violation | None:
    told = "the target counted {:,} pushes from the first of these calls to the second, but "
    if span.room < 0 and alone:
        told = told.format(span.last.told - span.since.told)
        told += f"at most {span.most:,} challenges can have been pushed in between"
        return Violation((span.since.row, span.last.row), told)
    if span.counted < span.least:
        told = told.format(span.counted)
        told += f"{span.least:,} challenges were given in between, and pushing them was over by the second"
        return Violation((*span.missed, span.first.row, span.last.row), told)
    return None


def _not_counted(spans: list[Span], *, alone: bool, bounded: bool) -> str:
    """Why the counts do not decide, where they do not."""
    if spans and not alone:
        return "the target may have pushed for others meanwhile: the profile does not say target.exclusive"
    missing = sum(max(span.given - span.counted, 0) for span in spans)
    if missing:
        known = "" if bounded else ": the profile does not say target.late_effect"
        return f"{missing:,} pushes were not counted yet when the target last told, and may have been queued{known}"
    return ""
