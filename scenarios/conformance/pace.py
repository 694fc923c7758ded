"""Keeps the stage under a declared rate limit, so that it is refused only where a scenario wants to be."""

import time
from collections import defaultdict, deque
from typing import Final

from harness.profile import Profile

LONGEST_WAIT_S: Final = 30.0  # for one request; a window that asks for more cannot be waited for
ALL_WAITS_S: Final = 240.0  # for the whole stage: a limit that asks for more leaves no time for all cases


class Pace:
    """Waits before each request until no window of the declared limit can hold more than its count."""

    def __init__(self, profile: Profile) -> None:
        self._rate = profile.rate
        self._slack = 0 if self._rate is None else profile.target.clock_step_ns + self._rate.window_ns // 100
        self._received: dict[int, deque[int]] = defaultdict(deque)
        self.waited_s = 0.0

    def wait_s(self, person: int, key: int, now: int) -> float:
        """Seconds until one more request of this person and key (-1: nobody's) is surely under the limit."""
        rate = self._rate
        scope = self._scope(person, key)
        if rate is None or scope < 0:
            return 0.0
        log = self._received[scope]
        free = now
        # The bucket holds fewer than the count where its burst is smaller: then its tokens come one by one.
        for count, window in ((rate.count, rate.window_ns), (self._burst(), self._refill())):
            if len(log) >= count:
                free = max(free, log[-count] + window + self._slack)
        return (free - now) / 1e9

    def hold(self, person: int, key: int, share: float = 1.0) -> bool:
        """Wait for it; False where that would take too long, or more than this share of the time for all waits."""
        wait = self.wait_s(person, key, time.monotonic_ns())
        if wait <= 0:
            return True
        if wait > LONGEST_WAIT_S or self.waited_s + wait > ALL_WAITS_S * share:
            return False
        self.waited_s += wait
        time.sleep(wait)
        return True

    def note(self, person: int, key: int, received: int) -> None:
        """A request was answered at this time."""
        if self._rate is None:
            return
        log = self._received[self._scope(person, key)]
        log.append(received)
        while len(log) > max(self._rate.count, self._burst()):
            log.popleft()

    def _burst(self) -> int:
        assert self._rate is not None
        return min(self._rate.bucket, self._rate.count)

    def _refill(self) -> int:
        """ns in which the bucket gains as much as it holds."""
        assert self._rate is not None
        return -(-self._rate.window_ns * self._burst() // self._rate.count)

    def _scope(self, person: int, key: int) -> int:
        return 0 if self._rate is None else {"user": person, "api-key": key}.get(self._rate.scope, 0)
