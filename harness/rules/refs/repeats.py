"""Every repeated answer of an operation beside its first one: how old it was, and whether it says the same."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd

from harness.history import History
from harness.profile import Profile
from harness.rules.reading.operations import (
    FOREVER,
    Flags,
    Ints,
    Pushes,
    effects_of,
    once_a_history,
    pushes_of,
    resets_of,
)

RETENTION_NS: Final = 24 * 3600 * 10**9  # the document: a ref is remembered for at least 24 hours
YOUNG_NS: Final = 10**9  # a retry comes within a second or so; what comes later needs the ref to be *kept*


@dataclass(frozen=True)
class Repeats:
    """The repeated successes of operations with a ref, a column each.

    An operation is taken anew in each era (see `Resets`), as a reset may make the target forget refs or not; what
    straddles a reset, or comes more than 24 hours after the operation began, is left out. `life` numbers operation and
    era; `first` is the success of a life that was received first.

    `place` and `first` are places in `pushes`, the columns that are looked at. `overlapping`: sent before any success
    had been received. `lost` is the place of the life's first unknown outcome that was sent before the repeat was
    received, -1 where there is none. `age` is the time in ns from the first receipt to the sending, negative where
    overlapping. `other`: its id or status is not that of the first.
    """

    pushes: Pushes
    life: Ints
    place: Ints
    first: Ints
    lost: Ints
    age: Ints
    other: Flags

    @property
    def overlapping(self) -> Flags:
        return np.less_equal(self.age, 0)

    @property
    def after_unknown(self) -> Flags:
        return ~self.overlapping & (self.lost >= 0)

    @property
    def sequential(self) -> Flags:
        return ~self.overlapping & (self.lost < 0)

    @property
    def old(self) -> Flags:
        return self.sequential & (self.age >= YOUNG_NS)

    def told_otherwise(self, chosen: Flags) -> Ints:
        """Places in these columns of the chosen repeats by which a life was first given an answer unlike its first."""
        return np.flatnonzero(chosen & self._news)

    @cached_property
    def _news(self) -> Flags:
        found = np.flatnonzero(self.other)
        found = found[np.argsort(self.pushes.received[self.place[found]], kind="stable")]
        place = self.place[found]
        answers = pd.DataFrame(
            {"life": self.life[found], "id": self.pushes.id[place], "status": self.pushes.status[place]}
        )
        news = np.zeros(len(self.place), np.bool_)
        news[found[~answers.duplicated().to_numpy()]] = True
        return news


@once_a_history
def repeats_of(history: History, profile: Profile) -> Repeats:
    """The repeats of a history."""
    pushes = clear_pushes(history, profile)
    life, lives = lives_of(pushes, history, profile)
    born = effects_of(pushes, profile, life, lives).start
    within = pushes.success & (pushes.received - born[life] < RETENTION_NS)
    place = np.flatnonzero(within)
    place = place[np.lexsort((pushes.received[place], life[place]))]
    starts = np.ones(len(place), np.bool_)
    starts[1:] = life[place[1:]] != life[place[:-1]]
    first = place[starts][np.cumsum(starts) - 1] if len(place) else place
    place, first = place[~starts], first[~starts]
    return Repeats(
        pushes=pushes,
        life=life[place],
        place=place,
        first=first,
        lost=_lost(pushes, life, lives, place),
        age=pushes.sent[place] - pushes.received[first],
        other=(pushes.id[place] != pushes.id[first]) | (pushes.status[place] != pushes.status[first]),
    )


def clear_pushes(history: History, profile: Profile) -> Pushes:
    """The pushes with a ref that tell for sure which operation and which era they belong to."""
    pushes = pushes_of(history, profile)
    straddled = resets_of(history, profile).straddled(pushes.sent, pushes.received)
    return pushes.where((pushes.ref >= 0) & ~pushes.vague & ~straddled)


def lives_of(pushes: Pushes, history: History, profile: Profile) -> tuple[Ints, int]:
    """A number for each pair of operation and era, and how many there are."""
    era = resets_of(history, profile).era(pushes.sent)
    numbers, pairs = pd.factorize(pushes.op * (int(era.max(initial=0)) + 1) + era)
    return numbers.astype(np.int64), len(pairs)


def _lost(pushes: Pushes, life: Ints, lives: int, place: Ints) -> Ints:
    unknown = np.flatnonzero(pushes.unknown)[::-1]
    earliest = np.full(lives, -1, np.int64)
    earliest[life[unknown]] = unknown  # the last write stays, which is the one sent first
    lost = earliest[life[place]]
    sent = np.where(lost >= 0, pushes.sent[lost], FOREVER)
    return np.where(sent <= pushes.received[place], lost, -1)
