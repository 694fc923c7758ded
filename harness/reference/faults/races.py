"""Races: what is looked up and what is written are two steps, and another request comes in between."""

# ruff: noqa: ARG002  (what a fault overrides looks at more than the fault does)

import asyncio
import os
import time

from harness.reference.answers import Refused, Request
from harness.reference.faults.catalogue import fault
from harness.reference.limits import Limit, SlidingLog, ns
from harness.reference.people import Login
from harness.reference.service import Call, Service
from harness.reference.store import Key, Store

REJECT = {"in_flight": "reject", "in_flight_for": 3.0}


@fault(
    "idempotency-race",
    "cache-aside: the ref is looked up in a cache, and stored there a millisecond later",
    "idempotent-concurrent",
)
class LookThenAct(Service):
    async def serve(self, login: Login, request: Request) -> str:
        with self.store.transaction():
            call = self.admit(login, request)
            known = self.known(call)
        if known:
            return known
        await self.gap()
        with self.store.transaction():
            return self.issue(call)

    async def gap(self) -> None:
        await asyncio.sleep(0.001)


@fault(
    "idempotency-race-narrow",
    "a lookup on one database connection and the insert on another, a tenth of a millisecond apart",
    "idempotent-concurrent",
)
class LookThenActNarrow(LookThenAct):
    async def gap(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.0001)


@fault(
    "idempotency-race-bare",
    "SELECT and INSERT in two transactions of their own, without a unique constraint",
    "idempotent-concurrent",
)
class LookThenActBare(LookThenAct):
    async def gap(self) -> None:
        await asyncio.sleep(0)  # each call of an asynchronous driver lets other requests go on


class _Racing(Service):
    """A limit whose check and whose count are a millisecond apart."""

    async def gap(self) -> None:
        await asyncio.sleep(0.001)


def room(limit: Limit, store: Store, scope: str, now: int) -> int:
    """The ns to wait, without taking anything."""
    assert isinstance(limit, SlidingLog)
    return limit.wait(scope, store.meter(scope).used, now)


@fault(
    "rate-race",
    "GET and INCR of a counter in two round trips: all who look before the first one counts are let in",
    "rate-limit-upper",
)
class RateRace(_Racing):
    async def serve(self, login: Login, request: Request) -> str:
        if self.rate is not None:
            scope = self.rate_scope(login, request)
            with self.store.transaction():
                wait = room(self.rate, self.store, scope, self.clock.now())
            if wait > 0:
                raise Refused(429, wait=wait)
            await self.gap()
        return await super().serve(login, request)

    def check_rate(self, login: Login, request: Request) -> None:
        if self.rate is not None:
            self.rate.punish(self.rate_scope(login, request), self.clock.now())


@fault(
    "challenges-race",
    "SELECT count(*) of a user's challenges, then INSERT, at an isolation level that lets two do so at once",
    "challenge-limit-upper",
)
class ChallengesRace(_Racing):
    async def serve(self, login: Login, request: Request) -> str:
        with self.store.transaction():
            call = self.admit(login, request)
            known = self.known(call)
            if known is None and self.challenges is not None:
                wait = room(self.challenges, self.store, self.challenge_scope(call), self.clock.now())
                if wait > 0:
                    self.check_channel(call)
                    self.check_state(call)
                    raise Refused(409, "CHALLENGE_LIMIT_EXCEEDED")
        if known:
            return known
        await self.gap()
        with self.store.transaction():
            return self.known(call) or self.issue(call)

    def check_challenges(self, call: Call) -> None:
        if self.challenges is not None:
            self.challenges.punish(self.challenge_scope(call), self.clock.now())


@fault("in-flight-race", "the pending challenge is looked for before the row is locked", "in-flight", **REJECT)
class InFlightRace(_Racing):
    async def serve(self, login: Login, request: Request) -> str:
        with self.store.transaction():
            call = self.admit(login, request)
            known = self.known(call)
            if known is None and super().in_flight(call):
                raise Refused(409, "STATE_INVALID")
        if known:
            return known
        await self.gap()
        with self.store.transaction():
            return self.known(call) or self.issue(call)

    def in_flight(self, call: Call) -> bool:
        return False


@fault("refs-per-worker", "refs are remembered in the memory of the process that served them", "idempotent-replay")
class RefsPerWorker(Service):
    def key(self, call: Call) -> Key:
        return super().key(call)._replace(person=f"{os.getpid()} {call.login.person}")


@fault("rate-per-worker", "each process counts requests in its own memory", "rate-limit-upper")
class RatePerWorker(Service):
    def rate_scope(self, login: Login, request: Request) -> str:
        return f"{os.getpid()} {super().rate_scope(login, request)}"


@fault("challenges-per-worker", "each process counts challenges in its own memory", "challenge-limit-upper")
class ChallengesPerWorker(Service):
    def challenge_scope(self, call: Call) -> str:
        return f"{os.getpid()} {super().challenge_scope(call)}"


@fault(
    "replica-lag",
    "refs are looked up on a read replica that is 60 ms behind",
    "idempotent-replay",
    "idempotent-concurrent",
)
class ReplicaLag(Service):
    lag = ns(0.06)

    def known(self, call: Call) -> str | None:
        known = super().known(call)
        if known is None:
            return None
        challenge = self.store.challenge(known)
        return known if challenge is None or challenge.at < self.clock.now() - self.lag else None


@fault(
    "request-mixed-up",
    "the login of a request is kept in a variable that all requests of the process share",
    "idempotent-replay",
    "idempotent-concurrent",
    "idempotent-scope",
)
class RequestMixedUp(Service):
    current: Login

    async def serve(self, login: Login, request: Request) -> str:
        self.current = login
        await asyncio.sleep(0)
        return await super().serve(self.current, request)


@fault(
    "answers-swapped",
    "a pool of buffers: now and then a request is answered with what was written for the one before",
    "idempotent-scope",
    "challenge-id-unique",
    "idempotent-replay",
)
class AnswersSwapped(Service):
    turn = 0
    last = ""

    async def serve(self, login: Login, request: Request) -> str:
        mine = await super().serve(login, request)
        self.turn += 1
        last, self.last = self.last, mine
        return last if self.turn % 50 == 0 else mine
