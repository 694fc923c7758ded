"""Keeps count, on this side, of what a target's declared limits leave: requests (Pacer) and challenges (Ledger)."""

from collections import deque
from math import floor
from time import monotonic_ns
from typing import Final

from harness.profile import ChallengeLimit, RateLimit
from scenarios.load import green
from scenarios.load.scopes import windows_of

SHARE: Final = 0.85  # of a declared rate that scenarios use which are not about the rate; the rest is slack
MARGIN: Final = 1.02  # how much longer than the window a slot is held, for clocks that differ
SLACK_NS: Final = 20_000_000
LATE_NS: Final = 2 * 10**9  # how long after its caller has gone a request is taken to be worked on


class Pacer:
    """The requests that one scope of the rate limit may still make. Without a limit, any number.

    A request may take effect at any time between its send and its answer, so its slot is held until a whole window
    after the answer: a target that keeps the limit has then no reason to refuse one of ours. A token bucket of B that
    gains one each T is at least as generous as B requests in any time B·T, and is treated as such. `used` requests may
    still count from before.
    """

    def __init__(self, limit: RateLimit | None, used: int = 0) -> None:
        self._lock = green.Lock(1)
        self._freed: deque[int] = deque([monotonic_ns()] * used if limit else [])
        self._lost: deque[int] = deque()
        self._under_way = 0
        self.count, self.window_ns = windows_of(limit) if limit else (0, 0)
        self._held_ns = round(self.window_ns * MARGIN) + SLACK_NS
        self.capacity = max(1, floor(self.count * SHARE)) if self.count else 1 << 30

    @property
    def per_second(self) -> float:
        """How many requests a second the scope can make for ever."""
        return self.capacity / (self._held_ns / 1e9) if self.count else float("inf")

    def try_take(self, many: int = 1) -> bool:
        """Take slots if they are free now."""
        if not self.count:
            return True
        self._forget(monotonic_ns())
        if self._taken() + many > self.capacity:
            return False
        self._under_way += many
        return True

    def take(self, many: int, deadline_ns: int) -> bool:
        """Take slots, waiting in line for them; False when they are not free before the deadline."""
        if not self.count:
            return monotonic_ns() < deadline_ns
        if many > self.capacity:
            return False
        with self._lock:  # first come, first served: else those who want one would starve those who want many
            while not self.try_take(many):
                if monotonic_ns() >= deadline_ns:
                    return False
                green.sleep(self._pause())
        return monotonic_ns() < deadline_ns

    def give_back(self, received: int, *, lost: bool = False) -> None:
        """A request of this scope has its answer, or will have none: then the target may yet come to it."""
        if self.count:
            self._under_way = max(self._under_way - 1, 0)  # requests about the rate itself take no slots first
            (self._lost if lost else self._freed).append(received)

    def cancel(self, many: int = 1) -> None:
        """Slots were taken, but nothing was sent."""
        self._under_way = max(self._under_way - many, 0)

    def free(self) -> int:
        """The slots that are free now."""
        self._forget(monotonic_ns())
        return self.capacity - self._taken()

    def idle(self) -> bool:
        """Whether nothing is under way, and nothing that was sent can still count."""
        return self.free() == self.capacity

    def _taken(self) -> int:
        return self._under_way + len(self._freed) + len(self._lost)

    def _forget(self, now: int) -> None:
        while self._freed and self._freed[0] < now - self._held_ns:
            self._freed.popleft()
        while self._lost and self._lost[0] < now - self._held_ns - LATE_NS:
            self._lost.popleft()

    def _pause(self) -> float:
        """Seconds until the next slot may become free."""
        if not self._freed:
            return 0.005
        return min(max((self._freed[0] + self._held_ns - monotonic_ns()) / 1e9, 0.001), 0.5)


class Ledger:
    """The challenges that one scope of the challenge limit may still get. Without a limit, any number."""

    def __init__(self, limit: ChallengeLimit | None, used: int = 0) -> None:
        self.count = limit.count if limit else 1 << 30
        self._held_ns = round(limit.window_ns * MARGIN) + SLACK_NS if limit else 0
        self._taken: deque[int] = deque([monotonic_ns()] * min(used, self.count))
        self._limited = limit is not None

    def left(self) -> int:
        if not self._limited:
            return self.count
        now = monotonic_ns()
        while self._taken and self._taken[0] < now - self._held_ns:
            self._taken.popleft()
        return self.count - len(self._taken)

    def take(self, many: int = 1, keep: int = 0) -> bool:
        """Take challenges if that leaves at least `keep`."""
        if not self._limited:
            return True
        if self.left() < many + keep:
            return False
        self._taken.extend([monotonic_ns()] * many)
        return True

    def exhausted(self) -> None:
        """The target says that nothing is left: somebody used the scope before us."""
        if self._limited:
            self._taken.extend([monotonic_ns()] * max(self.left(), 0))

    def reset(self) -> None:
        """The target has forgotten all challenges."""
        self._taken.clear()
