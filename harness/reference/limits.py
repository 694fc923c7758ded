"""How the service counts: each way of limiting a scope to so many in a window. Called within a transaction only."""

from abc import ABC, abstractmethod

from harness.reference.settings import SECOND, Settings
from harness.reference.store import Meter, Store


class Limit(ABC):
    """At most `count` in `window` ns for each scope. `spend` takes one at `now`, or says how many ns to wait for it."""

    def __init__(self, store: Store, count: int, window: int) -> None:
        self.store = store
        self.count = count
        self.window = window

    @abstractmethod
    def spend(self, scope: str, now: int) -> int:
        """0 where one was taken, otherwise the ns after which one will be there."""

    @abstractmethod
    def punish(self, scope: str, now: int) -> int:
        """Count a refused one too; the ns to wait are then those after it."""


class SlidingLog(Limit):
    """No window of any phase holds more than the count: the one `count` before this one must have left it.

    The last `count` times stand in a ring of slots; `used` numbers what was taken, so the slot to write next is the
    one that decides.
    """

    def spend(self, scope: str, now: int) -> int:
        used = self.store.meter(scope).used
        wait = self.wait(scope, used, now)
        if not wait:
            self.keep(scope, used, now)
        return wait

    def punish(self, scope: str, now: int) -> int:
        used = self.store.meter(scope).used
        self.keep(scope, used, now)
        return self.wait(scope, used + 1, now)

    def wait(self, scope: str, used: int, now: int) -> int:
        oldest = self.store.hit(scope, used % self.count)
        return 0 if oldest is None else max(oldest + self.window - now, 0)

    def keep(self, scope: str, used: int, now: int) -> None:
        self.store.keep_hit(scope, used % self.count, now)
        self.store.keep_meter(scope, Meter(now, used + 1))


class FixedWindow(Limit):
    """At most the count in each window. `origin`: where windows begin for all, None at each scope's first request."""

    def __init__(self, store: Store, count: int, window: int, origin: int | None) -> None:
        super().__init__(store, count, window)
        self.origin = origin

    def spend(self, scope: str, now: int) -> int:
        begun, used = self.current(scope, now)
        if used >= self.count:
            return begun + self.window - now
        self.store.keep_meter(scope, Meter(begun, used + 1))
        return 0

    def punish(self, scope: str, now: int) -> int:
        begun, _ = self.current(scope, now)
        return begun + self.window - now

    def current(self, scope: str, now: int) -> Meter:
        """The window that `now` is in, with what was used of it."""
        meter = self.store.meter(scope)
        begun = self.begin(meter, now)
        return meter if begun == meter.at else Meter(begun, 0)

    def begin(self, meter: Meter, now: int) -> int:
        if self.origin is not None:
            return now - (now - self.origin) % self.window
        return meter.at if now - meter.at < self.window else now


class TokenBucket(Limit):
    """A token comes every `interval` ns into a bucket of `burst`. `at` is when the bucket will be full again (GCRA)."""

    def __init__(self, store: Store, count: int, window: int, burst: int) -> None:
        super().__init__(store, count, window)
        self.interval = -(-window // count)  # rounded up: never faster than declared
        self.burst = burst

    def spend(self, scope: str, now: int) -> int:
        full = max(self.store.meter(scope).at, now)
        wait = full - now - (self.burst - 1) * self.interval
        if wait > 0:
            return wait
        self.store.keep_meter(scope, Meter(full + self.interval, 0))
        return 0

    def punish(self, scope: str, now: int) -> int:
        full = min(max(self.store.meter(scope).at, now) + self.interval, now + self.burst * self.interval)
        self.store.keep_meter(scope, Meter(full, 0))
        return full - now - (self.burst - 1) * self.interval


def ns(seconds: float) -> int:
    return round(seconds * SECOND)


def rate_limit(settings: Settings, store: Store, began: int) -> Limit | None:
    """The declared rate limit; `began` is where shared fixed windows begin."""
    if settings.rate_count is None:
        return None
    window = ns(settings.rate_window)
    if settings.rate_algorithm == "token-bucket":
        return TokenBucket(store, settings.rate_count, window, settings.bucket)
    if settings.rate_algorithm == "fixed-window":
        origin = {"shared": began, "epoch": 0, "first-request": None}[settings.rate_phase]
        return FixedWindow(store, settings.rate_count, window, origin)
    return SlidingLog(store, settings.rate_count, window)


def challenge_limit(settings: Settings, store: Store) -> Limit | None:
    if settings.challenge_count is None:
        return None
    return SlidingLog(store, settings.challenge_count, ns(settings.challenge_window))
