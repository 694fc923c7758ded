"""Between the challenge and its push: what is sent twice, not at all, or forgotten though it was done."""

import asyncio
import contextlib
from typing import Any

from starlette.types import Receive, Scope

from harness.reference.answers import Refused, Request, Response
from harness.reference.faults.catalogue import fault
from harness.reference.http import App
from harness.reference.people import Login
from harness.reference.service import Call, Service


@fault("replay-sends-push", "a replay is answered from the cache, after the push has gone out again",
       "push-at-most-once")  # fmt: skip
class ReplaySendsPush(Service):
    def known(self, call: Call) -> str | None:
        known = super().known(call)
        if known:
            self.send_push(known)
        return known


@fault("push-sent-twice", "the provider answers late, and the client library tries again", "push-at-most-once")
class PushSentTwice(Service):
    turn = 0

    def send_push(self, challenge: str) -> None:
        super().send_push(challenge)
        self.turn += 1
        if self.turn % 25 == 0:
            super().send_push(challenge)


@fault("push-lost", "the queue of the provider drops what it cannot take", "push-at-most-once")
class PushLost(Service):
    turn = 0

    def send_push(self, challenge: str) -> None:
        self.turn += 1
        if self.turn % 25:
            super().send_push(challenge)


@fault("push-before-checks", "the push is sent first, and stays sent when the challenge is refused",
       "push-at-most-once")  # fmt: skip
class PushBeforeChecks(Service):
    def check_challenges(self, call: Call) -> None:
        self.send_push("unrecorded")
        super().check_challenges(call)

    def record(self, call: Call, challenge: str) -> str:
        self.store.do("DELETE FROM pushes WHERE rowid = (SELECT max(rowid) FROM pushes)")
        return super().record(call, challenge)


@fault("commit-lost", "the push goes out, then the commit fails, and the caller is told to come back",
       "no-server-error", "push-at-most-once")  # fmt: skip
class CommitLost(Service):
    turn = 0

    async def serve(self, login: Login, request: Request) -> str:
        challenge = await super().serve(login, request)
        self.turn += 1
        if self.turn % 100 == 0:
            with self.store.transaction():
                self.store.do("DELETE FROM refs WHERE challenge = ?", challenge)
            raise Refused(503)
        return challenge


@fault("forgotten-when-caller-leaves", "the request is cancelled with its connection, between push and commit",
       "idempotent-after-unknown", "push-at-most-once", "challenge-limit-lower")  # fmt: skip
class ForgottenWhenCallerLeaves(App):
    async def respond(self, scope: Scope, receive: Receive, path: bytes) -> Response | None:
        response = await super().respond(scope, receive, path)
        if response is not None and response.status == 200 and await _has_left(receive):
            challenge = response.body.decode().split('"')[3]
            with self.service.store.transaction():
                self.service.store.do("DELETE FROM refs WHERE challenge = ?", challenge)
        return response


async def _has_left(receive: Receive) -> bool:
    """Whether the caller goes away while the answer is being made ready."""
    message: Any = {"type": ""}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.005):
            while message["type"] != "http.disconnect":
                message = await receive()
    return bool(message["type"] == "http.disconnect")


@fault("retry-storm", "a proxy in front sends again what took it too long, without the ref",
       "push-at-most-once", "challenge-limit-lower")  # fmt: skip
class RetryStorm(Service):
    turn = 0

    async def push(self, request: Request) -> Response:
        self.turn += 1
        if self.turn % 20 == 0:
            await super().push(request._replace(refs=[]))
        return await super().push(request)


@fault("dropped-under-load", "requests beyond eight at a time are refused, where no overload is declared",
       "no-server-error")  # fmt: skip
class DroppedUnderLoad(Service):
    busy = 0

    async def serve(self, login: Login, request: Request) -> str:
        if self.busy >= 4:
            raise Refused(503)
        self.busy += 1
        try:
            await asyncio.sleep(0.001)
            return await super().serve(login, request)
        finally:
            self.busy -= 1
