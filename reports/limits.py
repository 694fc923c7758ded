"""How far a run went towards the declared limits, and how replays were answered; shows, and never judges.

A count is of exchanges that lie wholly inside a window, so it is the least that was admitted there, wherever in its
interval each request took effect. Counts start again when the target was told to forget.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.history import History
from harness.profile import ChallengeLimit, Profile, RateLimit
from reports.frames import SECOND, step_s
from reports.lean import EMPTY, pushes_of

Values = npt.NDArray[Any]
READ: Final = ["status", "user", "key", "error_code"]
PARTS: Final = 8  # in which hashes are looked up
SCOPES_SHOWN: Final = 12
FILL_BARS: Final = 24
MS: Final = 10**6
GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)  # an odd number that spreads small ones over all 64 bits
# Upper ends of the classes of a replay's age; a reference must be remembered for 24 hours at least.
AGES: Final = (
    ("overlapping", 0), ("under 10 ms", 10 * MS), ("under 100 ms", 100 * MS), ("under 1 s", SECOND),
    ("under 10 s", 10 * SECOND), ("under 1 min", 60 * SECOND), ("under 10 min", 600 * SECOND),
    ("under 1 h", 3600 * SECOND), ("under 24 h", 86400 * SECOND), ("24 h or more", 2**63 - 1),
)  # fmt: skip


def rate_bound(limit: RateLimit, hosts: int = 1) -> int:
    """The most requests that the declared algorithm admits within one window's length, wherever it begins.

    A counter that weighs the window before admits, like fixed windows, up to twice its count: all of it at the end of
    one window, and again as much while the weight of that falls to nothing. Each of `hosts` may count by itself.
    """
    if limit.algorithm == "token-bucket":
        return (limit.bucket + limit.count) * hosts
    return (limit.count if limit.algorithm == "sliding-window" else 2 * limit.count) * hosts


@dataclass(frozen=True)
class Coded:
    """The pushes as arrays of numbers, in order of sending; `key`, `person` and `programme` are who sent them.

    `fresh` marks the first success of each id. `era` numbers the stretches between resets of the target; -1 where an
    exchange overlaps a reset. `limited` marks those refused with CHALLENGE_LIMIT_EXCEEDED.
    """

    sent: Values
    received: Values
    status: Values
    key: Values
    person: Values
    programme: Values
    fresh: Values
    era: Values
    limited: Values


@dataclass(frozen=True)
class Answers:
    """The pushes in order of sending, by the call that each is of and the id that it got: hashes, 0 stands for none."""

    sent: Values
    received: Values
    call: Values
    id: Values


def answers_of(history: History, profile: Profile) -> Answers:
    """The pushes of a history by call and id; texts are only compared, so their hashes do."""
    pushes = pushes_of(history, ["sent", "received", "status", "user", "channel", "ref", "challenge_id"])
    ids = _issued(pushes["challenge_id"].to_numpy(), pushes["status"].to_numpy())
    return Answers(pushes["sent"].to_numpy(), pushes["received"].to_numpy(), _calls(pushes, profile), ids)


def _calls(pushes: pd.DataFrame, profile: Profile) -> Values:
    """A hash of person, channel and ref of each success that has a ref, 0 for all others."""
    refs = pushes["ref"].to_numpy()
    person = _looked_up(pushes["user"].to_numpy(), [one.person for one in profile.pool.users])
    whose = (person.astype(np.int64) + 1) * 64 + pd.factorize(pushes["channel"])[0]
    calls: Values = refs + whose.astype(np.uint64) * GOLDEN
    calls[(refs == 0) | (pushes["status"].to_numpy() != 200)] = 0
    return calls


def coded(history: History, profile: Profile, answers: Answers) -> Coded:
    """The pushes of a history as numbers; of `answers` the calls are not needed."""
    pushes, users = pushes_of(history, READ), profile.pool.users
    user = pushes["user"].to_numpy()
    return Coded(
        sent=answers.sent,
        received=answers.received,
        status=pushes["status"].to_numpy(),
        key=pushes["key"].to_numpy(),
        person=_looked_up(user, [one.person for one in users]),
        programme=_looked_up(user, [one.programme for one in users]),
        fresh=_first(answers.id),
        era=_era(history, answers.sent, answers.received),
        limited=(pushes["error_code"] == "CHALLENGE_LIMIT_EXCEEDED").to_numpy(),
    )


def _issued(ids: Values, status: Values) -> Values:
    """The hashes of the ids of successes, 0 for all others."""
    issued: Values = np.where((status == 200) & (ids != EMPTY), ids, np.uint64(0))
    return issued


def _looked_up(index: Values, values: list[int]) -> Values:
    """The value at each index; -1 for a request with no token of the pool."""
    known = (index >= 0) & (index < len(values))
    found: Values = np.array([*values, -1], np.int32)[np.where(known, index, -1)]
    return found


def _era(history: History, sent: Values, received: Values) -> Values:
    calls = history.control
    resets = calls[((calls["operation"] == "reset") & (calls["outcome"] != "refused")).to_numpy()]
    if not len(resets):
        return np.zeros(len(sent), np.int8)
    begun, done = (np.sort(resets[name].to_numpy(np.int64)) for name in ("sent", "received"))
    era: Values = np.searchsorted(done, sent, side="left").astype(np.int32)
    era[era != np.searchsorted(begun, received, side="right").astype(np.int32)] = -1
    return era


def _first(hashes: Values) -> Values:
    """Which places hold a hash for the first time; never those of 0."""
    first = np.zeros(len(hashes), bool)
    for places in _parts(hashes):
        first[places] = ~pd.Series(hashes[places]).duplicated().to_numpy()
    return first


def _parts(hashes: Values) -> Iterator[Values]:
    """The places of all hashes but 0, some at a time, in order, those of one value together.

    What is looked up in a table takes several times its size meanwhile, so only a part is looked up at once.
    """
    part = (hashes % PARTS).astype(np.int8)
    part[hashes == 0] = -1
    for number in range(PARTS):
        yield np.flatnonzero(part == number)


def _fullest(pushes: Coded, scope: Values, taken: Values, window_ns: int) -> tuple[Values, Values, Values]:
    """For each exchange taken, its scope, its end, and how many lie wholly in the window that ends with its answer."""
    kept = np.flatnonzero(taken & (pushes.received - pushes.sent < window_ns) & (pushes.era >= 0)).astype(np.int32)
    group = pd.factorize(scope[kept] * (int(pushes.era.max(initial=0)) + 1) + pushes.era[kept])[0]
    group = group.astype(np.int16 if group.max(initial=0) < 2**15 else np.int32)  # two bytes are sorted by counting
    order = np.argsort(group, kind="stable").astype(np.int32)
    bounds = np.searchsorted(group[order], np.arange(int(group.max(initial=-1)) + 2))
    kept = kept[order]
    del group, order
    scope, sent, received = scope[kept], pushes.sent[kept], pushes.received[kept]
    count = np.zeros(len(kept), np.int32)
    for low, high in pairwise(bounds):
        # Within a group requests are in order of sending already. Their ends, sorted by themselves, decide the count.
        received[low:high] = np.sort(received[low:high])
        begun = np.searchsorted(sent[low:high], received[low:high] - window_ns, side="right")
        count[low:high] = np.arange(1, high - low + 1) - begun
    return scope, received, count


def _most(scope: Values, count: Values) -> pd.Series:
    """The highest count of each scope."""
    most = np.zeros(int(scope.max(initial=-1)) + 2, np.int64)  # from the scope -1 on, of those who are not known
    np.maximum.at(most, scope + 1, count)
    return _by_scope(most)


def _times_seen(scope: Values) -> pd.Series:
    """How often each scope is there."""
    return _by_scope(np.bincount(scope + 1))


def _by_scope(values: Values) -> pd.Series:
    found = pd.Series(values, index=np.arange(-1, len(values) - 1))
    return found[found > 0]


def rate_seen(pushes: Coded, limit: RateLimit | None, hosts: int = 1) -> dict[str, Any] | None:
    """The declared rate limit, the fullest window of each scope, and of the busiest scope over time; None: undeclared.

    `scopes`: `scope`, `most`, `admitted`, `refused`, fullest first. `series`: `at_s`, `most`, `refused`.
    """
    if limit is None:
        return None
    scope = {"api-key": pushes.key, "user": pushes.person}.get(limit.scope, np.zeros(len(pushes.sent), np.int64))
    refused, taken = pushes.status == 429, _admitted(pushes, limit)
    who, ends, count = _fullest(pushes, scope, taken, limit.window_ns)
    table = pd.DataFrame(
        {
            "most": _most(who, count),
            "admitted": _times_seen(scope[taken]),
            "refused": _times_seen(scope[refused]),
        }
    )
    table = table.fillna(0).astype(int).rename_axis("scope").reset_index()
    table = table.sort_values(["most", "refused", "scope"], ascending=[False, False, True])
    busiest = int(table["scope"].iloc[0]) if len(table) else -1
    return {
        "count": limit.count,
        "window_ms": limit.window_ns / MS,
        "algorithm": limit.algorithm,
        "scope": limit.scope,
        "bound": rate_bound(limit, hosts),
        "scopes_in_all": len(table),
        "refused": int(refused.sum()),
        "scopes": table.head(SCOPES_SHOWN).to_dict("records"),
        "busiest": busiest,
        "series": _series(ends[who == busiest], count[who == busiest], pushes.received[refused & (scope == busiest)]),
    }


def _admitted(pushes: Coded, limit: RateLimit) -> Values:
    """Which requests surely passed the limiter: each 409, and the first 200 of an operation or all that count."""
    served = pushes.status == 200 if limit.counts_replays is True else pushes.fresh
    admitted: Values = served | (pushes.status == 409)
    return admitted


def _series(ends: Values, count: Values, turned: Values) -> list[dict[str, Any]]:
    """The highest count and the refusals in each step of time."""
    times = np.concatenate([ends, turned])
    if not len(times):
        return []
    wide = int(step_s(int(times.max() - times.min()) + 1) * SECOND)
    start = int(times.min()) // wide
    most = np.zeros(int(times.max()) // wide - start + 1, np.int64)
    np.maximum.at(most, ends // wide - start, count)
    lost = np.bincount(turned // wide - start, minlength=len(most))
    at = ((np.arange(len(most)) + start) * wide / SECOND).round(6)
    return [{"at_s": float(t), "most": int(m), "refused": int(r)} for t, m, r in zip(at, most, lost, strict=True)]


def challenges_seen(pushes: Coded, limit: ChallengeLimit | None, hosts: int = 1) -> dict[str, Any] | None:
    """The declared challenge limit and how full the fullest window of each user or programme got; None: undeclared.

    `fill`: `from`, `to` (challenges in the fullest window) and `scopes` (how many users or programmes).
    """
    if limit is None:
        return None
    scope = pushes.person if limit.scope == "user" else pushes.programme
    who, _, count = _fullest(pushes, scope, pushes.fresh, limit.window_ns)
    most, bound = _most(who, count).to_numpy(dtype=np.int64), limit.count * hosts
    return {
        "count": limit.count,
        "window_ms": limit.window_ns / MS,
        "scope": limit.scope,
        "scopes_in_all": len(most),
        "bound": bound,
        "full": int((most == bound).sum()),
        "over": int((most > bound).sum()),
        "refused": int(pushes.limited.sum()),
        "fill": _fill(most, bound),
    }


def _fill(most: Values, limit: int) -> list[dict[str, int]]:
    top = max(limit, int(most.max(initial=0)))
    wide = -(-top // FILL_BARS)  # several counts share a bar where there are too many for one each
    bars = [(low, min(low + wide - 1, top)) for low in range(1, top + 1, wide)]
    return [{"from": a, "to": b, "scopes": int(((most >= a) & (most <= b)).sum())} for a, b in bars]


def replays_seen(answers: Answers) -> list[dict[str, Any]]:
    """The successes of repeated calls by age: `age`, `same` and `other` id than the first success; none left out."""
    counts = np.zeros((2, len(AGES)), np.int64)
    for places in _parts(answers.call):
        call = pd.factorize(answers.call[places])[0]
        first = np.flatnonzero(np.diff(np.maximum.accumulate(call), prepend=-1))  # calls are numbered as they come
        later = np.ones(len(call), bool)
        later[first] = False
        before, again = places[first][call[later]], places[later]
        age = answers.sent[again] - answers.received[before]
        same = answers.id[again] == answers.id[before]
        place = np.searchsorted([end for _, end in AGES], age, side="right")
        counts += [np.bincount(place[of], minlength=len(AGES)) for of in (same, ~same)]
    names = (name for name, _ in AGES)
    return [{"age": n, "same": int(a), "other": int(b)} for n, a, b in zip(names, *counts, strict=True)]
