"""Decides which part of a history each person goes to, so that as many limits as can be are judged within one part."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.history.reader import Ints
from harness.profile import Profile
from harness.rules.registry import Limit


@dataclass(frozen=True)
class Places:
    """The part, of `count`, of each token of the pool; who is not in the pool is spread over all.

    `limits` are those of which each scope lies within one part.
    """

    part: "npt.NDArray[np.uint16]"
    count: int
    limits: frozenset[Limit]

    def __call__(self, user: Ints) -> "npt.NDArray[np.uint16]":
        inside = (user >= 0) & (user < len(self.part))
        known = np.append(self.part, np.uint16(0))[np.where(inside, user, -1)]
        spread = (user.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(33)) % np.uint64(self.count)
        return np.where(inside, known, spread.astype(np.uint16))


def places_of(profile: Profile, asked: Ints, count: int, most: int) -> Places:
    """Where the exchanges go of which each token of the pool `asked` for so many.

    Who shares a limit goes together, unless they would be more than `most` exchanges.
    """
    limits, users = _divisible(profile), profile.pool.users
    person, *shared = (
        np.array([getattr(user, name) for user in users], np.int64) for name in ("person", *_sharing(profile, limits))
    )
    circle = _joined([person, *shared])
    size = np.bincount(circle, weights=asked) if len(users) else np.zeros(0)
    if shared and size.max(initial=0) > most:
        limits = frozenset(name for name in limits if not _sharing(profile, frozenset({name})))
        circle = _joined([person])
        size = np.bincount(circle, weights=asked)
    # To and fro over the parts, the largest first, which fills them about evenly.
    turn = np.arange(len(size)) % (2 * count)
    part = np.empty(len(size), np.uint16)
    part[np.argsort(-size, kind="stable")] = np.minimum(turn, 2 * count - 1 - turn)
    return Places(part[circle], count, limits)


def _divisible(profile: Profile) -> frozenset[Limit]:
    """The limits that can be judged some scopes at a time: windows that callers may share are a matter of all."""
    rate = profile.rate
    by_caller = rate is None or rate.scope in ("user", "api-key")
    alone = rate is None or rate.algorithm in ("sliding-window", "token-bucket")
    return frozenset({"challenges", "rate"}) if by_caller and alone else frozenset({"challenges"})


def _sharing(profile: Profile, limits: frozenset[Limit]) -> list[str]:
    """What persons have in common who share a scope of one of the limits."""
    found = []
    if "challenges" in limits and profile.challenges is not None and profile.challenges.scope == "programme":
        found.append("programme")
    if "rate" in limits and profile.rate is not None and profile.rate.scope == "api-key":
        found.append("key")
    return found


def _joined(columns: list[Ints]) -> Ints:
    """A number for each row, from 0, the same for rows that are connected by equal values in any of the columns."""
    groups = [np.asarray(pd.factorize(column)[0], np.int64) for column in columns]
    found, before = groups[0], None
    while before is None or (found != before).any():
        before = found
        for group in groups:
            least = np.full(int(group.max(initial=-1)) + 1, len(found), np.int64)
            np.minimum.at(least, group, found)
            found = least[group]
    return np.asarray(pd.factorize(found)[0], np.int64)
