"""What proves that a token was in good standing when it was refused: neither settled, nor logged out, nor shut out."""

from typing import Final

import numpy as np

from harness.history import History
from harness.profile import Profile
from harness.rules.reading.groups import earliest, next_after, pairs
from harness.rules.reading.operations import FOREVER, Flags, Ints, Pushes, apart_ns, effects_of
from harness.rules.tokens.lives import promises_of

# What a settled token is answered where the document speaks (409) and where it was observed (400).
AS_SETTLED: Final = (400, 409)


class Standing:
    """Finds for refusals a challenge of the same token, channel and era that proves it; `era` is -1 where none is sure.

    That is an earlier one where a token was refused as a settled one is and nobody had settled it; else the next one
    that was begun after the refusal, as no settled or logged out token is given another. Where a settled token may be
    refused or served as the target likes, nothing proves that it was not refused as one.
    """

    def __init__(self, history: History, profile: Profile, pushes: Pushes, era: Ints) -> None:
        self._pushes = pushes
        self._group = pairs(pairs(pushes.token, pushes.channel), era)
        self._given = pushes.success & pushes.entitled & (era >= 0) & _its_own(pushes)
        self._began = effects_of(pushes, profile).start[pushes.op]
        self._apart = apart_ns(history)
        self._settled = _first_settled(history, profile, pushes)
        self._open = promises_of(profile).open_ended

    def proof(self, place: Ints) -> Ints:
        """The place of the challenge for each refusal, or -1."""
        group, pushes = self._group, self._pushes
        given = self._given & np.isin(group, group[place])
        before = earliest(group, pushes.received, given)[group[place]]
        rows = np.flatnonzero(given)
        after = next_after(group[rows], self._began[rows], group[place], pushes.received[place] + self._apart)
        later = np.where(after >= 0, np.append(rows, -1)[after], -1)
        proof = np.where(self._earlier(before, place), before, later)
        return np.where(self._open & np.isin(pushes.status[place], AS_SETTLED), -1, proof)

    def proves(self, other: Ints, place: Ints, proof: Ints) -> Flags:
        """Whether another exchange before the refusal proves it too, where such a one was found."""
        found_before = self._pushes.received[proof] < self._pushes.sent[place]
        alike = self._given[other] & (self._group[other] == self._group[place])
        also: Flags = found_before & alike & self._earlier(other, place)
        return also

    def _earlier(self, before: Ints, place: Ints) -> Flags:
        pushes = self._pushes
        unsettled = np.isin(pushes.status[place], AS_SETTLED) & (self._settled[place] > pushes.received[place])
        earlier: Flags = (before >= 0) & (pushes.received[before] < pushes.sent[place]) & unsettled
        return earlier


def _its_own(pushes: Pushes) -> Flags:
    """Whether no other token asked for the same: a settled token may be given again what another one had got."""
    acting = pushes.success | pushes.unknown
    low, high = np.full(pushes.ops, FOREVER, np.int64), np.full(pushes.ops, -1, np.int64)
    np.minimum.at(low, pushes.op[acting], pushes.token[acting])
    np.maximum.at(high, pushes.op[acting], pushes.token[acting])
    alone: Flags = (low == high)[pushes.op]
    return alone


def _first_settled(history: History, profile: Profile, pushes: Pushes) -> Ints:
    """For each exchange from when on its token may have been settled; 0 where others may have done it unseen.

    Whose challenge it was that a token was given and settled may be open between the tokens of one person.
    """
    if history.gaps or not profile.target.exclusive:
        return np.zeros(len(pushes), np.int64)
    frame = history.control
    settles = frame["operation"].isin(["accept", "decline"]).to_numpy() & (frame["outcome"] != "refused").to_numpy()
    token, sent = frame["user"].to_numpy(np.int64)[settles], frame["sent"].to_numpy(np.int64)[settles]
    persons = np.array([*(user.person for user in profile.pool.users), -1], np.int64)
    whose = persons[np.where(token < len(persons) - 1, token, -1)]
    first = np.full(max(int(whose.max(initial=-1)), int(pushes.person.max(initial=-1))) + 2, FOREVER, np.int64)
    np.minimum.at(first, whose, sent)  # a settle that does not say whose is at the end, and may be anybody's
    return np.asarray(np.minimum(first[pushes.person], first[-1]), np.int64)
