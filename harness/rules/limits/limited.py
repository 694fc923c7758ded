"""What a declared limit had to count in a history: what surely passed, what may have been counted, what was refused."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from harness.history import History
from harness.profile import Profile
from harness.rules.bounds.lanes import Lanes
from harness.rules.bounds.slack import Slack
from harness.rules.reading.columns import Whole
from harness.rules.reading.operations import Flags, Ints, Pushes, Resets, apart_ns
from harness.rules.registry import Limit

MOST_SPREAD: Final = 5 * 10**6  # copies of requests that may belong to any scope; a run makes some hundreds of them


@dataclass(frozen=True)
class Limited:
    """One limit over one history. The `place` of an interval is that of its exchange in `pushes`, -1 without one.

    `admitted` surely passed, once each. `countable` may have used up the limit. `refused` are refusals of callers who
    had a right to be served. `scope` numbers the scope of each push, and those of the lanes likewise.
    """

    pushes: Pushes
    scope: Ints
    admitted: Lanes
    countable: Lanes
    refused: Lanes
    resets: Resets
    slack: Slack

    @property
    def counted(self) -> Ints:
        """The places of what may have used up the limit."""
        return self.countable.place[self.countable.place >= 0]


def elsewhere(history: History, limit: Limit) -> tuple[Ints, Ints]:
    """When what is not in the history, and may count for any of its scopes, began and ended."""
    nothing = np.zeros(0, np.int64)
    known = history.elsewhere if isinstance(history, Whole) else None
    return (nothing, nothing) if known is None else known.times.get(limit, (nothing, nothing))


def whole_operations(pushes: Pushes, chosen: Flags) -> Pushes:
    """All exchanges of the operations of those chosen."""
    marked = np.zeros(pushes.ops, np.bool_)
    marked[pushes.op[chosen]] = True
    return pushes.where(marked[pushes.op])


def slack_of(history: History, profile: Profile) -> Slack:
    """The slack for the target's clock, and for those of the load machines where there is more than one."""
    return Slack(profile.target.clock_step_ns + apart_ns(history))


def trusted(pushes: Pushes, profile: Profile) -> Flags:
    """Exchanges of an active token with its own api-key: nothing but a limit can have made 429 of them."""
    users = profile.pool.users
    known = (pushes.token >= 0) & (pushes.token < len(users))
    place = np.where(known, pushes.token, 0)
    if not users:
        return known
    active = np.array([user.state == "active" for user in users])[place]
    own = np.array([user.key for user in users], np.int64)[place] == pushes.key
    entitled: Flags = known & active & own & ~pushes.has_intent(*AMBIGUOUS)
    return entitled


# Requests that name two callers, or spell one in a way that a target may or may not understand.
AMBIGUOUS: Final = ("token-twice", "key-twice", "token-scheme", "token-malformed", "token-part", "http-broken")


def numbered(column: Ints) -> tuple[Ints, int]:
    """The column with its values numbered from 0, and how many there are."""
    numbers, values = pd.factorize(column)
    return np.asarray(numbers, np.int64), len(values)


def spread(scope: Ints, anywhere: Flags, into: Ints) -> tuple[Ints, Ints, Ints]:
    """Rows and scopes such that each row that may belong to any scope stands once in each of the scopes `into`.

    Where that would be too many rows, `into` is cut short; the last of the three tells which scopes were served.
    """
    own, wild = np.flatnonzero(~anywhere), np.flatnonzero(anywhere)
    into = into[: MOST_SPREAD // max(len(wild), 1)]
    rows = np.concatenate((own, np.repeat(wild, len(into))))
    return rows, np.concatenate((scope[own], np.tile(into, len(wild)))), into


def by_era(resets: Resets, *lanes: Lanes) -> list[Lanes]:
    """The intervals with a scope of its own for each scope and era, alike in all lanes; what straddles is left out."""
    if not len(resets.start):
        return list(lanes)
    kept = [one.where(~resets.straddled(one.start, one.end)) for one in lanes]
    eras = len(resets.start) + 1
    codes, values = pd.factorize(np.concatenate([one.scope * eras + resets.era(one.start) for one in kept]))
    parts = np.split(np.asarray(codes, np.int64), np.cumsum([len(one) for one in kept])[:-1])
    return [Lanes(part, one.start, one.end, one.place, len(values)) for part, one in zip(parts, kept, strict=True)]


def last_reset(history: History, sent: Ints) -> tuple[Ints, Flags]:
    """When the last reset that had succeeded before each time had been sent, and whether there was one."""
    control = history.control
    calls = control[((control["operation"] == "reset") & (control["outcome"] == "ok")).to_numpy()]
    start, end = (calls[name].to_numpy(np.int64) for name in ("sent", "received"))
    order = np.argsort(end, kind="stable")
    latest = np.maximum.accumulate(start[order]) if len(order) else np.zeros(0, np.int64)
    place = np.searchsorted(end[order], sent, side="left") - 1
    return np.append(latest, 0)[place], place >= 0
