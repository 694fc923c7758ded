"""The operation itself: in which order a request is decided on, and what makes a challenge exactly one challenge."""

import asyncio
import uuid
from pathlib import Path
from typing import NamedTuple

from harness.reference.access import Access
from harness.reference.answers import Answers, Refused, Request, Response, missing_channel
from harness.reference.clock import Clock, steady_base
from harness.reference.limits import Limit, challenge_limit, ns, rate_limit
from harness.reference.people import Login, People
from harness.reference.settings import CHANNELS, SECOND, Settings
from harness.reference.store import Key, Store

CLAIM_NS = 2 * SECOND  # how long a claim outlives a worker that was killed


class Call(NamedTuple):
    """A well-formed request of a login. `ref` None: not to be remembered."""

    login: Login
    channel: str
    ref: str | None


class Service:
    """One process's view of the service; all that is remembered is in the store, which the processes share.

    A request is decided on in this order: credentials, rate, form, earlier answer, channel, state, challenges.
    """

    def __init__(self, settings: Settings, people: People, database: Path) -> None:
        self.settings = settings
        self.store = self.make_store(database)
        with self.store.transaction():
            self.clock = Clock(steady_base(self.store.fact, self.store.keep_fact))
            began = self.store.fact("began") or self.clock.now()
            self.store.keep_fact("began", began)
            self.store.forget_refs(before=self.clock.now() - ns(settings.ref_retention))
        self.rate = self.make_rate_limit(began)
        self.challenges = self.make_challenge_limit()
        self.access = self.make_access(people)
        self.answers = self.make_answers()

    def make_store(self, database: Path) -> Store:
        return Store(database)

    def make_access(self, people: People) -> Access:
        return Access(people)

    def make_answers(self) -> Answers:
        return Answers(self.settings.retry_after)

    def make_rate_limit(self, began: int) -> Limit | None:
        return rate_limit(self.settings, self.store, began)

    def make_challenge_limit(self) -> Limit | None:
        return challenge_limit(self.settings, self.store)

    async def push(self, request: Request) -> Response:
        """Answer one request."""
        try:
            challenge = await self.serve(self.access.login(request), request)
        except Refused as refused:
            return self.answers.refused(refused)
        return self.answers.challenge(challenge)

    async def serve(self, login: Login, request: Request) -> str:
        """The id of the challenge for this request.

        One transaction decides and records, without giving way in between: it happens wholly or not at all, also when
        the caller has gone, and a duplicate waits for it.
        """
        if self.settings.concurrent_duplicate == "conflict" and request.refs:
            return await self.serve_claimed(login, request)
        with self.store.transaction():
            call = self.admit(login, request)
            return self.known(call) or self.issue(call)

    async def serve_claimed(self, login: Login, request: Request) -> str:
        """The same in two steps: who claims the operation first works on it, and a duplicate is refused meanwhile."""
        owner = uuid.uuid4().hex
        with self.store.transaction():
            call = self.admit(login, request)
            known = self.known(call)
            if known:
                return known
            if self.store.claimed(self.key(call), self.clock.now()):
                raise Refused(409, "STATE_INVALID")
            self.store.claim(self.key(call), owner, self.clock.now() + CLAIM_NS)
        await asyncio.sleep(self.settings.work_for)
        with self.store.transaction():
            self.store.unclaim(self.key(call), owner)
            # A claim only spares work: should it have run out, whoever records first has still issued the only one.
            return self.known(call) or self.issue(call)

    def admit(self, login: Login, request: Request) -> Call:
        """Count the request against the rate and read its form. Replays that do not count are known by their form."""
        if self.settings.counts_replays:
            self.check_rate(login, request)
            return self.read(login, request)
        call = self.read(login, request)
        if self.known(call) is None:
            self.check_rate(login, request)
        return call

    def check_rate(self, login: Login, request: Request) -> None:
        if self.rate is None:
            return
        scope = self.rate_scope(login, request)
        wait = self.rate.spend(scope, self.clock.now())
        if wait > 0:
            if self.settings.counts_refusals:
                wait = self.rate.punish(scope, self.clock.now())
            raise Refused(429, wait=wait)

    def rate_scope(self, login: Login, request: Request) -> str:
        """Whose requests are counted together. The declared limit is part of the name: another one starts afresh."""
        settings = self.settings
        whose = {"api-key": login.api_key, "user": login.person, "ip": request.address, "global": ""}
        limit = f"{settings.rate_algorithm} {settings.rate_count} {settings.rate_window}"
        return f"rate {limit} {settings.rate_scope} {whose[settings.rate_scope]}"

    def read(self, login: Login, request: Request) -> Call:
        """The call that a request makes; Refused with 400 names every field at fault."""
        fields = []
        if request.channel not in CHANNELS:
            fields.append(missing_channel())
        if len(request.refs) > 1:
            fields.append(("idempotency-ref", "EXACTLY", [1]))
        elif request.refs and not request.refs[0]:
            fields.append(("idempotency-ref", "HAS_TEXT", []))
        elif request.refs and len(request.refs[0]) > self.settings.longest_ref:
            fields.append(("idempotency-ref", "SIZE", [1, self.settings.longest_ref]))
        if fields:
            raise Refused(400, fields=tuple(fields))
        return Call(login, request.channel, request.refs[0] if request.refs else None)

    def key(self, call: Call) -> Key:
        """What makes another call the same operation."""
        return Key(call.login.person, call.channel, call.ref or "")

    def known(self, call: Call) -> str | None:
        """The challenge that this operation was given before, if it is remembered."""
        if call.ref is None:
            return None
        return self.store.challenge_of(self.key(call), self.clock.now() - ns(self.settings.ref_retention))

    def issue(self, call: Call) -> str:
        """Issue a challenge and remember it; Refused with 409 where channel, state or limit do not allow it."""
        self.check_channel(call)
        self.check_state(call)
        self.check_challenges(call)
        return self.record(call, self.new_id(call))

    def check_channel(self, call: Call) -> None:
        if call.channel in call.login.unsupported:
            raise Refused(409, "CHANNEL_NOT_SUPPORTED")
        if call.channel not in call.login.enrolled:
            raise Refused(409, "CHANNEL_NOT_REGISTERED")

    def check_state(self, call: Call) -> None:
        if self.store.is_settled(call.login.token) or self.in_flight(call):
            raise Refused(409, "STATE_INVALID")

    def in_flight(self, call: Call) -> bool:
        """Whether the token has a challenge pending, where that matters."""
        if self.settings.in_flight == "allow":
            return False
        since = self.store.pending_since(call.login.token)
        lasts = self.settings.in_flight_for
        return since is not None and (lasts is None or self.clock.now() < since + ns(lasts))

    def check_challenges(self, call: Call) -> None:
        if self.challenges is not None and self.challenges.spend(self.challenge_scope(call), self.clock.now()) > 0:
            raise Refused(409, "CHALLENGE_LIMIT_EXCEEDED")

    def challenge_scope(self, call: Call) -> str:
        settings = self.settings
        whose = {"user": call.login.person, "programme": call.login.programme}
        limit = f"{settings.challenge_count} {settings.challenge_window}"
        return f"challenges {limit} {settings.challenge_scope} {whose[settings.challenge_scope]}"

    def new_id(self, call: Call) -> str:  # noqa: ARG002  (a fault looks at the call)
        """An id that nobody can guess from others."""
        return str(uuid.uuid4())

    def record(self, call: Call, challenge: str) -> str:
        """Remember the challenge and hand its push over, both or neither: the push is sent from what is recorded."""
        now = self.clock.now()
        self.store.add_challenge(challenge, call.login.token, now)
        if call.ref is not None:
            self.store.keep_ref(self.key(call), challenge, now)
        self.send_push(challenge)
        return challenge

    def send_push(self, challenge: str) -> None:
        """Hand the push over; the simulated provider sends what it finds here."""
        self.store.add_push(challenge)

    def settle(self, challenge_id: str, outcome: str) -> bool | None:
        """Accept or decline; False where the challenge's token is settled otherwise or it expired, None: no such one.

        The same call again is answered alike.
        """
        with self.store.transaction():
            challenge = self.store.challenge(challenge_id)
            if challenge is None:
                return None
            if challenge.outcome != "pending":
                return challenge.outcome == outcome
            lasts = self.settings.in_flight_for
            if self.store.is_settled(challenge.token) or (
                lasts is not None and self.clock.now() >= challenge.at + ns(lasts)
            ):
                return False
            self.store.settle(challenge, outcome)
            return True

    def reset(self) -> None:
        with self.store.transaction():
            self.store.reset()

    def pushes(self) -> int:
        with self.store.transaction():
            return self.store.pushes()
