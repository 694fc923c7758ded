"""How many bits of a challenge id cannot be foretold from the ids issued before it."""

from typing import Final

import numpy as np
import numpy.typing as npt

from harness.history import History
from harness.profile import Profile
from harness.rules.reading.operations import Ints, pushes_of

SAMPLE: Final = 20_000  # ids; enough for an estimate that is good to a fraction of a bit
AHEAD: Final = 2
OFTEN: Final = 16  # times that each of a few values is seen on average, so that hardly one was not seen
LONGEST: Final = 64  # characters from the end; an id that long is not guessed for what stands further in front


def ids_in_order(history: History, profile: Profile) -> tuple[list[int], list[str]]:
    """The distinct ids in the order in which they were first received, and these rows; at most SAMPLE of them."""
    pushes = pushes_of(history, profile)
    given = np.flatnonzero(pushes.success)
    looked_at = AHEAD * SAMPLE  # most ids come once
    while True:
        rows = pushes.row[_earliest(pushes.received, given, looked_at)]
        ids = history.at(rows, ["challenge_id"])["challenge_id"].astype(str).drop_duplicates()
        if len(ids) >= SAMPLE or looked_at >= len(given):
            return ids.index[:SAMPLE].tolist(), ids.iloc[:SAMPLE].tolist()
        looked_at *= AHEAD


def _earliest(time: Ints, places: Ints, many: int) -> Ints:
    """Those of the places with the least times, at least so many of them, in order."""
    times = time[places]
    if many < len(places):
        last = np.partition(times, many)[many]
        places, times = places[times <= last], times[times <= last]
    return places[np.argsort(times, kind="stable")]


def fresh_bits(ids: list[str]) -> float:
    """An upper bound, in bits, on what of an id is new to somebody who knows the ids issued before it.

    Position by position, counted from the end, it is the entropy of the step from one id's character to the next one's.
    Constant parts, counters and clocks step by little or always alike and have nearly none; a random hexadecimal digit
    has 4 bits, and a random UUID 122. Several counters side by side, or answers out of order, add a few bits only.
    Parts of which few different ones are seen, such as a user's number or hash, have no more than it takes to choose
    one of these.
    """
    if len(ids) < 2:
        return 0.0
    bits, run_bits = 0.0, 0.0
    run = np.zeros(len(ids), np.int64)
    for column in _aligned(ids).T:
        _, letter = np.unique(column, return_inverse=True)
        letters = int(letter.max()) + 1
        kinds, longer = np.unique(run * letters + letter, return_inverse=True)
        if len(kinds) * OFTEN > len(ids):
            bits, run_bits = bits + run_bits, 0.0
            kinds, longer = np.unique(letter, return_inverse=True)
        run = longer.astype(np.int64)
        run_bits = min(run_bits + _step_bits(letter.astype(np.int64), letters), float(np.log2(len(kinds))))
    return bits + run_bits


def _step_bits(letter: Ints, letters: int) -> float:
    """The entropy of the step from each row to the next, in a circle of all letters."""
    share = np.bincount(np.asarray(np.diff(letter), np.int64) % letters) / (len(letter) - 1)
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum())


def _aligned(ids: list[str]) -> npt.NDArray[np.uint32]:
    """The last characters of each id as numbers, a row each, aligned at their ends."""
    width = min(max(map(len, ids)), LONGEST)
    texts = np.array([text[-width:].rjust(width, "\0") for text in ids], dtype=f"<U{width}")
    return texts.view(np.uint32).reshape(len(ids), width)
