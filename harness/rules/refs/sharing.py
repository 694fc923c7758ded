"""Challenge ids that were given to more than one operation, and what the two operations have in common."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import pandas as pd

from harness.history import History
from harness.profile import Profile
from harness.rules.reading.groups import pairs
from harness.rules.reading.operations import Flags, Ints, Pushes, everyone_of, once_a_history, pushes_of, resets_of

SAMPLE: Final = 50_000  # exchanges in which nearly equal refs are looked for; far more than a pass needs
LONG: Final = 32  # characters; refs that share so many were made to differ only behind them


@dataclass(frozen=True)
class Shared:
    """Operations that were given an id which another operation had: places in `pushes`, earliest receipt first.

    `place` is the first success of such an operation with the id, `owner` the success to which the id was first given.
    An id that was given before and after a reset is none of these, as a target may number from the start again.
    """

    pushes: Pushes
    place: Ints
    owner: Ints

    @property
    def other_person(self) -> Flags:
        return np.not_equal(self.pushes.person[self.place], self.pushes.person[self.owner])

    @property
    def other_channel(self) -> Flags:
        return np.not_equal(self.pushes.channel[self.place], self.pushes.channel[self.owner])

    @property
    def same_ref(self) -> Flags:
        ref = self.pushes.ref[self.place]
        same: Flags = (ref >= 0) & (ref == self.pushes.ref[self.owner])
        return same

    @property
    def a_ref_is_missing(self) -> Flags:
        missing: Flags = (self.pushes.ref[self.place] < 0) | (self.pushes.ref[self.owner] < 0)
        return missing


@once_a_history
def shared_ids(history: History, profile: Profile) -> Shared:
    """The ids of a history that more than one operation was given."""
    pushes = pushes_of(history, profile)
    resets = resets_of(history, profile)
    # Whose a vague exchange is may be open, but not whether it belongs to somebody else.
    known = pushes.success & (pushes.person >= 0) & ~resets.straddled(pushes.sent, pushes.received)
    given = np.flatnonzero(known)
    given = given[np.argsort(pushes.received[given], kind="stable")]
    issue = pairs(pushes.id[given], resets.era(pushes.sent[given]))
    owner = given[pd.Series(np.arange(len(given))).groupby(issue, sort=False).transform("first").to_numpy(np.int64)]
    other = pushes.op[given] != pushes.op[owner]
    other &= ~(pushes.vague[given] | pushes.vague[owner]) | (pushes.person[given] != pushes.person[owner])
    place, owner = given[other], owner[other]
    fresh = ~pd.DataFrame({"op": pushes.op[place], "owner": owner}).duplicated().to_numpy()
    return Shared(pushes, place[fresh], owner[fresh])


def operations_with_an_id(pushes: Pushes) -> Ints:
    """The place of the first success of each clear operation."""
    given = np.flatnonzero(pushes.success & ~pushes.vague)
    first: Ints = given[~pd.Series(pushes.op[given]).duplicated().to_numpy()]
    return first


def same_ref_elsewhere(history: History, profile: Profile) -> int:
    """How many operations had a ref that another person, or the other channel, had been given a challenge for."""
    pushes = everyone_of(history, profile)
    first = operations_with_an_id(pushes)
    first = first[pushes.ref[first] >= 0]
    again = pd.Series(pushes.ref[first]).duplicated().to_numpy()
    return int((again & ~history.guest(pushes.row[first])).sum())


def nearly_equal(history: History, profile: Profile) -> int:
    """How many operations had a ref that is nearly that of another one of the same person and channel.

    Near are refs that differ in letter case only, of which one is the other with something before or behind it, that
    differ in their last character only, or that share their first 32 characters.
    """
    pushes = pushes_of(history, profile)
    place = operations_with_an_id(pushes)
    place = place[(pushes.ref[place] >= 0) & (history.number(pushes.row[place]) < SAMPLE)]
    texts = pushes.refs.take(pushes.ref[place]).tolist()
    owners = list(zip(pushes.person[place].tolist(), pushes.channel[place].tolist(), strict=True))
    near: set[int] = set()
    for spelt in (str, str.casefold, lambda text: text[::-1]):
        ordered = sorted(range(len(texts)), key=lambda n: (owners[n], spelt(texts[n])))
        for one, other in pairwise(ordered):
            if owners[one] == owners[other] and _near(spelt(texts[one]), spelt(texts[other])):
                near.add(other)
    return len(near)


def _near(first: str, second: str) -> bool:
    """Whether two refs that stand side by side in order are nearly equal."""
    return second.startswith(first) or first[:LONG] == second[:LONG] or first[:-1] == second[:-1]
