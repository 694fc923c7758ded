"""Stretches of steady traffic with a rate of their own, so that figures can be told of each."""

from collections.abc import Iterable
from itertools import zip_longest
from typing import Final, NamedTuple

from harness.plan import Stage

PIECES: Final = 10  # into which a ramp is cut


class Phase(NamedTuple):
    """From `start_ns` to `end_ns` of the monotonic clock `rate` requests a second were due; 0 where no rate was set."""

    name: str
    start_ns: int
    end_ns: int
    rate: float


def phases_of(stage: Stage, start_ns: int) -> list[Phase]:
    """The phases of a stage that follow from its schedule."""
    length = stage.duration_s
    if stage.arrivals == "spike":  # the middle fifth, see schedule.py
        edges = [("before", 0.0, 0.4, stage.rate), ("spike", 0.4, 0.6, stage.to), ("after", 0.6, 1.0, stage.rate)]
    elif stage.arrivals in ("step", "ramp"):
        many = stage.steps if stage.arrivals == "step" else PIECES
        rise = (stage.to - stage.rate) / (many - 1 if stage.arrivals == "step" else many)
        first = stage.rate if stage.arrivals == "step" else stage.rate + rise / 2
        edges = [
            (f"{stage.arrivals} {number + 1}", number / many, (number + 1) / many, first + number * rise)
            for number in range(many)
        ]
    else:
        edges = [(stage.arrivals, 0.0, 1.0, stage.rate)]
    return [
        Phase(name, start_ns + round(begin * length * 1e9), start_ns + round(end * length * 1e9), rate)
        for name, begin, end, rate in edges
    ]


def merged(processes: Iterable[list[Phase]]) -> list[Phase]:
    """The phases of all processes, who work side by side, as those of one."""
    return [
        Phase(
            present[0].name, min(one.start_ns for one in present), max(one.end_ns for one in present),
            sum(one.rate for one in present),
        )
        for together in zip_longest(*processes)
        if (present := [one for one in together if one is not None])
    ]  # fmt: skip
