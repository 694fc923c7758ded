"""The service's clock: one time for all its processes and restarts, which does not step with the wall clock."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic_ns, time_ns
from typing import Final

BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


class Clock:
    """ns since 1970 as the machine's clock said when the service first began, counted on by a clock that is steady.

    A reboot starts the steady clock anew, so the offset between the two is kept together with the boot it is of.
    """

    def __init__(self, base: int) -> None:
        self._base = base

    def now(self) -> int:
        return self._base + monotonic_ns()


def steady_base(recall: Callable[[str], int | None], keep: Callable[[str, int], None]) -> int:
    """The offset of this boot, from what was kept or, the first time, from the wall clock."""
    name = f"clock of boot {BOOT.read_text().strip() if BOOT.exists() else 'unknown'}"
    base = recall(name)
    if base is None:
        base = time_ns() - monotonic_ns()
        keep(name, base)
    return base
