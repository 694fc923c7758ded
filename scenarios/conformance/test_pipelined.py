"""Several requests in one write: each is answered in its turn with its own answer, or the connection ends before."""

import pytest

from scenarios.conformance.desk import Desk
from scenarios.conformance.draft import AUTHORIZATION, draft_for
from scenarios.conformance.stage import CaseFailed, Reply, Stage
from scenarios.conformance.test_refs import other, same

ROUNDS = 3


@pytest.mark.parametrize("programme", ["same", "other"])
def test_two_users_in_one_write(programme: str, stage: Stage, desk: Desk) -> None:
    """Between them stands one without good credentials; who was given whose challenge shows when they ask again."""
    for number in range(ROUNDS):
        first = desk.find()
        channel = first.usable[0]
        second = desk.another(first, channel, same_programme=programme == "same")
        drafts = [draft_for(user, channel, stage.ref(f"{number}-{user.index}")) for user in (first, second)]
        nobody = draft_for(second, channel, stage.ref(f"{number}-nobody"))
        nobody.set(AUTHORIZATION, "Bearer no.such.token")
        replies = stage.together([drafts[0], nobody, drafts[1]])
        _in_order(stage, replies)
        served = [(draft, reply) for draft, reply in zip(drafts, replies[::2], strict=True) if reply.status]
        if len(served) == 2:
            other(stage, served[0][1], served[1][1], "two users on one connection")
        for draft, reply in served:
            same(stage, reply, stage.check(stage.send(draft)))


def test_same_call_twice_in_one_write(stage: Stage, desk: Desk) -> None:
    """The second is a repeated call like any other."""
    if stage.profile.policy.concurrent_duplicate == "conflict":
        pytest.skip("a duplicate may be refused while the first is being worked on")
    user = desk.find()
    draft = draft_for(user, user.usable[0], stage.ref("twice"))
    replies = stage.together([draft, draft])
    _in_order(stage, replies)
    answered: list[Reply] = [reply for reply in replies if reply.status]
    for reply in answered[1:]:
        same(stage, answered[0], reply)
    same(stage, answered[0], stage.check(stage.send(draft)))


def _in_order(stage: Stage, replies: list[Reply]) -> None:
    """The first has its answer; a target that stops after any of them has to leave the rest unanswered."""
    for place, reply in enumerate(replies):
        if reply.status or not place:
            stage.check(reply)
        elif reply.answer.error not in ("closed", "timeout"):
            raise CaseFailed(stage.failure(reply, f"no HTTP answer in its turn ({reply.answer.error})"))
