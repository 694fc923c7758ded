"""How far the target's clock may be from ours: what every bound must leave before it blames."""

from dataclasses import dataclass
from typing import Final

# NTP slews a clock by at most 500 ppm and crystals stay within 100; machines that keep time differ by less than this.
DRIFT_PPM: Final = 200


@dataclass(frozen=True)
class Slack:
    """`step_ns`: the step of the target's clock, and what the clocks of several load machines may differ by."""

    step_ns: int

    def drift(self, span_ns: int) -> int:
        """What two clocks may disagree by over a span, rounded up."""
        return -(-span_ns * DRIFT_PPM // 10**6)

    def short(self, window_ns: int) -> int:
        """The least that a window of the target may be on our clock, for upper bounds; 0 where nothing is left."""
        return max(window_ns - self.step_ns - self.drift(window_ns), 0)

    def long(self, window_ns: int) -> int:
        """The most that a window of the target may be on our clock, for lower bounds."""
        return window_ns + self.step_ns + self.drift(window_ns)
