"""One turn of a process: runs the parts that it was dealt, each when it is due, resetting the target in between."""

from collections import Counter
from collections.abc import Callable
from time import monotonic_ns
from typing import Any, Final

from scenarios.load import background, challenge_limit, chaos, green, idempotency, lifecycle, rate_limit
from scenarios.load.order import Order
from scenarios.load.part import Part
from scenarios.load.phases import Phase
from scenarios.load.session import Session
from scenarios.load.steering import Steering
from scenarios.load.work import Work

Scenario = Callable[[Work, Steering], None]
SCENARIOS: Final[dict[str, Scenario]] = {
    "background": lambda work, _: background.run(work),
    "idempotency": lambda work, _: idempotency.run(work),
    "rate-limit": lambda work, _: rate_limit.run(work),
    "challenge-limit": lambda work, _: challenge_limit.run(work),
    "lifecycle": lifecycle.run,
    "chaos": chaos.run,
}
SETTLE_S: Final = 15.0  # the most that a reset waits for what the parts before it have under way
OVERTIME_S: Final = 20.0  # for scenarios to end what they have begun, besides the time of one answer


class Turn:
    """The parts of one order at work. `notes` are sentences on what could not be done."""

    def __init__(self, order: Order, session: Session, steering: Steering) -> None:
        self.notes: list[str] = []
        self._parts = order.parts
        self._timeout_s = order.timeout_s
        self._session = session
        self._steering = steering
        self._works: list[Work] = []
        self._start_ns = 0
        self._gates = {part.start_s: green.Event() for part in order.parts if part.reset}
        self._running: list[tuple[Part, Any]] = []

    def run(self) -> None:
        """Run all parts to their end; raises what a scenario raised."""
        self._start_ns = monotonic_ns()
        self._running = [(part, green.spawn(self._run, part)) for part in self._parts]
        resets = [green.spawn(self._reset, start_s) for start_s in self._gates]
        longest_s = max((part.end_s for part in self._parts), default=0.0) + self._timeout_s + OVERTIME_S
        if not green.join([*(running for _, running in self._running), *resets], longest_s):
            late = {part.stage.scenario for part, running in self._running if not running.ready()}
            self.notes.append(f"did not end in time and was stopped: {', '.join(sorted(late))}")
            green.end_all()

    def done(self) -> dict[str, dict[str, int]]:
        """The occasions that each scenario has made so far, by name."""
        told: dict[str, Counter[str]] = {}
        for work in self._works:
            told.setdefault(work.scenario, Counter()).update(work.done)
        return {name: dict(counts) for name, counts in told.items()}

    def phases(self) -> list[Phase]:
        """The phases of steady traffic that this process has come to."""
        return [phase for work in self._works for phase in work.phases]

    def findings(self) -> list[str]:
        """What scenarios have found out, a sentence each."""
        return [sentence for work in self._works for sentence in work.findings]

    def _run(self, part: Part) -> None:
        self._sleep_until(part.start_s)
        if part.reset:
            self._gates[part.start_s].wait()
        work = Work(part, self._session, self._start_ns)
        self._works.append(work)
        SCENARIOS[work.scenario](work, self._steering)

    def _reset(self, start_s: float) -> None:
        """Reset the target once everything that was begun before is over; else the reset would hide its effects."""
        self._sleep_until(start_s)
        green.join([running for part, running in self._running if part.end_s <= start_s], SETTLE_S)
        deadline = monotonic_ns() + round(SETTLE_S * 1e9)
        while (self._session.desk.busy() or self._steering.busy) and monotonic_ns() < deadline:
            green.sleep(0.005)
        if self._steering.reset():
            self._session.forget()
        else:
            self.notes.append(f"the target refused the reset at {start_s:.1f} s, so what was used up stays so")
        self._gates[start_s].set()

    def _sleep_until(self, start_s: float) -> None:
        green.sleep(start_s - (monotonic_ns() - self._start_ns) / 1e9)
