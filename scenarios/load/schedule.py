"""When requests arrive in the open model: offsets in ns from a stage's start, whatever happens to earlier ones."""

import random
from collections.abc import Iterator

from harness.plan import Stage


def arrivals(stage: Stage, rng: random.Random) -> Iterator[int]:
    """The offsets of all arrivals of a stage, ascending. Constant arrivals are evenly spaced, Poisson ones are not;
    the others follow their rate evenly."""
    at, end_ns = 0.0, round(stage.duration_s * 1e9)
    while True:
        rate = rate_at(stage, at)
        at += rng.expovariate(rate) if stage.arrivals == "poisson" else 1.0 / rate
        offset = round(at * 1e9)
        if offset >= end_ns:
            return
        yield offset


def evenly(rate: float, seconds: float) -> Iterator[int]:
    """The offsets of arrivals of one rate for a while."""
    return (round((number + 0.5) / rate * 1e9) for number in range(round(rate * seconds)))


def rate_at(stage: Stage, at: float) -> float:
    """Requests a second at `at` seconds after the stage's start."""
    part = at / stage.duration_s
    if stage.arrivals == "ramp":
        return stage.rate + (stage.to - stage.rate) * part
    if stage.arrivals == "step":
        step = min(int(part * stage.steps), stage.steps - 1)
        return stage.rate + (stage.to - stage.rate) * step / (stage.steps - 1)
    if stage.arrivals == "spike":
        return stage.to if 0.4 <= part < 0.6 else stage.rate  # the middle fifth
    return stage.rate
