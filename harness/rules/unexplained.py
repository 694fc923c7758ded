"""Refusals of valid calls that nothing but their ref can explain, and what about the ref does.

A correct target may refuse a valid call for its token's state, for a limit, or for what the deployment adds of its own.
What is listed here was refused with a status by which idempotency layers refuse, for none of these reasons: the same
token was later given a *fresh* challenge on the same channel, so that it was neither settled nor logged out nor shut
out, and no reset came in between.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd

from harness.case import allowed_for, allows
from harness.history import History
from harness.profile import Profile
from harness.rules.groups import count_until, earliest, next_after, pairs
from harness.rules.operations import Flags, Ints, Pushes, effects_of, late, once_a_history, pushes_of, resets_of
from harness.rules.spent import leaves_free

# 400, 409 and 422 are how servers refuse an Idempotency-Key (draft-ietf-httpapi-idempotency-key-header, section 2.7);
# 401 and 403 are what they replay when they remember refusals. 404, 405 and the like never speak of a ref.
STATUSES: Final = (400, 401, 403, 409, 422)
VALID: Final = ("valid", "replay", "pending", "new-login")
# Error codes with a reason that has nothing to do with the ref, each judged by rules of its own.
OTHER_REASONS: Final = ("CHALLENGE_LIMIT_EXCEEDED", "CHANNEL_NOT_SUPPORTED", "CHANNEL_NOT_REGISTERED")
REASONS: Final = ("answered", "overlapped", "refused", "lost", "elsewhere", "near")


@dataclass(frozen=True)
class Unexplained:
    """Refusals that only their ref explains, in order of sending; each column holds places in `pushes`.

    `proof` is the later fresh challenge of the same token. What is known of the ref, -1 where it does not apply:
    `answered` is a success of the same operation before, `overlapped` one at the same time, `refused` a refusal or 5xx
    of the same ref on the same channel before, `lost` a call of the same operation that had no answer, `elsewhere` a
    success of the same ref by another person or on the other channel, `near` one of the same person and channel with
    a ref that is nearly equal. The first that is known is the reason.
    """

    pushes: Pushes
    place: Ints
    proof: Ints
    answered: Ints
    overlapped: Ints
    refused: Ints
    lost: Ints
    elsewhere: Ints
    near: Ints

    def because(self, reason: str) -> Ints:
        """Places in these columns of the refusals whose reason is this one of REASONS."""
        known = np.stack([getattr(self, name) >= 0 for name in REASONS])
        return np.flatnonzero(known.any(axis=0) & (known.argmax(axis=0) == REASONS.index(reason)))


@once_a_history
def unexplained(history: History, profile: Profile) -> Unexplained:
    """The refusals of a history that only their ref explains."""
    pushes = pushes_of(history, profile)
    resets = resets_of(history, profile)
    era = np.where(resets.straddled(pushes.sent, pushes.received), -1, resets.era(pushes.sent))
    clear = (pushes.ref >= 0) & ~pushes.vague & (era >= 0)
    place = np.flatnonzero(clear & _refused_for_no_other_reason(pushes, profile))
    if not len(place):
        return Unexplained(pushes, *(place for _ in ("place", "proof", *REASONS)))
    proof = _fresh_after(pushes, profile, era, place)
    place, proof = place[proof >= 0], proof[proof >= 0]
    life = np.where(clear, pairs(pushes.op, era), -1)
    found = _reasons(pushes, place, proof, life)
    return _without_excused(found, profile, life)


def _refused_for_no_other_reason(pushes: Pushes, profile: Profile) -> Flags:
    chosen = pushes.refused & pushes.entitled & pushes.has_intent(*VALID) & ~pushes.has_code(*OTHER_REASONS)
    chosen &= np.isin(pushes.status, STATUSES)
    for status, code in {(int(pushes.status[n]), int(pushes.code[n])) for n in np.flatnonzero(chosen)}:
        name = str(pushes.codes[code]) if code >= 0 else ""
        # A deployment may declare other outcomes for ordinary calls.
        if any(allows(allowed_for(intent, profile), status, name) for intent in ("valid", "replay")):
            chosen &= (pushes.status != status) | (pushes.code != code)
    return chosen


def _fresh_after(pushes: Pushes, profile: Profile, era: Ints, place: Ints) -> Ints:
    """For each place the next challenge of the same token, channel and era that was begun after it, or -1."""
    group = pairs(pairs(pushes.token, pushes.channel), era)
    began = effects_of(pushes, profile).start[pushes.op]
    given = np.flatnonzero(pushes.success & pushes.entitled & (era >= 0) & np.isin(group, group[place]))
    found = next_after(group[given], began[given], group[place], pushes.received[place])
    return np.where(found >= 0, np.append(given, -1)[found], -1)


def _reasons(pushes: Pushes, place: Ints, proof: Ints, life: Ints) -> Unexplained:
    success = pushes.success & (life >= 0)
    call = pairs(pushes.channel, pushes.ref)
    lost = pushes.unknown & (pushes.status == 0) & (life >= 0)
    sent, received = pushes.sent, pushes.received

    def before(key: Ints, chosen: Flags) -> Ints:
        first = earliest(key, received, chosen)[key[place]]
        return np.where((first >= 0) & (received[first] < sent[place]), first, -1)

    def begun(key: Ints, chosen: Flags) -> Ints:
        first = earliest(key, sent, chosen)[key[place]]
        return np.where((first >= 0) & (sent[first] <= received[place]), first, -1)

    elsewhere = begun(pushes.ref, success)
    return Unexplained(
        pushes=pushes,
        place=place,
        proof=proof,
        answered=before(life, success),
        overlapped=begun(life, success),
        refused=before(call, leaves_free(pushes)),
        lost=before(life, lost),
        elsewhere=np.where(pushes.op[elsewhere] != pushes.op[place], elsewhere, -1),
        near=begun(_nearly_the_call(pushes), success),
    )


def _nearly_the_call(pushes: Pushes) -> Ints:
    """A number for each person, channel and what is left of a ref without case, signs and all behind 32 characters."""
    kept = [re.sub("[^0-9a-z]", "", str(text).casefold())[:32] for text in pushes.refs]
    ref = np.append(pd.factorize(np.array(kept, dtype=object))[0], -1)[pushes.ref]
    return np.where(ref >= 0, pairs(pairs(pushes.person, pushes.channel), ref), -1)


def _without_excused(found: Unexplained, profile: Profile, life: Ints) -> Unexplained:
    """Leave out what the declared policies allow."""
    pushes, place = found.pushes, found.place
    status = pushes.status[place]
    kept = np.ones(len(place), np.bool_)
    if profile.policy.in_flight == "reject":
        # Another challenge of the token may have been pending; only what was answered before must be answered again.
        kept &= ~np.isin(status, (400, 409)) | (found.answered >= 0)
    if profile.policy.concurrent_duplicate == "conflict":
        kept &= (status != 409) | ~_being_worked_on(pushes, place, life, profile)
    columns = {name: getattr(found, name)[kept] for name in ("place", "proof", *REASONS)}
    return replace(found, **columns)


def _being_worked_on(pushes: Pushes, place: Ints, life: Ints, profile: Profile) -> Flags:
    """Whether another exchange of the same life may have been under way at the time of each place."""
    rows = np.flatnonzero(np.isin(life, life[place]) & (life >= 0))
    over = np.where(pushes.unknown, late(pushes.received, profile), pushes.received)
    begun = count_until(life[rows], pushes.sent[rows], life[place], pushes.received[place])
    ended = count_until(life[rows], over[rows], life[place], pushes.sent[place] - 1)
    others: Flags = begun - ended > 1
    return others
