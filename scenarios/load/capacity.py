"""Finds the rate that the target keeps up with while the plan runs, and ends the load when it is known.

Exercises what background does, beyond what the target can do as well: no rule may break for being overloaded.
"""

from time import monotonic_ns
from typing import Final

from harness.history import Exchange
from scenarios.load.phases import Phase
from scenarios.load.schedule import evenly
from scenarios.load.search import Search, Step
from scenarios.load.traffic import Offered, Traffic, offer
from scenarios.load.work import Work

CALM_S: Final = 10.0  # the most that a step waits for what an earlier one has left behind


def run(work: Work, traffic: Traffic) -> None:
    """Step by step, until the search is over or the time is."""
    stage = work.part.stage
    search = Search(stage.rate, stage.to, stage.steps, stage.hold_ns)
    length_s = stage.duration_s / stage.steps
    while not work.over and (rate := search.next()) is not None:
        step = _step(work, traffic, rate, length_s)
        if work.over and monotonic_ns() < work.deadline_ns:
            break  # it was cut short
        search.told(step)
        _calm_down(work)
    work.findings.append(search.sentence())
    work.session.enough = True


def _step(work: Work, traffic: Traffic, rate: float, length_s: float) -> Step:
    """Offer this rate for a while, and measure."""
    start_ns = monotonic_ns()
    end_ns = start_ns + round(length_s * 1e9)
    latencies: list[int] = []
    failed = 0

    def answered(exchange: Exchange) -> None:
        nonlocal failed
        traffic.answered(exchange)
        if exchange.status == 0 or exchange.status >= 500:
            failed += 1
        elif exchange.received <= end_ns + length_s * 5e7:  # a twentieth more, for those that were due at the very end
            latencies.append(exchange.received - exchange.intended)

    offered = offer(work, traffic, evenly(rate, length_s), start_ns, end_ns, answered)
    work.nap(max(end_ns - monotonic_ns(), 0) / 1e9 + length_s * 0.05)
    work.done["arrivals"] += offered.due
    work.phases.append(Phase(f"step {len(work.phases) + 1}", start_ns, end_ns, rate))
    return _measured(offered, rate, length_s, sorted(latencies), failed)


def _measured(offered: Offered, rate: float, length_s: float, latencies: list[int], failed: int) -> Step:
    late = sorted(offered.late)
    due = max(offered.due, round(rate * length_s))  # what was not even come to is missing as well
    return Step(
        rate, length_s, due, offered.held_back, len(latencies), failed, _p99(latencies), _p99(late)
    )  # fmt: skip


def _p99(ascending: list[int]) -> int:
    return ascending[len(ascending) * 99 // 100] if ascending else 0


def _calm_down(work: Work) -> None:
    """Wait until nothing is left of the step, so that it does not spoil the next."""
    deadline = monotonic_ns() + round(CALM_S * 1e9)
    while work.session.desk.backlog() and monotonic_ns() < deadline and work.nap(0.05):
        pass
