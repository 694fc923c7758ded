"""What real clients and hostile ones put on the wire: served where HTTP allows it, and never a 5xx."""

import pytest

from scenarios.conformance.desk import Desk
from scenarios.conformance.draft import draft_for
from scenarios.conformance.oddities import ODDITIES
from scenarios.conformance.stage import Stage


@pytest.mark.parametrize("name", ODDITIES)
def test_written(name: str, stage: Stage, desk: Desk) -> None:
    user = desk.next()
    draft = draft_for(user, user.usable[0], stage.ref(name))
    ODDITIES[name](draft)
    stage.check(stage.send(draft))


@pytest.mark.parametrize("name", ODDITIES)
def test_written_without_credentials(name: str, stage: Stage, desk: Desk) -> None:
    user = desk.find(need=0)
    draft = draft_for(user, user.usable[0], stage.ref(name))
    draft.set(stage.spec.key_header, "no-such-key")
    draft.set("Authorization", "Bearer no.such.token")
    ODDITIES[name](draft)
    stage.check(stage.send(draft))
