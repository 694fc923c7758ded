"""The oldest refs of the run are asked for again once thousands of requests have come after them."""

import pytest

from scenarios.conformance.desk import Desk
from scenarios.conformance.draft import draft_for
from scenarios.conformance.stage import CaseFailed, Stage

MOST = 60


def test_old_refs_are_remembered(stage: Stage, desk: Desk) -> None:
    """Neither age nor number makes a target forget a ref within a day."""
    known = {user.person: user for user in desk.users if desk.serves(user)}
    asked = 0
    for (person, channel, ref), challenge in list(stage.ledger.known.items())[: 2 * MOST]:
        user = known.get(person)
        if user is None or channel not in user.usable or asked >= MOST:
            continue
        asked += 1
        again = stage.check(stage.send(draft_for(user, channel, ref)))
        if again.challenge != challenge:
            raise CaseFailed(stage.failure(again, f"challenge {challenge[:40]} then, and another one now"))
    if not asked:
        pytest.skip("no ref is left that can be asked for again")
