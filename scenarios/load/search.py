"""Looks for the highest rate that a target keeps up with: steps upwards until one is not held, then between the two."""

from dataclasses import dataclass
from math import sqrt
from typing import Final

FACTOR: Final = 1.5  # from a step that was held to the next one
CLOSE: Final = 1.12  # highest held and lowest not held are near enough to tell the capacity
DONE: Final = 0.95  # of what arrived in a step, that must have been answered by its end
FAILED: Final = 0.01  # of the answers, that may be errors
SLOWER: Final = 10.0  # times the first step's p99, or what the plan says, that a step's p99 may take
LATE_NS: Final = 10 * 10**6  # of the generator itself at p99: what it sends later is no measure of the target


@dataclass(frozen=True)
class Step:
    """One step as it was measured: arrivals that were `due`, those of them `held_back` as the target's declared limits
    leave no room, answers by its end, errors, and ns: the 99th percentile of latency, and of our own lateness."""

    rate: float
    seconds: float
    due: int
    held_back: int
    done: int
    failed: int
    p99_ns: int
    late_ns: int


class Search:
    """Says the next rate, in requests a second, from `first` to `most`, in at most `steps` steps."""

    def __init__(self, first: float, most: float, steps: int, hold_ns: int = 0) -> None:
        self.held = 0.0  # the highest rate that was held
        self.broke = 0.0  # the lowest one that was not
        self.why = ""  # what was wrong with that
        self._first, self._most, self._left, self._hold_ns = first, most, steps, hold_ns
        self._unfit = False
        self._again = 0.0  # the rate of a step that the load machine has spoilt and that is tried once more

    def next(self) -> float | None:
        """The rate of the next step, None when enough is known."""
        if self._left <= 0 or self._unfit:
            return None
        self._left -= 1
        if self._again:
            return self._again
        if not self.broke:
            if self.held >= self._most:
                return None
            return min(self.held * FACTOR, self._most) if self.held else self._first
        if self.held and self.broke / self.held <= CLOSE:
            return None
        return sqrt(self.held * self.broke) if self.held else self.broke / 2

    def told(self, step: Step) -> str:
        """Take a step's figures; why it was not held, '' where it was."""
        why = self._unfit_for(step)
        if why and step.late_ns > LATE_NS and not self._again:
            self._again = step.rate  # something else may have kept the machine busy for a moment
            return why
        self._again, self._unfit = 0.0, bool(why)
        self._hold_ns = self._hold_ns or round(SLOWER * step.p99_ns)
        why = why or self._too_much(step)
        if not why:
            self.held = max(self.held, step.rate)
        elif not self.broke or step.rate < self.broke:
            self.broke, self.why = step.rate, why
        return why

    def sentence(self) -> str:
        """What was found."""
        if self._unfit:
            return f"capacity: at least {self.held:,.0f} requests a second; no more could be offered: {self.why}"
        if not self.broke:
            return f"capacity: at least {self.held:,.0f} requests a second, the most that the plan offers; no knee seen"
        held = f"{self.held:,.0f} requests a second were held" if self.held else "no step was held"
        return f"capacity: {held}, {self.broke:,.0f} were not: {self.why}"

    def _unfit_for(self, step: Step) -> str:
        """Why a step says nothing of the target."""
        if step.held_back > (1 - DONE) * step.due:
            return f"{step.held_back:,} of {step.due:,} arrivals were held back for the declared limits"
        if step.late_ns > LATE_NS:
            return f"the load machine itself was {step.late_ns / 1e6:.0f} ms late (p99)"
        return ""

    def _too_much(self, step: Step) -> str:
        if step.failed > FAILED * max(step.done + step.failed, 1):
            return f"{step.failed:,} of {step.due:,} requests failed"
        if step.done < DONE * step.due:
            return f"{step.done / step.seconds:,.0f} a second were answered"
        if step.p99_ns > self._hold_ns:
            return f"p99 was {step.p99_ns / 1e6:,.1f} ms, more than {self._hold_ns / 1e6:,.1f} ms"
        return ""
