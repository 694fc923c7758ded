"""Refs under the wrong key, or forgotten: what makes two calls the same operation, and for how long."""

# ruff: noqa: ARG002  (what a fault overrides looks at more than the fault does)

import zlib

from harness.reference.answers import Refused, Request
from harness.reference.faults.catalogue import fault
from harness.reference.limits import SlidingLog, ns
from harness.reference.people import Login
from harness.reference.service import Call, Service
from harness.reference.store import Key


@fault("ref-ignored", "the header is documented and never read", "idempotent-replay")
class RefIgnored(Service):
    def known(self, call: Call) -> str | None:
        return None


@fault("ref-ignored-on-biometric", "one of two handlers was never given the idempotency filter", "idempotent-replay")
class RefIgnoredOnBiometric(Service):
    def known(self, call: Call) -> str | None:
        return None if call.channel == "BIOMETRIC" else super().known(call)


@fault("ref-shared-by-users", "the cache key is the bare ref", "idempotent-scope")
class RefSharedByUsers(Service):
    def key(self, call: Call) -> Key:
        return super().key(call)._replace(person="")


@fault("ref-shared-by-programme", "the cache key holds the tenant where the user belongs", "idempotent-scope")
class RefSharedByProgramme(Service):
    def key(self, call: Call) -> Key:
        return super().key(call)._replace(person=call.login.programme)


@fault("ref-shared-by-channels", "the cache key leaves out the path's parameter", "idempotent-scope")
class RefSharedByChannels(Service):
    def key(self, call: Call) -> Key:
        return super().key(call)._replace(channel="")


@fault("ref-per-token", "the cache key holds the session, so a new login repeats the operation", "idempotent-replay")
class RefPerToken(Service):
    def key(self, call: Call) -> Key:
        return super().key(call)._replace(person=call.login.token)


@fault("ref-case-folded", "a column with a case-insensitive collation", "ref-exact")
class RefCaseFolded(Service):
    def key(self, call: Call) -> Key:
        return super().key(call)._replace(ref=(call.ref or "").lower())


@fault("ref-cut-at-32", "VARCHAR(32), and a database that truncates in silence", "ref-exact")
class RefCutAt32(Service):
    longest = 32

    def key(self, call: Call) -> Key:
        return super().key(call)._replace(ref=(call.ref or "")[: self.longest])


@fault("ref-cut-at-64", "VARCHAR(64), and a database that truncates in silence", "ref-exact")
class RefCutAt64(RefCutAt32):
    longest = 64


@fault("ref-normalised", "refs are taken for UUIDs, so hyphens do not count", "ref-exact")
class RefNormalised(Service):
    def key(self, call: Call) -> Key:
        return super().key(call)._replace(ref=(call.ref or "").replace("-", ""))


@fault("ref-hashed-short", "refs are told apart by a checksum that is far too short", "ref-exact", "idempotent-replay")
class RefHashedShort(Service):
    def key(self, call: Call) -> Key:
        return super().key(call)._replace(ref=str(zlib.crc32((call.ref or "").encode()) % 2048))


@fault("ref-forgotten-soon", "a time to live in seconds, handed to a cache that takes milliseconds",
       "idempotent-replay", "ref-retention", ref_retention=2.0)  # fmt: skip
class RefForgottenSoon(Service):
    """24 h taken for ms are 86 s, longer than a run; two seconds show the same."""


@fault("ref-last-only", "one column `last_ref` for each user and channel", "ref-exact", "idempotent-replay")
class RefLastOnly(Service):
    def record(self, call: Call, challenge: str) -> str:
        self.store.do("DELETE FROM refs WHERE person = ? AND channel = ?", call.login.person, call.channel)
        return super().record(call, challenge)


@fault("ref-evicted-by-user", "a cache of the last four refs of each user", "ref-exact", "idempotent-replay")
class RefEvictedByUser(Service):
    kept = 4

    def record(self, call: Call, challenge: str) -> str:
        log = SlidingLog(self.store, self.kept, 0)
        log.punish(self.owner(call), self.clock.now())
        return super().record(call, challenge)

    def known(self, call: Call) -> str | None:
        known = super().known(call)
        challenge = self.store.challenge(known) if known else None
        if challenge is None:
            return None
        oldest = self.store.hit(self.owner(call), self.store.meter(self.owner(call)).used % self.kept)
        return known if oldest is None or challenge.at >= oldest else None

    def owner(self, call: Call) -> str:
        return f"cache of {call.login.person}"


@fault("ref-evicted", "a cache of five hundred refs for everybody", "ref-exact", "idempotent-replay", "ref-retention")
class RefEvicted(RefEvictedByUser):
    kept = 500

    def owner(self, call: Call) -> str:
        return "cache"


@fault("refs-flushed", "a deployment empties the cache every five seconds", "idempotent-replay", "ref-retention")
class RefsFlushed(Service):
    every = ns(5)

    def known(self, call: Call) -> str | None:
        now = self.clock.now()
        self.store.forget_refs(before=now - now % self.every)
        return super().known(call)


@fault(
    "refusal-remembered",
    "whatever a ref was answered is cached, a 429 too",
    "ref-not-spent-by-refusal",
    "rate-limit-no-effect",
)
class RefusalRemembered(Service):
    def check_rate(self, login: Login, request: Request) -> None:
        key = self.key(self.read(login, request)) if request.refs else None
        if key and self.store.claimed(key, self.clock.now()):
            raise Refused(429, wait=ns(1))
        try:
            super().check_rate(login, request)
        except Refused:
            if key:
                self.store.claim(key, "refused", self.clock.now() + ns(3600))
            raise


@fault("ref-spent-by-refusal", "the ref is written before the rate is checked, and stays when the check fails",
       "ref-not-spent-by-refusal", "rate-limit-no-effect", "stepup-linearisable")  # fmt: skip
class RefSpentByRefusal(RefusalRemembered):
    def check_rate(self, login: Login, request: Request) -> None:
        if request.refs and self.store.claimed(self.key(self.read(login, request)), self.clock.now()):
            raise Refused(409, "STATE_INVALID")
        super().check_rate(login, request)


@fault("no-ref-as-empty", "a missing ref becomes the empty string, and that is looked up", "no-ref-no-replay")
class NoRefAsEmpty(Service):
    def read(self, login: Login, request: Request) -> Call:
        call = super().read(login, request)
        return call if call.ref is not None else call._replace(ref="")


@fault("no-ref-deduplicated", "requests without a ref that look alike within a second are taken for retries",
       "no-ref-no-replay")  # fmt: skip
class NoRefDeduplicated(Service):
    def read(self, login: Login, request: Request) -> Call:
        call = super().read(login, request)
        return call if call.ref is not None else call._replace(ref=f"second {self.clock.now() // ns(1)}")


@fault("replay-refused", "a repeated call is an error: a unique constraint, told to the caller", "idempotent-replay")
class ReplayRefused(Service):
    def known(self, call: Call) -> str | None:
        if super().known(call):
            raise Refused(409, "STATE_INVALID")
        return None


@fault("replay-new-id", "the answer is made anew for a replay, with an id that stands for nothing", "idempotent-replay")
class ReplayNewId(Service):
    def known(self, call: Call) -> str | None:
        return self.new_id(call) if super().known(call) else None


@fault("replay-latest", "a replay is answered with the user's latest challenge, as only that is looked up",
       "idempotent-replay", "ref-exact")  # fmt: skip
class ReplayLatest(Service):
    def known(self, call: Call) -> str | None:
        known = super().known(call)
        row = self.store.row("SELECT challenge FROM pending WHERE token = ?", call.login.token)
        return str(row[0]) if known and row else known
