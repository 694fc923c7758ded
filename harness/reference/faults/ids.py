"""Challenge ids that are not one challenge's alone, or that can be guessed."""

# ruff: noqa: ARG002  (what a fault overrides looks at more than the fault does)

import hashlib
import itertools
import random
import time

from harness.reference.faults.catalogue import fault
from harness.reference.limits import ns
from harness.reference.service import Call, Service


class _OtherIds(Service):
    """Ids made another way; the store takes one that was there before."""

    def record(self, call: Call, challenge: str) -> str:
        self.store.do("DELETE FROM challenges WHERE id = ?", challenge)
        return super().record(call, challenge)


@fault("ids-by-worker", "each process numbers its challenges from one", "challenge-id-unique")
class IdsByWorker(_OtherIds):
    numbers = itertools.count(1)

    def new_id(self, call: Call) -> str:
        return f"challenge-{next(self.numbers)}"


@fault("ids-by-time", "the id is the time in milliseconds", "challenge-id-unique")
class IdsByTime(_OtherIds):
    def new_id(self, call: Call) -> str:
        return f"{time.time_ns() // 1_000_000}"


@fault("ids-too-short", "sixteen random bits", "challenge-id-unique")
class IdsTooShort(_OtherIds):
    def new_id(self, call: Call) -> str:
        return f"{random.getrandbits(16):04x}"


@fault("ids-by-ref", "the id is a hash of the ref, the same for all users who choose the same one",
       "challenge-id-unique", "idempotent-scope")  # fmt: skip
class IdsByRef(_OtherIds):
    def new_id(self, call: Call) -> str:
        return hashlib.sha256(call.ref.encode()).hexdigest() if call.ref else super().new_id(call)


@fault("ids-by-user", "the id is a hash of user and minute", "challenge-id-unique", "no-ref-no-replay", "ref-exact")
class IdsByUser(_OtherIds):
    def new_id(self, call: Call) -> str:
        return hashlib.sha256(f"{call.login.person} {self.clock.now() // ns(60)}".encode()).hexdigest()


@fault("ids-recycled", "an id is free again when its challenge is a few seconds old", "challenge-id-unique")
class IdsRecycled(_OtherIds):
    turn = 0

    def new_id(self, call: Call) -> str:
        self.turn += 1
        row = self.store.row("SELECT id FROM challenges WHERE at < ? LIMIT 1", self.clock.now() - ns(2))
        return row[0] if row and self.turn % 10 == 0 else super().new_id(call)


@fault("ids-sequential", "a database's sequence: whoever has one knows the next", "challenge-id-unguessable")
class IdsSequential(Service):
    def new_id(self, call: Call) -> str:
        number = (self.store.fact("challenges so far") or 0) + 1
        self.store.keep_fact("challenges so far", number)
        return f"challenge-{number:09d}"
