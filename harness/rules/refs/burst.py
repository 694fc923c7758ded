"""How narrow a race the duplicates of a history would have shown, had there been one."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from harness.history import History
from harness.profile import Profile
from harness.rules.reading.operations import FOREVER
from harness.rules.refs.repeats import clear_pushes, lives_of

# P(seen in a burst) = 1 - (1 - w/D)^k for k duplicates spread over D and a gap of w between look and write; over many
# bursts that is 95 % where the sum of k w / D reaches 3.
CERTAIN: Final = 3.0


@dataclass(frozen=True)
class Race:
    """`duplicates` in `bursts` that overlapped. `power` is the sum of duplicates by the ns they were spread over."""

    duplicates: int
    bursts: int
    power: float

    @property
    def width_ms(self) -> float:
        """The narrowest gap in ms that would have been seen with 95 %."""
        return CERTAIN / self.power / 1e6 if self.power else float("inf")


def narrowest_race(history: History, profile: Profile) -> Race:
    """The power of all bursts: duplicates sent before any of them had been answered with a challenge.

    What was refused as a duplicate counts as well, as it too looked for the ref; limits refuse before anyone looks.
    """
    pushes = clear_pushes(history, profile)
    life, lives = lives_of(pushes, history, profile)
    answered = np.full(lives, FOREVER, np.int64)
    np.minimum.at(answered, life[pushes.success], pushes.received[pushes.success])
    looked = pushes.success | (pushes.refused & (pushes.status == 409) & ~pushes.exhausted)
    looked &= (pushes.sent <= answered[life]) & (answered[life] < FOREVER)
    life, sent, received = life[looked], pushes.sent[looked], pushes.received[looked]
    size = np.bincount(life, minlength=lives)
    begun, ended = np.full(lives, FOREVER, np.int64), np.zeros(lives, np.int64)
    np.minimum.at(begun, life, sent)
    np.maximum.at(ended, life, received)
    burst = size > 1
    spread = np.maximum(ended[burst] - begun[burst], 1)
    return Race(int((size[burst] - 1).sum()), int(burst.sum()), float((size[burst] / spread).sum()))
