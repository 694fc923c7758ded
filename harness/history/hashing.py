"""64-bit hashes of columns of texts, eight bytes at a time for all of them at once."""

import hashlib
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Hashes = npt.NDArray[np.uint64]
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
    found = _short(np.concatenate((data, np.zeros(8, np.uint8))), edges[:-1], np.diff(edges))
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
        rows = np.flatnonzero(length > 8 * word)
        value, left = every[begin[rows] + 8 * word], length[rows] - 8 * word
        spare = np.uint64(8) * (np.uint64(8) - np.minimum(left, 8).astype(np.uint64))
        found[rows] = _mixed(found[rows] ^ ((value << spare) >> spare))
    return found


def _mixed(x: Hashes) -> Hashes:
    """splitmix64 (Steele, Lea and Flood, 2014)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Hashes = x ^ (x >> np.uint64(31))
    return mixed
