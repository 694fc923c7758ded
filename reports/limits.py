"""How far a run went towards the declared limits, and how replays were answered; shows, and never judges.

A count is of exchanges that lie wholly inside a window, so it is the least that was admitted there, wherever in its
interval each request took effect. Counts start again when the target was told to forget.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.history import History
from harness.profile import ChallengeLimit, Profile, RateLimit
from reports.frames import SECOND, step_s

Values = npt.NDArray[Any]
SCOPES_SHOWN: Final = 12
FILL_BARS: Final = 24
MS: Final = 10**6
# Upper ends of the classes of a replay's age; a reference must be remembered for 24 hours at least.
AGES: Final = (
    ("overlapping", 0), ("under 10 ms", 10 * MS), ("under 100 ms", 100 * MS), ("under 1 s", SECOND),
    ("under 10 s", 10 * SECOND), ("under 1 min", 60 * SECOND), ("under 10 min", 600 * SECOND),
    ("under 1 h", 3600 * SECOND), ("under 24 h", 86400 * SECOND), ("24 h or more", 2**63 - 1),
)  # fmt: skip


def rate_bound(limit: RateLimit) -> int:
    """The most requests that the declared algorithm admits within one window's length, wherever it begins."""
    if limit.algorithm == "token-bucket":
        return limit.bucket + limit.count
    return 2 * limit.count if limit.algorithm == "fixed-window" else limit.count


def rate_seen(history: History, profile: Profile) -> dict[str, Any] | None:
    """The declared rate limit, the fullest window of each scope, and of the busiest scope over time; None: undeclared.

    `scopes`: `scope`, `most`, `admitted`, `refused`, fullest first. `series`: `at_s`, `most`, `refused`.
    """
    limit = profile.rate
    if limit is None:
        return None
    pushes = history.pushes
    scope = _rate_scope(pushes, profile, limit)
    status = pushes["status"].to_numpy()
    taken = _admitted(pushes, limit)
    counts = _fullest(history, pushes, scope, taken, limit.window_ns)
    refused = pd.Series(scope[status == 429]).value_counts()
    admitted = pd.Series(scope[taken]).value_counts()
    table = pd.DataFrame({"most": counts.groupby("scope")["count"].max(), "admitted": admitted, "refused": refused})
    table = table.fillna(0).astype(int).rename_axis("scope").reset_index()
    table = table.sort_values(["most", "refused", "scope"], ascending=[False, False, True])
    busiest = int(table["scope"].iloc[0]) if len(table) else -1
    return {
        "count": limit.count,
        "window_ms": limit.window_ns / MS,
        "algorithm": limit.algorithm,
        "scope": limit.scope,
        "bound": rate_bound(limit),
        "scopes_in_all": len(table),
        "refused": int((status == 429).sum()),
        "scopes": table.head(SCOPES_SHOWN).to_dict("records"),
        "busiest": busiest,
        "series": _rate_series(pushes, counts[counts["scope"] == busiest], (scope == busiest) & (status == 429)),
    }


def _rate_scope(pushes: pd.DataFrame, profile: Profile, limit: RateLimit) -> Values:
    if limit.scope == "api-key":
        return pushes["key"].to_numpy().astype(np.int64)
    if limit.scope == "user":
        return _people(pushes, profile)
    return np.zeros(len(pushes), np.int64)


def _people(pushes: pd.DataFrame, profile: Profile) -> Values:
    """The person behind each request's token; -1 for none of the pool."""
    return _looked_up(pushes["user"].to_numpy(), [user.person for user in profile.pool.users])


def _looked_up(index: Values, values: list[int]) -> Values:
    known = (index >= 0) & (index < len(values))
    table = np.array([*values, -1], np.int64)
    found: Values = table[np.where(known, index, -1)]
    return found


def _admitted(pushes: pd.DataFrame, limit: RateLimit) -> Values:
    """Which requests surely passed the limiter: each 409, and the first 200 of an operation or all that count."""
    status = pushes["status"].to_numpy()
    served = status == 200
    if limit.counts_replays is not True:
        ids = pushes["challenge_id"].to_numpy(dtype=object)
        first = pd.Series(np.where(served, ids, ""), dtype=object)
        served = served & ~first.duplicated().to_numpy()
    admitted: Values = served | (status == 409)
    return admitted


def _fullest(history: History, rows: pd.DataFrame, scope: Values, taken: Values, window_ns: int) -> pd.DataFrame:
    """For each exchange taken, how many lie wholly in the window that ends with its answer: `scope`, `at`, `count`."""
    sent, received = rows["sent"].to_numpy()[taken], rows["received"].to_numpy()[taken]
    scope, era = scope[taken], _era(history, sent, received)
    kept = (received - sent < window_ns) & (era >= 0)
    sent, received, scope, era = sent[kept], received[kept], scope[kept], era[kept]
    group = pd.Series(list(zip(scope.tolist(), era.tolist(), strict=True)), dtype=object)
    parts = []
    for places in group.groupby(group, sort=False).indices.values():
        who = scope[places[0]]
        starts, ends = np.sort(sent[places]), np.sort(received[places])
        count = np.arange(1, len(ends) + 1) - np.searchsorted(starts, ends - window_ns, side="right")
        parts.append(pd.DataFrame({"scope": who, "at": ends, "count": count}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"scope": [], "at": [], "count": []})


def _era(history: History, sent: Values, received: Values) -> Values:
    """Which stretch between resets of the target each exchange lies in; -1 where it overlaps a reset."""
    resets = history.frame[(history.frame["operation"] == "reset") & (history.frame["outcome"] != "refused")]
    begun, done = resets["sent"].to_numpy(), np.sort(resets["received"].to_numpy())
    after = np.searchsorted(done, sent, side="left")
    before = np.searchsorted(begun, received, side="right")
    era: Values = np.where(after == before, after, -1)
    return era


def _rate_series(pushes: pd.DataFrame, counts: pd.DataFrame, refused: Values) -> list[dict[str, Any]]:
    ends = counts["at"].to_numpy(dtype=np.int64)
    turned = pushes["received"].to_numpy()[refused]
    times = np.concatenate([ends, turned])
    if not len(times):
        return []
    wide = int(step_s(int(times.max() - times.min()) + 1) * SECOND)
    start = int(times.min()) // wide
    most = np.zeros(int(times.max()) // wide - start + 1, np.int64)
    np.maximum.at(most, ends // wide - start, counts["count"].to_numpy(dtype=np.int64))
    lost = np.bincount(turned // wide - start, minlength=len(most))
    at = ((np.arange(len(most)) + start) * wide / SECOND).round(6)
    return [{"at_s": float(t), "most": int(m), "refused": int(r)} for t, m, r in zip(at, most, lost, strict=True)]


def challenges_seen(history: History, profile: Profile) -> dict[str, Any] | None:
    """The declared challenge limit and how full the fullest window of each user or programme got; None: undeclared.

    `fill`: `from`, `to` (challenges in the fullest window) and `scopes` (how many users or programmes).
    """
    limit = profile.challenges
    if limit is None:
        return None
    pushes = history.pushes
    scope = _challenge_scope(pushes, profile, limit)
    issued = ((pushes["status"] == 200) & (pushes["challenge_id"] != "")).to_numpy()
    ids = pd.Series(np.where(issued, pushes["challenge_id"].to_numpy(dtype=object), ""), dtype=object)
    taken = issued & ~ids.duplicated().to_numpy()
    most = _fullest(history, pushes, scope, taken, limit.window_ns).groupby("scope")["count"].max()
    refused = (pushes["error_code"] == "CHALLENGE_LIMIT_EXCEEDED").to_numpy()
    return {
        "count": limit.count,
        "window_ms": limit.window_ns / MS,
        "scope": limit.scope,
        "scopes_in_all": len(most),
        "full": int((most == limit.count).sum()),
        "over": int((most > limit.count).sum()),
        "refused": int(refused.sum()),
        "fill": _fill(most.to_numpy(dtype=np.int64), limit.count),
    }


def _challenge_scope(pushes: pd.DataFrame, profile: Profile, limit: ChallengeLimit) -> Values:
    if limit.scope == "user":
        return _people(pushes, profile)
    return _looked_up(pushes["user"].to_numpy(), [user.programme for user in profile.pool.users])


def _fill(most: Values, limit: int) -> list[dict[str, int]]:
    top = max(limit, int(most.max()) if len(most) else 0)
    wide = -(-top // FILL_BARS)  # several counts share a bar where there are too many for one each
    bars = [(low, min(low + wide - 1, top)) for low in range(1, top + 1, wide)]
    return [{"from": a, "to": b, "scopes": int(((most >= a) & (most <= b)).sum())} for a, b in bars]


def replays_seen(history: History, profile: Profile) -> list[dict[str, Any]]:
    """The successes of repeated calls by age: `age`, `same` and `other` id than the first success; none left out."""
    pushes = history.pushes
    rows = pushes[(pushes["status"] == 200) & pushes["ref"].notna()]
    names = ("overlapping", *(name for name, _ in AGES[1:]))
    if rows.empty:
        return [{"age": name, "same": 0, "other": 0} for name in names]
    person = pd.Series(_people(rows, profile), index=rows.index)
    key = rows["ref"].astype(object).groupby([person, rows["channel"], rows["ref"]], observed=True, sort=False).ngroup()
    table = pd.DataFrame({"key": key, "sent": rows["sent"], "received": rows["received"], "id": rows["challenge_id"]})
    first = table.drop_duplicates("key").set_index("key")
    later = table[table["key"].duplicated()]
    age = later["sent"].to_numpy() - first["received"].loc[later["key"]].to_numpy()
    same = later["id"].to_numpy(dtype=object) == first["id"].loc[later["key"]].to_numpy(dtype=object)
    place = np.searchsorted([end for _, end in AGES], age, side="right")
    table_same = np.bincount(place[same], minlength=len(AGES))
    table_other = np.bincount(place[~same], minlength=len(AGES))
    return [
        {"age": name, "same": int(a), "other": int(b)}
        for name, a, b in zip(names, table_same, table_other, strict=True)
    ]
