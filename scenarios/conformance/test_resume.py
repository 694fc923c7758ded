"""Refs of an earlier run are asked for again, hours later: whoever remembers them answers with the same challenge."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from harness.history.earlier import write_earlier
from harness.resume import RESUMED
from harness.rules.told import ago
from scenarios.conformance import ENV_RUN
from scenarios.conformance.draft import draft_for
from scenarios.conformance.stage import CaseFailed, Reply, Stage

LONGEST_WAIT_S: Final = 60.0
# Somebody may have settled the token meanwhile, or changed what its user is enrolled on.
MEANWHILE: Final = ("200", "400", "403", "409:STATE_INVALID", "409:CHANNEL_NOT_REGISTERED", "409:CHANNEL_NOT_SUPPORTED")


def _left() -> list[dict[str, Any]]:
    try:
        left: list[dict[str, Any]] = json.loads((Path(os.environ[ENV_RUN]) / RESUMED).read_text())["refs"]
    except (KeyError, OSError):
        return []
    return left


@pytest.fixture(scope="module")
def answered(stage: Stage) -> Iterator[list[dict[str, Any]]]:
    """What the earlier run was answered, as far as it can be compared; a rate limit is given time to forget this."""
    comparable: list[dict[str, Any]] = []
    yield comparable
    write_earlier(stage.run / "history", comparable)
    if stage.control.reset():
        stage.ledger.forget(time.monotonic_ns())
    elif stage.profile.rate is not None:
        time.sleep(min(stage.profile.rate.window_ns / 1e9 * 1.05, LONGEST_WAIT_S))


@pytest.mark.parametrize("left", _left(), ids=lambda left: f"user-{left['user']}-{left['channel']}-{left['ref']}")
def test_ref_of_an_earlier_run(left: dict[str, Any], stage: Stage, answered: list[dict[str, Any]]) -> None:
    user = stage.profile.pool.users[left["user"]]
    if user.index in stage.expired or left["channel"] not in user.usable:
        pytest.skip("the token is no longer accepted, or its user no longer enrolled")
    stage.ledger.known[(user.person, left["channel"], left["ref"])] = left["challenge_id"]
    draft = draft_for(user, left["channel"], left["ref"])
    again = stage.send(draft, allowed=MEANWHILE, operation="again")
    if again.status != 429 and not again.limited:
        stage.check(again)
    if again.status == 429 or (300 <= again.status < 500 and not again.limited and not _served(stage, again)):
        pytest.skip("settled, logged out or shut out since: its user is refused other calls too")
    answered.append(left)
    if again.challenge != left["challenge_id"]:
        age = ago(time.time_ns() - left["received"])
        told = f"challenge {left['challenge_id'][:40]} then, and another answer {age} later"
        raise CaseFailed(stage.failure(again, told))


def _served(stage: Stage, again: Reply) -> bool:
    """Whether a call of its own is served, so that it was not the token's state that refused the repeated one."""
    if again.user is None or stage.profile.policy.in_flight == "reject":
        return False
    return stage.send(draft_for(again.user, again.draft.channel)).status == 200
