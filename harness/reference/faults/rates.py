"""Rate limits that let too many in, too few, the wrong ones, or say the wrong thing when they refuse."""

# ruff: noqa: ARG002  (what a fault overrides looks at more than the fault does)

from dataclasses import replace

from harness.reference.answers import Refused, Request
from harness.reference.faults.catalogue import fault
from harness.reference.limits import Limit, TokenBucket, ns, rate_limit
from harness.reference.people import Login
from harness.reference.service import Call, Service
from harness.reference.store import Meter

BY_KEY = {"rate_scope": "api-key", "rate_count": 400}
FIXED = {"rate_algorithm": "fixed-window"}
BUCKET = {"rate_algorithm": "token-bucket", "rate_burst": 20}


class _OtherRate(Service):
    """A limit like the declared one, but for a factor of its count and of its window."""

    more = 0
    longer = 1.0

    def make_rate_limit(self, began: int) -> Limit | None:
        settings = self.settings
        changed = replace(
            settings, rate_count=(settings.rate_count or 0) + self.more, rate_window=settings.rate_window * self.longer
        )
        return rate_limit(changed, self.store, began)


@fault("rate-off-by-one", "`>` where `>=` was meant: one more than the limit is let in", "rate-limit-upper")
class RateOffByOne(_OtherRate):
    more = 1


@fault("rate-one-short", "the request that is being looked at is counted before it is compared", "rate-limit-lower")
class RateOneShort(_OtherRate):
    more = -1


@fault("rate-window-short", "a window that is a third too short, from a clock of another unit", "rate-limit-upper")
class RateWindowShort(_OtherRate):
    longer = 0.7


@fault("rate-window-long", "entries that expire half a window late", "rate-limit-lower", "rate-limit-recovers")
class RateWindowLong(_OtherRate):
    longer = 1.5


@fault("rate-unlimited", "the filter is not in the chain of this path", "rate-limit-upper")
class RateUnlimited(Service):
    def make_rate_limit(self, began: int) -> Limit | None:
        return None


@fault("rate-fixed-window", "INCR and EXPIRE: a window from the clock, where one that slides is declared",
       "rate-limit-upper")  # fmt: skip
class RateFixedWindow(Service):
    def make_rate_limit(self, began: int) -> Limit | None:
        return rate_limit(replace(self.settings, rate_algorithm="fixed-window"), self.store, began)


@fault("rate-window-from-first", "a key that expires a window after the first request in it, where one that slides is "
       "declared", "rate-limit-upper")  # fmt: skip
class RateWindowFromFirst(Service):
    def make_rate_limit(self, began: int) -> Limit | None:
        settings = replace(self.settings, rate_algorithm="fixed-window", rate_phase="first-request")
        return rate_limit(settings, self.store, began)


@fault("rate-never-recovers", "the counter's expiry is set anew by each request that it refuses, ten windows long",
       "rate-limit-recovers", "rate-limit-lower", "rate-limit-retry-after")  # fmt: skip
class RateNeverRecovers(Service):
    def check_rate(self, login: Login, request: Request) -> None:
        scope = f"blocked {login.person}"
        if self.store.meter(scope).at > self.clock.now():
            raise Refused(429, wait=ns(1))
        try:
            super().check_rate(login, request)
        except Refused:
            self.store.keep_meter(scope, Meter(self.clock.now() + 10 * ns(self.settings.rate_window), 0))
            raise


@fault("rate-shared", "one counter for a whole programme, where each user has their own",
       "rate-limit-isolated", "rate-limit-lower")  # fmt: skip
class RateShared(Service):
    def rate_scope(self, login: Login, request: Request) -> str:
        return f"rate {login.programme}"


@fault("rate-by-channel", "a counter for each path, so that the limit is twice what is declared", "rate-limit-upper")
class RateByChannel(Service):
    def rate_scope(self, login: Login, request: Request) -> str:
        return f"{super().rate_scope(login, request)} {request.channel}"


@fault("rate-per-token", "a counter for each session, so that who logs in twice has twice as many", "rate-limit-upper")
class RatePerToken(Service):
    def rate_scope(self, login: Login, request: Request) -> str:
        return f"{super().rate_scope(login, request)} {login.token}"


@fault("rate-skips-replays", "replays are answered from a cache ahead of the limiter that is declared to count them",
       "rate-limit-upper")  # fmt: skip
class RateSkipsReplays(Service):
    def check_rate(self, login: Login, request: Request) -> None:
        if self.known(self.read(login, request)) is None:
            super().check_rate(login, request)


@fault("rate-fails-open", "one request in twenty is let in, as the limiter's store timed out", "rate-limit-upper")
class RateFailsOpen(Service):
    turn = 0

    def check_rate(self, login: Login, request: Request) -> None:
        self.turn += 1
        if self.turn % 20:
            super().check_rate(login, request)


@fault("rate-counts-refusals", "refused requests use up the limit, so that who keeps asking is never let in again",
       "rate-limit-lower", "rate-limit-recovers", "rate-limit-retry-after")  # fmt: skip
class RateCountsRefusals(Service):
    def check_rate(self, login: Login, request: Request) -> None:
        try:
            super().check_rate(login, request)
        except Refused:
            if self.rate is not None:
                self.rate.punish(self.rate_scope(login, request), self.clock.now())
            raise


@fault("rate-refused-yet-done", "the limiter runs beside the operation, which is not undone when it refuses",
       "rate-limit-no-effect", "push-at-most-once", "challenge-limit-lower")  # fmt: skip
class RateRefusedYetDone(Service):
    def admit(self, login: Login, request: Request) -> Call:
        call = self.read(login, request)
        try:
            self.check_rate(login, request)
        except Refused:
            if self.known(call) is None:
                self.issue(call)
            raise
        return call


@fault("rate-random-refusals", "one request in a hundred is shed as 429, whoever makes it",
       "rate-limit-lower", "rate-limit-isolated", "rate-limit-recovers")  # fmt: skip
class RateRandomRefusals(Service):
    turn = 0

    def check_rate(self, login: Login, request: Request) -> None:
        self.turn += 1
        if self.turn % 100 == 0:
            raise Refused(429, wait=ns(1))
        super().check_rate(login, request)


@fault("rate-by-user-of-key", "the limit of a key is kept for each of its users", "rate-limit-upper", **BY_KEY)
class RateByUserOfKey(Service):
    def rate_scope(self, login: Login, request: Request) -> str:
        return f"{super().rate_scope(login, request)} {login.person}"


@fault("rate-for-all-keys", "one counter for all keys, where each has its own", "rate-limit-isolated",
       "rate-limit-lower", **BY_KEY)  # fmt: skip
class RateForAllKeys(Service):
    def rate_scope(self, login: Login, request: Request) -> str:
        return "rate"


@fault("fixed-window-twice", "the counter is set back by a job that runs twice in a window", "rate-limit-upper",
       **FIXED)  # fmt: skip
class FixedWindowTwice(_OtherRate):
    longer = 0.5


@fault("fixed-window-off-by-one", "the request that opens a window is not counted", "rate-limit-upper", **FIXED)
class FixedWindowOffByOne(_OtherRate):
    more = 1


@fault("bucket-refilled-at-once", "the bucket is filled to the brim each second, instead of a token at a time",
       "rate-limit-upper", **BUCKET)  # fmt: skip
class BucketRefilledAtOnce(Service):
    def make_rate_limit(self, began: int) -> Limit | None:
        settings = replace(self.settings, rate_algorithm="fixed-window", rate_phase="first-request")
        return rate_limit(settings, self.store, began)


@fault("bucket-too-deep", "the bucket holds a second's worth of tokens, whatever burst is declared",
       "rate-limit-upper", **BUCKET)  # fmt: skip
class BucketTooDeep(Service):
    def make_rate_limit(self, began: int) -> Limit | None:
        count = self.settings.rate_count or 1
        return TokenBucket(self.store, count, ns(self.settings.rate_window), count)


@fault("bucket-slow", "tokens come at half the declared rate, as a timer is late", "rate-limit-lower", **BUCKET)
class BucketSlow(_OtherRate):
    longer = 2.0
