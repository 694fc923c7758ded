"""Credentials come first: who lacks them is told nothing else, and changes nothing."""

import pytest

from scenarios.conformance.desk import Desk
from scenarios.conformance.dimensions import VALUES, Setting
from scenarios.conformance.draft import draft_for
from scenarios.conformance.likeness import stable_parts
from scenarios.conformance.stage import CaseFailed, Stage

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
