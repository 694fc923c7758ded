"""Random walks of one token through calls, repeats, channels and settled challenges, each step held to its model."""

from contextlib import suppress
from typing import Any, Final

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from harness.pool import User
from harness.spec import load_spec
from scenarios.conformance.desk import Desk
from scenarios.conformance.draft import draft_for
from scenarios.conformance.stage import CaseFailed, Reply, Stage

WALKS: Final = 6
STEPS: Final = 12
CHANNELS: Final = st.sampled_from(load_spec().channels)
REFS: Final = st.integers(0, 2)


def walk_of(stage: Stage, desk: Desk) -> type[RuleBasedStateMachine]:
    """A state machine whose model is the ledger that all scenarios keep."""

    class Walk(RuleBasedStateMachine):
        walks = 0

        def __init__(self) -> None:
            super().__init__()
            stage.sent_in_case = 0
            type(self).walks += 1
            self.name = f"walk-{type(self).walks}"
            self.user: User = desk.find()
            self.issued: dict[tuple[str, int], Reply] = {}

        @rule(channel=CHANNELS, ref=REFS)
        def call(self, channel: str, ref: int) -> None:
            reply = self._send(channel, stage.ref(f"{self.name}-{ref}"))
            first = self.issued.setdefault((channel, ref), reply) if reply.challenge else None
            if first is not None and first.challenge != reply.challenge:
                raise CaseFailed(stage.failure(reply, "the same call again was given another challenge"))

        @rule(channel=CHANNELS)
        def call_without_ref(self, channel: str) -> None:
            self._send(channel, None)

        @precondition(lambda self: bool(self.issued and stage.profile.control.accept))
        @rule(data=st.data())
        def accept(self, data: st.DataObject) -> None:
            self._settle(data, "accept")

        @precondition(lambda self: bool(self.issued and stage.profile.control.decline))
        @rule(data=st.data())
        def decline(self, data: st.DataObject) -> None:
            self._settle(data, "decline")

        def _settle(self, data: st.DataObject, how: Any) -> None:
            issued = self.issued[data.draw(st.sampled_from(sorted(self.issued)))]
            with suppress(pytest.skip.Exception):  # refused, as for a token that is settled: the ledger has noted it
                desk.settled(issued, how)

        def _send(self, channel: str, ref: str | None) -> Reply:
            reply = stage.send(draft_for(self.user, channel, ref))
            if reply.used_before:
                self.user = desk.find()
                return self._send(channel, ref)
            problem = "" if reply.limited else stage.problem(reply)
            if problem:
                raise CaseFailed(stage.failure(reply, problem))
            return reply

    return Walk


def test_walks(stage: Stage, desk: Desk) -> None:
    machine = hypothesis.seed(stage.seed)(walk_of(stage, desk))
    checks = list(hypothesis.HealthCheck)
    phases = [hypothesis.Phase.generate]  # a target does not go back to where a walk began, so there is no shrinking
    settings = hypothesis.settings(
        max_examples=WALKS, stateful_step_count=STEPS, deadline=None, database=None, suppress_health_check=checks,
        phases=phases,
    )  # fmt: skip
    run_state_machine_as_test(machine, settings=settings)
