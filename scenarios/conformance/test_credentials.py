"""Credentials come first: who lacks them is told nothing else, and changes nothing."""

import time

import pytest

from scenarios.conformance.desk import Desk
from scenarios.conformance.dimensions import VALUES, Setting, Value
from scenarios.conformance.draft import draft_for
from scenarios.conformance.likeness import stable_parts
from scenarios.conformance.stage import CaseFailed, Stage

FAULTS = [value for dimension in ("key", "token") for value in VALUES[dimension] if value.role == "plain"]


LONGEST_LATE_S = 5.0


@pytest.fixture(scope="module")
def pushes_counted(stage: Stage) -> None:
    """Wait until earlier challenges have surely been pushed, where that is soon: then each further push shows."""
    late_s = (stage.profile.target.late_effect_ns or 0) / 1e9
    if stage.profile.control.pushes is not None and 0 < late_s <= LONGEST_LATE_S:
        time.sleep(late_s * 1.02 + 0.05)


@pytest.mark.usefixtures("pushes_counted")
@pytest.mark.parametrize("value", FAULTS, ids=lambda value: value.id)
def test_refused_changes_nothing(value: Value, stage: Stage, desk: Desk) -> None:
    """The ref of a refused request is free afterwards, and no push was sent for it."""
    user = desk.find(need=2)
    channel, ref = user.usable[0], stage.ref(value.id)
    draft = draft_for(user, channel, ref)
    value.put(draft, Setting(desk, user, channel, ref))
    before = stage.control.pushes()
    refused = stage.check(stage.send(draft))
    after = stage.control.pushes()
    if 200 <= refused.status < 300:
        pytest.skip("this spelling of good credentials was served")
    if before is not None and after is not None and after > before and stage.profile.target.exclusive:
        raise CaseFailed(stage.failure(refused, f"refused, but {after - before} push was sent"))
    stage.check(stage.send(draft_for(user, channel, ref)))


UNKNOWN = ("unknown", "mangled", "logged-out")


def test_unknown_tokens_are_told_apart_by_nothing(stage: Stage, desk: Desk) -> None:
    """A token that nobody has and one that was logged out get the same answer: who is or was a user is not told."""
    answers = {}
    for value in (value for value in VALUES["token"] if value.name in UNKNOWN):
        user = desk.find(value.role, need=0)
        twice = []
        for number in range(2):
            draft = draft_for(user, (user.channels or stage.spec.channels)[0], stage.ref(f"{value.id}-{number}"))
            value.put(draft, Setting(desk, user, draft.channel, stage.ref(value.id)))
            twice.append(stage.check(stage.send(draft)))
        answers[value.name] = (stable_parts(*(reply.answer for reply in twice)), twice[0])
    first, *others = answers.items()
    for name, (parts, reply) in others:
        if parts != first[1][0]:
            raise CaseFailed(stage.failure(reply, f"a token that is {name} is answered otherwise than {first[0]}"))


def test_foreign_users_are_told_apart_by_nothing(stage: Stage, desk: Desk) -> None:
    """With the key of another programme, nothing of a user's enrolment or state shows in the 403."""
    seen = None
    for role in ("plain", "lacking", "pending", "accepted", "limited"):
        for channel in stage.spec.channels:
            try:
                user = desk.find(role, channel)
            except pytest.skip.Exception:
                continue
            twice = []
            for number in range(2):
                draft = draft_for(user, channel, stage.ref(f"{role}-{channel}-{number}"))
                draft.set(stage.spec.key_header, desk.key_of_other_programme(user))
                twice.append(stage.check(stage.send(draft)))
            parts = stable_parts(*(reply.answer for reply in twice))
            if seen is not None and parts != seen:
                raise CaseFailed(stage.failure(twice[0], f"a user who is {role} on {channel} can be told from others"))
            seen = parts
