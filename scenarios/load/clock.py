"""How the monotonic clock of this host stands to the master's, measured over Locust's channel."""

from pathlib import Path
from time import monotonic_ns
from typing import Final, NamedTuple

KEPT_NS: Final = 60 * 10**9  # how long a measurement is of use
AGAIN_S: Final = 2.0  # between measurements
DRIFT: Final = 1e-4  # by which two clocks may run apart; those of computers do by less than half of it
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """What tells one boot of one kernel from any other: processes that share it share the monotonic clock."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


class _Measured(NamedTuple):
    at: int
    offset: int
    error: int


class Clock:
    """`offset_ns` added to a time of this host gives the master's, right to within `error_ns` either way."""

    def __init__(self) -> None:
        self.offset_ns = 0
        self.error_ns = 0
        self._measured: list[_Measured] = []

    def learn(self, asked: int, told: int, heard: int, boot: str = "") -> None:
        """One question: sent at `asked`, answered at the master's `told`, heard at `heard`.

        The answer was given at some time between, so the middle is wrong by at most half of the round trip. A master of
        the same `boot` has the very same clock.
        """
        if boot and boot == boot_id():
            return
        fresh = _Measured(heard, told - (asked + heard) // 2, (heard - asked) // 2 + 1)
        self._measured = [one for one in self._measured if heard - one.at < KEPT_NS] + [fresh]
        best = min(self._measured, key=lambda one: one.error + DRIFT * (heard - one.at))
        self.offset_ns = best.offset
        self.error_ns = best.error + round(DRIFT * (heard - best.at + AGAIN_S * 1e9))


def now() -> int:
    """The monotonic clock of this host, in ns."""
    return monotonic_ns()
