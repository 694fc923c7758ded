"""The last refs of a run, which a later one can ask for again: `stepup conformance --resume DIR`."""

import pytest

from scenarios.conformance.desk import Desk
from scenarios.conformance.stage import Stage
from scenarios.conformance.test_refs import issue

LEFT = 40


def test_left_for_a_later_run(stage: Stage, desk: Desk) -> None:
    desk.reset()
    room = min(LEFT, desk.room())
    if not room:
        pytest.skip("the pool leaves no room for refs that a later run can ask for")
    for number in range(room):
        user = desk.find()
        issue(stage, user, user.usable[number % len(user.usable)], stage.ref(f"left-{number}"))
