"""Operations: what one (person, channel, ref) asks for, however often it is sent, and when it may have had its effect.

Without a ref each exchange is an operation of its own. Tokens of one person share refs, as the pool says who they are.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from harness.history import History
from harness.profile import Profile
from harness.rules.reading.columns import NONE, Flags, Ints, Pushes, everyone_of, once_a_history, pushes_of

__all__ = [
    "FOREVER", "NONE", "Effects", "Flags", "Ints", "Pushes", "Resets", "apart_ns", "effects_of", "everyone_of",
    "late", "once_a_history", "pushes_of", "resets_of",
]  # fmt: skip

FOREVER: Final = 1 << 62  # ns; later than any time of a history
MACHINES_APART_NS: Final = 50 * 10**6  # each clock from true time, where machines keep theirs by NTP


@dataclass(frozen=True)
class Effects:
    """When operations, or other groups, may have had their effect: in `[start, end]`, both ends included.

    `sure`: it did, as a success shows; else it may have. `possible` is False where nothing can have happened: there
    `start` is FOREVER. `end` is FOREVER where only unknown outcomes speak for it and nothing bounds them.
    """

    start: Ints
    end: Ints
    sure: Flags
    possible: Flags


@dataclass(frozen=True)
class Resets:
    """When the target was told to forget: `[start, end]` of each reset that may have happened, in order of `start`."""

    start: Ints
    end: Ints

    def era(self, sent: Ints) -> Ints:
        """How many resets were surely over before each time."""
        return np.searchsorted(np.sort(self.end), sent, side="left").astype(np.int64)

    def straddled(self, sent: Ints, received: Ints) -> Flags:
        """Whether a reset may have come in between: such an exchange belongs to no era for sure."""
        return np.searchsorted(self.start, received, side="right") > self.era(sent)

    def sure_era(self, sent: Ints, received: Ints) -> Ints:
        """The era of each exchange, -1 where a reset may have come in between."""
        era = self.era(sent)
        return np.where(np.searchsorted(self.start, received, side="right") > era, NONE, era)


def resets_of(history: History, profile: Profile) -> Resets:
    """The resets of a history; one of unknown outcome may have come late, or never.

    They are widened by what the clocks of several load machines may differ by.
    """
    calls = history.control[(history.control["operation"] == "reset").to_numpy()]
    calls = calls[(calls["outcome"] != "refused").to_numpy()]
    start, end = calls["sent"].to_numpy(np.int64), calls["received"].to_numpy(np.int64)
    unknown = (calls["outcome"] == "unknown").to_numpy()
    apart = apart_ns(history)
    return Resets(start - apart, np.where(unknown, late(end, profile), end) + apart)


def apart_ns(history: History) -> int:
    """How much later one exchange may seem than another that came at the same time, in ns; 0 on one machine."""
    return 2 * MACHINES_APART_NS if len({tally.host for tally in history.tallies}) > 1 else 0


def late(received: Ints, profile: Profile) -> Ints:
    """Until when requests given up or failed at `received` may still have an effect."""
    bound = profile.target.late_effect_ns
    return np.full_like(received, FOREVER) if bound is None else np.minimum(received + bound, FOREVER)


def effects_of(pushes: Pushes, profile: Profile, group: Ints | None = None, groups: int = 0) -> Effects:
    """The effects of operations, or of `groups` other groups with a number for each exchange (-1: none).

    A success shows that the effect was between the first sending of a success or an unknown and the first receipt of a
    success: the unknown may be the one that did it.
    """
    group, groups = (pushes.op, pushes.ops) if group is None else (group, groups)
    counted = group >= 0
    yes, maybe = pushes.success & counted, pushes.unknown & counted
    start = np.full(groups, FOREVER, np.int64)
    np.minimum.at(start, group[yes | maybe], pushes.sent[yes | maybe])
    answered = np.full(groups, FOREVER, np.int64)
    np.minimum.at(answered, group[yes], pushes.received[yes])
    over = np.full(groups, -1, np.int64)
    np.maximum.at(over, group[maybe], late(pushes.received[maybe], profile))
    sure = answered < FOREVER
    return Effects(start, np.where(sure, answered, over), sure, start < FOREVER)
