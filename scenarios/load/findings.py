"""What the records say of steady traffic: figures of each phase, how soon a spike was over, whether latency drifts."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.history.shards import Gaps, shard_batches, shard_paths
from scenarios.load.phases import Phase

COLUMNS: Final = ["scenario", "intended", "received", "status"]
TWICE: Final = 2.0  # the median before a spike, within which a second counts as calm again
CALM_S: Final = 3  # seconds in a row, after which the spike is over
LONG_S: Final = 60.0  # a steady phase in which latency can be said to drift
SLICES: Final = 10  # of a long phase; the first and the last but one are compared

Ints = npt.NDArray[np.int64]


class Traffic:
    """The steady traffic of a run: when each request was due, how long it took from then (ns), whether it failed."""

    def __init__(self, intended: Ints, received: Ints, status: Ints) -> None:
        self.intended = intended
        self.latency = received - intended
        self.received = received
        self.failed = (status == 0) | (status >= 500)

    def due(self, start_ns: int, end_ns: int) -> npt.NDArray[np.bool_]:
        """Which were due in this time."""
        return (self.intended >= start_ns) & (self.intended < end_ns)


def read_traffic(folder: Path) -> Traffic:
    """The background's requests in the shards of the load stage in `folder`; what cannot be read is left out."""
    gaps, found = Gaps([]), []
    for path in shard_paths(folder):
        for _, batch in shard_batches(path, gaps):
            table = pa.table(batch.select(COLUMNS))
            of = pc.is_in(table["scenario"].cast(pa.string()), pa.array(["background"]))
            found.append(table.filter(of).drop("scenario"))
    if not found:
        return Traffic(*(np.empty(0, np.int64) for _ in range(3)))
    table = pa.concat_tables(found)
    return Traffic(*(table[name].to_numpy().astype(np.int64) for name in COLUMNS[1:]))


def figures(phases: list[Phase], traffic: Traffic) -> list[dict[str, Any]]:
    """A row for each phase that was come to: seconds, requests a second that were due, sent and answered, percentiles
    of latency in ms from the intended time, and errors."""
    rows = []
    for phase in phases:
        of = traffic.due(phase.start_ns, phase.end_ns)
        if not of.any():
            continue
        seconds = (phase.end_ns - phase.start_ns) / 1e9
        ended = ~traffic.failed & (traffic.received >= phase.start_ns) & (traffic.received < phase.end_ns)
        p50, p99, largest = np.percentile(traffic.latency[of], (50, 99, 100)) / 1e6
        rows.append({
            "phase": phase.name, "seconds": round(seconds, 2), "due_per_s": round(phase.rate, 1),
            "sent_per_s": round(int(of.sum()) / seconds, 1), "answered_per_s": round(int(ended.sum()) / seconds, 1),
            "p50_ms": round(p50, 3), "p99_ms": round(p99, 3), "max_ms": round(largest, 3),
            "errors": int(traffic.failed[of].sum()),
        })  # fmt: skip
    return rows


def sentences(phases: list[Phase], traffic: Traffic) -> list[str]:
    """What follows from the phases, a sentence each."""
    by_name = {phase.name: phase for phase in phases}
    told = []
    if {"before", "spike", "after"} <= set(by_name):
        told.append(_recovery(by_name["before"], by_name["spike"], by_name["after"], traffic))
    told += [_drift(one, traffic) for one in phases if one.name in ("constant", "poisson")]
    return [sentence for sentence in told if sentence]


def _recovery(before: Phase, spike: Phase, after: Phase, traffic: Traffic) -> str:
    """From when on some seconds in a row had the median latency that they had before."""
    calm, height = (traffic.latency[traffic.due(one.start_ns, one.end_ns)] for one in (before, spike))
    if not len(calm) or not len(height):
        return ""
    limit = TWICE * float(np.median(calm))
    seconds = int((after.end_ns - after.start_ns) / 1e9)
    kept = [_median(traffic, after.start_ns, second) <= limit for second in range(seconds)]
    starts = [at for at in range(seconds - CALM_S + 1) if all(kept[at : at + CALM_S])]
    what = f"the spike from {before.rate:,.0f} to {spike.rate:,.0f} requests a second took the median latency from "
    what += f"{np.median(calm) / 1e6:,.1f} to {np.median(height) / 1e6:,.1f} ms"
    if not starts:
        return f"recovery: {what}; within {seconds} s after it the latency did not come back to twice what it was"
    return f"recovery: {what}; it was back to at most twice the first within {starts[0] + 1} s after the end"


def _median(traffic: Traffic, start_ns: int, second: int) -> float:
    of = traffic.due(start_ns + second * 10**9, start_ns + (second + 1) * 10**9)
    return float(np.median(traffic.latency[of])) if of.any() else float("inf")


def _drift(phase: Phase, traffic: Traffic) -> str:
    """Latency in the second and the last but one of the slices of a long phase: its ends are other than the rest."""
    length = phase.end_ns - phase.start_ns
    if length < LONG_S * 1e9:
        return ""
    slices = [phase.start_ns + length * number // SLICES for number in range(SLICES + 1)]
    ends = [traffic.latency[traffic.due(slices[at], slices[at + 1])] for at in (1, SLICES - 2)]
    if not all(len(one) for one in ends):
        return ""
    (early_50, early_99), (late_50, late_99) = (np.percentile(one, (50, 99)) / 1e6 for one in ends)
    return (
        f"drift: over {length * (SLICES - 3) / SLICES / 1e9:,.0f} s the median latency went from {early_50:,.2f} to "
        f"{late_50:,.2f} ms, its 99th percentile from {early_99:,.2f} to {late_99:,.2f} ms"
    )
