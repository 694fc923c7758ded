"""The figures of one run that two runs are compared by, each with how uncertain it is; small enough to keep in git.

A run's requests are not independent: a slow second slows all of its requests. So uncertainty comes from resampling
whole stretches of time (a block bootstrap: Künsch, Annals of Statistics 17, 1989), on histograms, which makes its cost
independent of the number of requests.

What shows a slower service best is how long it took itself for the faster half of its requests: a slower service moves
all of its latencies, while what disturbs a run, queues and a busy machine, lengthens the slow ones above all.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.errors import HarnessError
from harness.history import read_history
from harness.run_folder import FACTS, open_run
from reports.frames import given_up
from reports.outcome import allowed_failures

Values = npt.NDArray[Any]
VERSION: Final = 1
SERVICE: Final = "service"  # the metric of that figure
FASTER: Final = tuple(percent / 100 for percent in range(5, 55, 5))  # the quantiles that it is the mean of
QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
BLOCKS: Final = 40  # stretches that a run is cut into; the deviation found from so few is good to about a tenth
RESAMPLES: Final = 300
RESOLUTION: Final = 0.001  # width of a histogram's bin, as a share of the latency
LEAST: Final = 200  # requests below which a group is left out


@dataclass(frozen=True)
class Figure:
    """A figure and its standard error. `kind` latency: both are of the natural logarithm of ms; else as they stand.

    `late` is how much longer the same quantiles are from the schedule than from sending. A machine that sends late
    reads answers as late, and how late it is comes and goes over minutes, which no resampling within a run can see.
    """

    group: str
    metric: str
    kind: str
    value: float
    error: float
    samples: int
    late: float = 0.0


@dataclass(frozen=True)
class Figures:
    """What is compared of one run. `plan` and `declared` are fingerprints: runs of different ones are not alike.

    The severity of a known failure is `allowed`: it is no regression.
    """

    name: str
    started: str
    plan: str
    declared: str
    verdicts: dict[str, str]
    severities: dict[str, str]
    figures: tuple[Figure, ...]

    def facts(self) -> dict[str, Any]:
        """The figures as JSON, for a baseline file."""
        return asdict(self)


def figures_of_run(folder: Path) -> Figures:
    """The figures of a judged run folder; HarnessError where it is none."""
    from harness.verdict import read_verdicts

    run = open_run(folder)
    verdicts = read_verdicts(folder)
    # Gates, and which of them end a load early, are no part of what is sent.
    plan = {name: value for name, value in (run.facts.get("plan") or {}).items() if not name.startswith("abort_")}
    known = allowed_failures(verdicts, run.facts)
    return Figures(
        name=str(run.facts.get("name", folder.name)),
        started=str(run.facts.get("started", "")),
        plan=_fingerprint({**plan, "gates": None}),
        declared=_fingerprint({**run.facts["profile"], "target": None}),
        verdicts={one.rule: one.status for one in verdicts},
        severities={one.rule: "allowed" if one.rule in known else one.severity for one in verdicts},
        figures=tuple(measure(read_history(run.history).pushes)),
    )


def read_figures(path: Path) -> list[Figures]:
    """The runs at `path`: a run folder, or a baseline file with any number of runs; else HarnessError."""
    if (path / FACTS).exists() or path.is_dir():
        return [figures_of_run(path)]
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["version"] != VERSION:
            raise HarnessError(
                f"baseline {path}: version {told['version']!r:.20}, but this harness reads {VERSION}",
                hint=f"Make it anew: stepup compare --save {path} RUN",
            )
        return [Figures(**{**run, "figures": tuple(Figure(**one) for one in run["figures"])}) for run in told["runs"]]
    except FileNotFoundError as error:
        raise HarnessError(f"{path}: no such run folder or baseline file", hint="Name one, as runs/latest.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HarnessError(f"baseline {path}: cannot be read: {str(error)[:160]}", hint="Make it anew.") from error


def baseline(runs: list[Figures]) -> dict[str, Any]:
    """The content of a baseline file."""
    return {"version": VERSION, "runs": [run.facts() for run in runs]}


def measure(pushes: pd.DataFrame) -> list[Figure]:
    """Latency percentiles, error rate and throughput of the load stage, and percentiles of each of its scenarios."""
    load = pushes[((pushes["stage"] == "load").to_numpy()) & ~given_up(pushes)]
    if len(load) < LEAST:
        return []
    blocks = _blocks(load["sent"].to_numpy())
    found = [*_rates(load, blocks), *_latencies("load", load, blocks)]
    for scenario in sorted(map(str, load["scenario"].unique())):
        chosen = (load["scenario"] == scenario).to_numpy()
        if LEAST <= chosen.sum() < len(load):
            found += _latencies(scenario, load[chosen], blocks[chosen])
    return found


def _blocks(sent: Values) -> Values:
    """Which of `BLOCKS` equal stretches of time each request was sent in."""
    span = max(int(sent.max() - sent.min()), 1)
    found: Values = np.minimum((sent - sent.min()) * BLOCKS // span, BLOCKS - 1)
    return found


def _weights() -> Values:
    """How often each block is drawn in each resample; the same every time, so that a comparison can be repeated."""
    drawn: Values = np.random.default_rng(1).multinomial(BLOCKS, np.full(BLOCKS, 1 / BLOCKS), RESAMPLES)
    return drawn


def _latencies(group: str, frame: pd.DataFrame, blocks: Values) -> list[Figure]:
    """How long the service took for the faster half, and percentiles from the schedule."""
    times, service = _logs(frame, "intended"), _logs(frame, "sent")
    whole, own = _Resampled(times, blocks), _Resampled(service, blocks)

    def figure(metric: str, of: _Resampled, shares: tuple[float, ...]) -> Figure:
        value, error = of.mean_quantile(shares)
        late = float(np.mean(np.quantile(times, shares) - np.quantile(service, shares)))
        return Figure(group, metric, "latency", value, error, len(frame), late)

    percentiles = [figure(name, whole, (share,)) for name, share in QUANTILES.items()]
    return [figure(SERVICE, own, FASTER), *percentiles]


class _Resampled:
    """Values in blocks of time as histograms: of all of them, and of each resample of the blocks."""

    def __init__(self, values: Values, blocks: Values) -> None:
        self._low = float(values.min())
        bins = ((values - self._low) / RESOLUTION).astype(np.int64)
        counts = np.zeros((BLOCKS, int(bins.max()) + 1))
        np.add.at(counts, (blocks, bins), 1)
        self._whole = counts.sum(axis=0, keepdims=True).cumsum(axis=1)
        self._drawn = (_weights() @ counts).cumsum(axis=1)

    def mean_quantile(self, shares: tuple[float, ...]) -> tuple[float, float]:
        """The mean of these quantiles, and its standard error."""
        value, drawn = (np.mean([_places(of, share) for share in shares], 0) for of in (self._whole, self._drawn))
        return self._low + (float(value[0]) + 0.5) * RESOLUTION, float(np.std(drawn) * RESOLUTION)


def _logs(frame: pd.DataFrame, since: str) -> Values:
    """The natural logarithms of latencies in ms."""
    found: Values = np.log(np.maximum((frame["received"] - frame[since]).to_numpy() / 1e6, 1e-3))
    return found


def _places(drawn: Values, share: float) -> Values:
    """The bin in which each resample reaches this share of its requests."""
    found: Values = (drawn >= share * drawn[:, -1:]).argmax(axis=1)
    return found


def _rates(frame: pd.DataFrame, blocks: Values) -> list[Figure]:
    status = frame["status"].to_numpy()
    failed = (status == 0) | (status >= 500)
    sent, lost = (np.bincount(blocks[of], minlength=BLOCKS) for of in (np.ones(len(frame), bool), failed))
    weights = _weights()
    shares = (weights @ lost) / np.maximum(weights @ sent, 1)
    seconds = max(float(frame["received"].max() - frame["sent"].min()) / 1e9, 1e-9)
    rate = (len(frame) - int(lost.sum())) / seconds
    drawn = weights @ (sent - lost) / seconds
    return [
        Figure("load", "error rate", "share", float(lost.sum() / len(frame)), float(np.std(shares)), len(frame)),
        Figure("load", "throughput", "rate", rate, float(np.std(drawn)), len(frame)),
    ]


def _fingerprint(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
