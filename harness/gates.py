"""Gates: the limits that a plan sets to the figures of its load stage, each decided over the recorded exchanges."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from harness.history import History
from harness.history.columns import GIVEN_UP
from harness.rules.run import gaps_of, own_lateness

PERCENTILES: Final = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p999": 99.9, "max": 100.0}
READ: Final = ["scenario", "intended", "sent", "received", "status"]


@dataclass(frozen=True)
class _Load:
    """The requests that a gate looks at, and what forbids to rely on them: a `gap` in them, a `late` generator."""

    frame: pd.DataFrame
    gap: str
    late: str


@dataclass(frozen=True)
class _Figure:
    """A figure with its limit; `kept` None where it cannot be said, for the reason in `doubt`."""

    value: float
    told: str
    kept: bool | None
    doubt: str = ""


def evaluate_gates(gates: dict[str, float], history: History) -> list[dict[str, Any]]:
    """Each gate as `{metric, limit, value, status, samples, message}`; `status` is pass, fail or inconclusive.

    A metric is one of plan.schema.json's, or `SCENARIO.metric` for one scenario alone. Latencies are in ns, counted
    from the intended time, with numpy's percentiles over all requests, also those that got no answer unless their
    sender gave them up on purpose; `error_rate` is a share of all, `throughput` answers a second. `value` is None where
    there is nothing to tell it from.
    """
    if not gates:
        return []
    frame = history.every([*READ, "stage", "operation", "error"])
    given_up = [error for error in frame["error"].cat.categories if error.startswith(GIVEN_UP)]
    chosen = (frame["stage"] == "load") & (frame["operation"] == "push") & ~frame["error"].isin(given_up)
    pushes = frame.loc[chosen.to_numpy(), READ]
    del frame  # as large as the history
    gaps = gaps_of(history)
    load = _Load(pushes, f"a part of the history is missing: {gaps[0]}" if gaps else "", own_lateness(history).sentence)
    return [_gate(metric, float(limit), load) for metric, limit in gates.items()]


def _gate(metric: str, limit: float, load: _Load) -> dict[str, Any]:
    scenario, _, name = metric.rpartition(".")
    chosen = load.frame[(load.frame["scenario"] == scenario).to_numpy()] if scenario else load.frame
    told: dict[str, Any] = {"metric": metric, "limit": limit, "value": None, "samples": len(chosen)}
    if name not in FIGURES:
        return {**told, "status": "inconclusive", "message": f"{metric} is no metric that this harness knows"}
    if not len(chosen):
        return {**told, "status": "inconclusive", "message": "no request of the load stage to tell it from"}
    figure = FIGURES[name](limit, _Load(chosen, load.gap, load.late))
    return {**told, "value": figure.value, **_status(figure, load.gap)}


def _status(figure: _Figure, gap: str) -> dict[str, str]:
    """A miss stands, as far as it was seen; a figure that was kept in spite of a doubt is none to rely on."""
    doubt = figure.doubt or gap
    status = "fail" if figure.kept is False else "inconclusive" if doubt else "pass"
    return {"status": status, "message": figure.told + (f"; {doubt}" if doubt else "")}


def _latency(percent: float) -> Callable[[float, _Load], _Figure]:
    def figure(limit: float, load: _Load) -> _Figure:
        frame = load.frame
        value = float(np.percentile((frame["received"] - frame["intended"]).to_numpy(), percent))
        service = float(np.percentile((frame["received"] - frame["sent"]).to_numpy(), percent))
        told = f"{value / 1e6:,.2f} ms, at most {limit / 1e6:,.2f} ms"
        if value > limit:
            # A late generator can be the reason, but not where the target alone took too long.
            return _Figure(value, told, None if load.late and service <= limit else False, load.late)
        needed = _needed(percent)
        few = f"{len(frame):,} requests are too few to tell: it takes {needed:,}" if len(frame) < needed else ""
        return _Figure(value, told, True, load.late or few)

    return figure


def _lateness(percent: float) -> Callable[[float, _Load], _Figure]:
    """How late requests were sent, whoever made them wait: a generator without time, or no connection that was free."""

    def figure(limit: float, load: _Load) -> _Figure:
        value = float(np.percentile((load.frame["sent"] - load.frame["intended"]).to_numpy(), percent))
        return _Figure(value, f"sent {value / 1e6:,.2f} ms late, at most {limit / 1e6:,.2f} ms", value <= limit)

    return figure


def _needed(percent: float) -> int:
    """The fewest samples of which one lies above the percentile; median and largest mean something of any number."""
    return 1 if percent in (50.0, 100.0) else round(100.0 / (100.0 - percent))


def _error_rate(limit: float, load: _Load) -> _Figure:
    """Requests without an answer, and those answered 5xx."""
    status = load.frame["status"].to_numpy()
    failed = int(((status == 0) | (status >= 500)).sum())
    value = failed / len(status)
    return _Figure(value, f"{value:.3%} ({failed:,} of {len(status):,}), at most {limit:.3%}", value <= limit)


def _throughput(limit: float, load: _Load) -> _Figure:
    """Answers a second, from the first intended time to the last answer; a 5xx is no answer to what was asked."""
    status = load.frame["status"].to_numpy()
    seconds = (int(load.frame["received"].max()) - int(load.frame["intended"].min())) / 1e9
    if seconds <= 0:
        return _Figure(0.0, f"at least {limit:,.1f}", None, "all within one instant, which is no time to count over")
    value = int(((status > 0) & (status < 500)).sum()) / seconds
    return _Figure(value, f"{value:,.1f} answers a second, at least {limit:,.1f}", value >= limit)


FIGURES: Final[dict[str, Callable[[float, _Load], _Figure]]] = {
    **{f"latency_{name}": _latency(percent) for name, percent in PERCENTILES.items()},
    "lateness_p99": _lateness(99.0),
    "lateness_max": _lateness(100.0),
    "error_rate": _error_rate,
    "throughput": _throughput,
}
