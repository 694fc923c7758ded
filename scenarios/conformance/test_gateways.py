"""What stands before a service and remembers, rewrites or does things of its own: none of it lets anybody in."""

import pytest

from scenarios.conformance.desk import Desk
from scenarios.conformance.dimensions import VALUES, Setting, Value
from scenarios.conformance.draft import AUTHORIZATION, SPEC, draft_for
from scenarios.conformance.stage import Stage
from scenarios.conformance.test_refs import issue, same

BAD = [value for dimension in ("key", "token") for value in VALUES[dimension] if value.role == "plain"]
WITHOUT = {"key": (SPEC.key_header,), "token": (AUTHORIZATION,), "both": (AUTHORIZATION, SPEC.key_header)}


@pytest.mark.parametrize("value", BAD, ids=lambda value: value.id)
def test_known_ref_lets_nobody_in(value: Value, stage: Stage, desk: Desk) -> None:
    """A call that was answered before is answered again to those alone who may ask, on its own connection too."""
    user = desk.find(need=2)
    channel, ref = user.usable[0], stage.ref(value.id)
    first = issue(stage, user, channel, ref)
    bad = draft_for(user, channel, ref)
    value.put(bad, Setting(desk, user, channel, ref))
    stage.check(stage.send(bad))
    same(stage, first, issue(stage, user, channel, ref))


@pytest.mark.parametrize("left_out", WITHOUT)
def test_connection_is_nobody(left_out: str, stage: Stage, desk: Desk) -> None:
    """Who was let in on a connection does not lend their credentials to the next request on it."""
    user = desk.find(need=2)
    issue(stage, user, user.usable[0], stage.ref("first"))
    draft = draft_for(user, user.usable[0], stage.ref("second"))
    for name in WITHOUT[left_out]:
        draft.set(name)
    stage.check(stage.send(draft))


@pytest.mark.parametrize("role", ["impersonator", "logged_out"])
def test_who_may_not_ask_is_told_of_no_enrolment(role: str, stage: Stage, desk: Desk) -> None:
    """Of every such user and on every channel the refusal is the one for who they are."""
    found = [user for user in stage.profile.pool.users if user.state == role]
    if not found:
        desk.find(role)  # type: ignore[arg-type]  # which says what the pool lacks
    for user in found[:20]:
        for channel in stage.spec.channels:
            stage.check(stage.send(draft_for(user, channel, stage.ref(f"{user.index}-{channel}"))))
