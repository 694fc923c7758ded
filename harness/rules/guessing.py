"""How many bits of a challenge id cannot be foretold from the ids issued before it."""

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.history import History
from harness.profile import Profile
from harness.rules.operations import Ints, Pushes, pushes_of

SAMPLE: Final = 20_000  # ids; enough for an estimate that is good to a fraction of a bit
LONGEST: Final = 64  # characters from the end; an id that long is not guessed for what stands further in front


def ids_in_order(history: History, profile: Profile) -> tuple[Pushes, Ints]:
    """The places where distinct ids were first received, in that order, at most SAMPLE of them."""
    pushes = pushes_of(history, profile)
    given = np.flatnonzero(pushes.success)
    given = given[np.argsort(pushes.received[given], kind="stable")]
    first: Ints = given[~pd.Series(pushes.id[given]).duplicated().to_numpy()][:SAMPLE]
    return pushes, first


def fresh_bits(ids: list[str]) -> float:
    """An upper bound, in bits, on what of an id is new to somebody who knows the id issued before it.

    Position by position, counted from the end, it is the entropy of the step from one id's character to the next one's.
    Constant parts, counters and clocks step by little or always alike and have nearly none; a random hexadecimal digit
    has 4 bits, and a random UUID 122. Several counters side by side, or answers out of order, add a few bits only.
    """
    if len(ids) < 2:
        return 0.0
    columns = _aligned(ids)
    bits = 0.0
    for column in columns.T:
        letters, place = np.unique(column, return_inverse=True)
        steps = np.asarray(np.diff(place), np.int64) % len(letters)
        share = np.bincount(steps) / len(steps)
        share = share[share > 0]
        bits -= float((share * np.log2(share)).sum())
    return bits


def _aligned(ids: list[str]) -> npt.NDArray[np.uint32]:
    """The last characters of each id as numbers, a row each, aligned at their ends."""
    width = min(max(map(len, ids)), LONGEST)
    texts = np.array([text[-width:].rjust(width, "\0") for text in ids], dtype=f"<U{width}")
    return texts.view(np.uint32).reshape(len(ids), width)
