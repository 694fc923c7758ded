"""Restarts: what a process forgets that ends and is started anew."""

from pathlib import Path

from harness.reference.faults.catalogue import fault
from harness.reference.people import People
from harness.reference.service import Service
from harness.reference.settings import Settings


@fault("refs-lost-on-restart", "a cache of refs that each process empties as it starts", "ref-retention",
       "idempotent-replay")  # fmt: skip
class RefsLostOnRestart(Service):
    def __init__(self, settings: Settings, people: People, database: Path) -> None:
        super().__init__(settings, people, database)
        with self.store.transaction():
            self.store.forget_refs(before=self.clock.now())
