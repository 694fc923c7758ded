"""64-bit hashes of columns of texts, eight bytes at a time for all of them at once."""

import hashlib
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Hashes = npt.NDArray[np.uint64]
AT_ONCE: Final = 1 << 13  # texts whose numbers stay in the fastest memory meanwhile
WORDS: Final = 16  # of eight bytes; longer texts are rare, and hashed one at a time


def hashes(texts: Any) -> Hashes:
    """A number for each text of an Arrow column, the same for the same text, 0 for null; others share one by 2^-64.

    Whoever knows the function can make texts that collide, so a hash decides nothing alone that a target would like.
    """
    column = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    column = column.cast(pa.large_string())
    if len(column) == 0:
        return np.zeros(0, np.uint64)
    begins: Any
    letters: Any
    _, begins, letters = column.buffers()
    edges = np.frombuffer(begins, np.int64)[column.offset : column.offset + len(column) + 1]
    data = np.frombuffer(letters, np.uint8) if letters is not None else np.zeros(0, np.uint8)
    # The last text may end with the data, and is read by whole words.
    data = np.concatenate((data[: edges[-1]], np.zeros(8, np.uint8)))
    found = np.empty(len(column), np.uint64)
    for first in range(0, len(column), AT_ONCE):
        some = edges[first : first + AT_ONCE + 1]
        found[first : first + AT_ONCE] = _short(data, some[:-1], np.diff(some))
    for n in np.flatnonzero(np.diff(edges) > 8 * WORDS):
        digest = hashlib.blake2b(data[edges[n] : edges[n + 1]].tobytes(), digest_size=8).digest()
        found[n] = int.from_bytes(digest, "little")
    found[found == 0] = 1
    found[column.is_null().to_numpy(zero_copy_only=False)] = 0
    return found


def _short(data: npt.NDArray[np.uint8], begin: npt.NDArray[np.int64], length: npt.NDArray[np.int64]) -> Hashes:
    """Hashes that take in the first words of each text."""
    every: Hashes = np.ndarray((len(data) - 7,), np.dtype("<u8"), data, strides=(1,))  # the word at every byte
    found = _mixed(length.astype(np.uint64))
    for word in range(min(-(-int(length.max()) // 8), WORDS)):
        left = length - 8 * word
        rows: Any = slice(None) if left.min() > 0 else np.flatnonzero(left > 0)
        value, left = every[begin[rows] + 8 * word], left[rows]
        if left.min() < 8:
            spare = np.uint64(8) * (np.uint64(8) - np.minimum(left, 8).astype(np.uint64))
            value = (value << spare) >> spare
        found[rows] = _mixed(found[rows] ^ value)
    return found


def _mixed(x: Hashes) -> Hashes:
    """splitmix64 (Steele, Lea and Flood, 2014)."""
    mixed = x + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return mixed
