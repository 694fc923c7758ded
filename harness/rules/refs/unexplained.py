"""Refusals of valid calls that nothing but their ref can explain, and what about the ref does.

A correct target may refuse a valid call for its token's state, for a limit, or for what the deployment adds of its own.
What is listed here was refused with a status by which idempotency layers refuse, for none of these reasons: another
challenge of the token proves that it was in good standing.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from harness.case import allowed_for, allows
from harness.history import History
from harness.profile import Profile
from harness.rules.reading.duplicates import may_meet_another
from harness.rules.reading.groups import earliest, pairs
from harness.rules.reading.operations import (
    Flags,
    Ints,
    Pushes,
    apart_ns,
    everyone_of,
    late,
    once_a_history,
    resets_of,
)
from harness.rules.refs.spent import leaves_free
from harness.rules.refs.standing import Standing

# 400, 409 and 422 are how servers refuse an Idempotency-Key (draft-ietf-httpapi-idempotency-key-header, section 2.7);
# 401 and 403 are what they replay when they remember refusals. 404, 405 and the like never speak of a ref.
STATUSES: Final = (400, 401, 403, 409, 422)
VALID: Final = ("valid", "replay", "pending", "new-login")
# Error codes with a reason that has nothing to do with the ref, each judged by rules of its own.
OTHER_REASONS: Final = ("CHALLENGE_LIMIT_EXCEEDED", "CHANNEL_NOT_SUPPORTED", "CHANNEL_NOT_REGISTERED")
# What is known of the ref, in the order in which it is taken for the reason: a refusal or 5xx of the same ref on the
# same channel before (`refused`), a success of the same operation before (`answered`) or at the same time
# (`overlapped`), a call of the same operation that had no answer (`lost`), a success of the same ref by another person
# or on the other channel (`elsewhere`), or of the same person and channel with a ref that is nearly equal (`near`).
REASONS: Final = ("refused", "answered", "overlapped", "lost", "elsewhere", "near")


@dataclass(frozen=True)
class Unexplained:
    """Refusals that only their ref explains, in order of sending: `place`, `cause` and `proof` are places in `pushes`.

    `reason` is a place in REASONS, `cause` the exchange that makes it one, `proof` a challenge that proves that the
    token was in good standing.
    """

    pushes: Pushes
    place: Ints
    reason: Ints
    cause: Ints
    proof: Ints

    def because(self, reason: str) -> Ints:
        """Places in these columns of the refusals with this reason."""
        return np.flatnonzero(self.reason == REASONS.index(reason))


@once_a_history
def unexplained(history: History, profile: Profile) -> Unexplained:
    """The refusals of a history that only their ref explains."""
    pushes = everyone_of(history, profile)
    resets = resets_of(history, profile)
    era = resets.sure_era(pushes.sent, pushes.received)
    clear = (pushes.ref >= 0) & ~pushes.vague & (era >= 0)
    own = ~history.guest(pushes.row)
    place = np.flatnonzero(clear & own & _refused_for_no_other_reason(pushes, profile))
    if not len(place):
        return Unexplained(pushes, place, place, place, place)
    standing = Standing(history, profile, pushes, era)
    proof = standing.proof(place)
    place, proof = place[proof >= 0], proof[proof >= 0]
    life = np.where(clear, pairs(pushes.op, era), -1)
    causes = _causes(pushes, place, life, apart_ns(history))
    reason = (causes >= 0).argmax(axis=0)
    cause = causes[reason, np.arange(len(place))]
    answered = causes[REASONS.index("answered")] >= 0
    known = (cause >= 0) & ~_allowed(pushes, place, answered, profile)
    if profile.policy.concurrent_duplicate == "conflict":
        over = np.where(pushes.unknown, late(pushes.received, profile), pushes.received)
        known &= (pushes.status[place] != 409) | ~may_meet_another(pushes, place, over, apart_ns(history))
    # Where the cause itself proves as much as what was found, nothing else is needed.
    proof = np.where(standing.proves(cause, place, proof), cause, proof)
    return Unexplained(pushes, place[known], reason[known], cause[known], proof[known])


def _refused_for_no_other_reason(pushes: Pushes, profile: Profile) -> Flags:
    chosen = pushes.refused & pushes.entitled & pushes.has_intent(*VALID) & ~pushes.has_code(*OTHER_REASONS)
    chosen &= np.isin(pushes.status, STATUSES)
    for status, code in {(int(pushes.status[n]), int(pushes.code[n])) for n in np.flatnonzero(chosen)}:
        name = str(pushes.codes[code]) if code >= 0 else ""
        # A deployment may declare other outcomes for ordinary calls.
        if any(allows(allowed_for(intent, profile), status, name) for intent in ("valid", "replay")):
            chosen &= (pushes.status != status) | (pushes.code != code)
    return chosen


def _causes(pushes: Pushes, place: Ints, life: Ints, apart: int) -> Ints:
    """For each of REASONS a row: the exchange that makes it the reason of each refusal, or -1.

    It surely came so early, however far `apart` (ns) the clocks of the two machines are.
    """
    success = pushes.success & (life >= 0)
    lost = pushes.unknown & (pushes.status == 0) & (life >= 0)
    sent, received = pushes.sent, pushes.received

    def before(key: Ints, chosen: Flags) -> Ints:
        first = earliest(key, received, chosen)[key[place]]
        return np.where((first >= 0) & (received[first] + apart < sent[place]), first, -1)

    def begun(key: Ints, chosen: Flags) -> Ints:
        first = earliest(key, sent, chosen)[key[place]]
        return np.where((first >= 0) & (sent[first] + apart <= received[place]), first, -1)

    elsewhere = begun(pushes.ref, success)
    return np.stack(
        [
            before(pairs(pushes.channel, pushes.ref), leaves_free(pushes)),
            before(life, success),
            begun(life, success),
            before(life, lost),
            np.where(pushes.op[elsewhere] != pushes.op[place], elsewhere, -1),
            begun(_nearly_the_call(pushes), success),
        ]
    )


def _nearly_the_call(pushes: Pushes) -> Ints:
    """A number for each person, channel and what is left of a ref without case, signs and all behind 32 characters."""
    bare = pc.replace_substring_regex(pc.utf8_lower(pa.array(pushes.refs, pa.string())), "[^0-9a-z]", "")
    texts = pd.Series(pc.utf8_slice_codeunits(bare, 0, 32).to_numpy(zero_copy_only=False), dtype="str")
    ref = np.append(pd.factorize(texts)[0], -1)[pushes.ref]
    return np.where(ref >= 0, pairs(pairs(pushes.person, pushes.channel), ref), -1)


def _allowed(pushes: Pushes, place: Ints, answered: Flags, profile: Profile) -> Flags:
    """Whether another challenge of the token may have been pending where only one may be in flight.

    What was answered before must be answered again even then.
    """
    rejects = profile.policy.in_flight == "reject"
    allowed: Flags = np.isin(pushes.status[place], (400, 409)) & ~answered & rejects
    return allowed
