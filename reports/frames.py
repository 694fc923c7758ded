"""Figures of a history, as pandas frames: latency, throughput, statuses. Times in ms unless a name says otherwise."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.history import TIMES, History
from harness.history.columns import GIVEN_UP
from reports.lean import chunks_of

Values = npt.NDArray[Any]
POINTS: Final = {"p50": 50.0, "p75": 75.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p999": 99.9, "p9999": 99.99}
BINS: Final = 90  # at most so many steps in time: one is then a few pixels wide on a page
STEPS_S: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400)
HEAT_ROWS: Final = 6  # latency rows to each factor of ten
MOST_DIGITS: Final = 19  # of a time in ns
STRETCH: Final = 1_000_000  # exchanges taken at a time
MOST_KINDS: Final = 24
SECOND: Final = 10**9
# The columns that figures are told from.
TIMED: Final = [*TIMES, "status", "error"]
WORDS: Final = ["stage", "scenario", "intent", "allowed", "status", "outcome", "error_code", "body_fault", "error"]


def kinds(history: History) -> pd.DataFrame:
    """The distinct combinations of `WORDS` among the pushes, with `count` and the number of the `first` one of each."""
    names = ["operation", *WORDS]
    found = [
        _kinds(chunk.assign(count=1, first=chunk.index), WORDS) for chunk in map(_pushed, chunks_of(history, names))
    ]
    return _kinds(pd.concat(found), WORDS) if found else pd.DataFrame(columns=[*WORDS, "count", "first"])


def _pushed(chunk: pd.DataFrame) -> pd.DataFrame:
    return chunk[(chunk["operation"] == "push").to_numpy()]


def _kinds(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    grouped = table.groupby(names, observed=True, sort=False, dropna=False)
    summed = grouped.agg(count=("count", "sum"), first=("first", "min")).reset_index()
    return summed.astype({name: object for name in names if name != "status"})


def given_up(frame: pd.DataFrame) -> Values:
    """Which requests their own sender gave up on purpose: that they have no answer says nothing of the target."""
    error = frame["error"]
    words = error.cat.categories if isinstance(error.dtype, pd.CategoricalDtype) else error.unique()
    found: Values = error.isin([one for one in words if str(one).startswith(GIVEN_UP)]).to_numpy()
    return found


def percentile(values: Values, point: float) -> float:
    """The percentile as `numpy.percentile` interpolates it, of nanoseconds in ms."""
    return round(float(np.percentile(values, point)) / 1e6, 6)


def latency_table(pushes: pd.DataFrame) -> pd.DataFrame:
    """One row for each stage, and for each scenario of the load; `intended` counts from the schedule, `service` not.

    A request without an answer counts with the time it was waited for, as in the gates; dropping the slowest would
    flatter the target. `pushes` are those that `given_up` does not name.
    """
    unanswered = (pushes["status"] == 0).to_numpy()
    rows = [
        {"group": group, "measure": measure, "unanswered": int(unanswered[of].sum()), **_points(times)}
        for group, of in _groups(pushes)
        for measure, since in (("intended", "intended"), ("service", "sent"))
        for times in [_times(pushes, since, of)]
    ]
    return pd.DataFrame(rows, columns=["group", "measure", "count", "unanswered", "mean", *POINTS, "max"])


def _groups(pushes: pd.DataFrame) -> Iterator[tuple[str, Values]]:
    """Each stage, and each scenario of the load where there are several, with the rows that belong to it."""
    for stage in map(str, pushes["stage"].unique()):
        if stage == "setup":
            continue
        of = (pushes["stage"] == stage).to_numpy()
        yield stage, of
        scenarios = sorted(map(str, pushes["scenario"][of].unique())) if stage == "load" else []
        if 1 < len(scenarios) <= MOST_KINDS:
            for name in scenarios:
                yield f"{stage}: {name}", of & (pushes["scenario"] == name).to_numpy()


def _times(frame: pd.DataFrame, since: str, of: Values | slice = slice(None)) -> Values:
    times: Values = frame["received"].to_numpy()[of] - frame[since].to_numpy()[of]
    return times


def _points(times: Values) -> dict[str, Any]:
    if not len(times):
        return {"count": 0, "mean": None, **dict.fromkeys(POINTS), "max": None}
    told = np.percentile(times, list(POINTS.values()))
    named = {name: round(float(value) / 1e6, 6) for name, value in zip(POINTS, told, strict=True)}
    mean, most = round(float(times.mean()) / 1e6, 6), round(float(times.max()) / 1e6, 6)
    return {"count": len(times), "mean": mean, **named, "max": most}


def latency_curve(pushes: pd.DataFrame) -> pd.DataFrame:
    """Percentiles from 0 to as many nines as the count can show, for both measures: `point`, `intended`, `service`."""
    intended, service = _times(pushes, "intended"), _times(pushes, "sent")
    if not len(intended):
        return pd.DataFrame(columns=["point", "intended", "service"])
    nines = np.log10(len(intended))
    steps = np.arange(0, min(nines, 5.0) + 1e-9, 0.1)
    points = np.unique(np.append(100 * (1 - 10**-steps), [50.0]))
    curve = {"point": points.round(6)}
    for name, times in (("intended", intended), ("service", service)):
        curve[name] = (np.percentile(times, points) / 1e6).round(6)
    return pd.DataFrame(curve)


def step_s(span_ns: int, most: int = BINS) -> float:
    """The length of a step in time, in seconds, that cuts the span into at most `most` steps."""
    return next((float(step) for step in STEPS_S if step * SECOND * most >= span_ns), float(span_ns / SECOND / most))


def over_time(pushes: pd.DataFrame) -> pd.DataFrame:
    """What was due, sent, answered, refused and lost in each step, as rates a second; median and p99 latency in ms.

    `at_s` is the start of a step on the run's clock. Requests count where they were sent, those due where they were
    due, and latencies (from the schedule) where the request was sent.
    """
    if pushes.empty:
        return pd.DataFrame(columns=["at_s", "due", "sent", "answered", "refused", "lost", "p50", "p99"])
    sent, intended = pushes["sent"].to_numpy(), pushes["intended"].to_numpy()
    status = pushes["status"].to_numpy()
    first = min(int(sent.min()), int(intended.min()))
    width = step_s(int(max(sent.max(), intended.max())) - first + 1)
    wide = int(width * SECOND)
    start = first // wide
    steps = int(max(sent.max(), intended.max()) // wide - start) + 1
    place = sent // wide - start

    def rate(of: Values) -> Values:
        return (np.bincount(of, minlength=steps) / width).round(6)

    lost = ((status == 0) | (status >= 500)) & ~given_up(pushes)
    table = {
        "at_s": ((np.arange(steps) + start) * width).round(6),
        "due": rate(intended // wide - start),
        "sent": rate(place),
        "answered": rate(place[status != 0]),
        "refused": rate(place[status == 429]),
        "lost": rate(place[lost]),
    }
    return pd.DataFrame(table).join(_latency_steps(pushes, place, steps))


def _latency_steps(pushes: pd.DataFrame, place: Values, steps: int) -> pd.DataFrame:
    times = _times(pushes, "intended")
    bounds = np.searchsorted(place, np.arange(steps + 1))  # rows are in order of sending, so steps are slices
    parts = [times[low:high] for low, high in pairwise(bounds)]
    return pd.DataFrame(
        {
            name: [percentile(part, point) if len(part) else None for part in parts]
            for name, point in (("p50", 50), ("p99", 99))
        },
        dtype=object,
    )


def heat(pushes: pd.DataFrame) -> pd.DataFrame:
    """How many requests fell into each step of time and row of latency: `at_s`, `from_ms`, `to_ms`, `count`; none 0."""
    columns = ["at_s", "from_ms", "to_ms", "count"]
    if pushes.empty:
        return pd.DataFrame(columns=columns)
    sent = pushes["sent"].to_numpy()
    wide = int(step_s(int(sent.max() - sent.min()) + 1, 60) * SECOND)
    start, rows = int(sent.min()) // wide, round(HEAT_ROWS * MOST_DIGITS)
    count = np.zeros((int(sent.max()) // wide - start + 1) * rows, np.int64)
    for at in range(0, len(sent), STRETCH):
        of = slice(at, at + STRETCH)
        times = np.maximum(_times(pushes, "intended", of), 1000)  # below a microsecond a clock shows nothing
        row = np.floor(np.log10(times) * HEAT_ROWS).astype(np.int64)
        count += np.bincount((sent[of] // wide - start) * rows + row, minlength=len(count))
    cells = np.flatnonzero(count)
    low, high = (10 ** ((cells % rows + more) / HEAT_ROWS) / 1e6 for more in (0, 1))
    table = {"at_s": ((cells // rows + start) * wide / SECOND).round(6), "from_ms": low.round(6)}
    return pd.DataFrame({**table, "to_ms": high.round(6), "count": count[cells]})


def heat_step_s(pushes: pd.DataFrame) -> float:
    """The width in seconds of the steps of `heat`."""
    sent = pushes["sent"]
    return step_s(int(sent.max() - sent.min()) + 1, 60) if len(sent) else 1.0


def statuses(kinds: pd.DataFrame) -> pd.DataFrame:
    """How often each outcome came in each stage: `stage`, `status` (0: none, -1: the rest), `error_code`, `count`."""
    return _counted(kinds, ["stage", "status", "error_code"])


def errors(kinds: pd.DataFrame) -> pd.DataFrame:
    """Transport failures and faults in the form of answers: `kind`, `text`, `count`, most frequent first in a kind."""
    parts, ours = [], given_up(kinds)
    for kind, column, of in (
        ("no answer", "error", ~ours),
        ("form", "body_fault", ~ours),
        ("given up by the harness", "error", ours),
    ):
        rows = kinds[of & (kinds[column].notna() & (kinds[column] != "")).to_numpy(dtype=bool)]
        table = _counted(rows, [column]).rename(columns={column: "text"})
        parts.append(table.assign(kind=kind)[["kind", "text", "count"]])
    return pd.concat(parts, ignore_index=True)


def _counted(kinds: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """The counts of distinct values, most frequent first; what is rare beyond `MOST_KINDS` as a last row of its own."""
    counts = kinds.groupby(names, observed=True, sort=False)["count"].sum()
    table = counts.rename("count").reset_index().sort_values(["count", *names], ascending=[False] + [True] * len(names))
    table = table.astype(dict.fromkeys(names, object))
    if len(table) <= MOST_KINDS:
        return table.reset_index(drop=True)
    rest = table.iloc[MOST_KINDS:]
    last = {**dict.fromkeys(names, ""), names[-1]: f"{len(rest):,} other kinds", "count": int(rest["count"].sum())}
    if "status" in names:
        last["status"] = -1
    return pd.concat([table.head(MOST_KINDS), pd.DataFrame([last])], ignore_index=True)
