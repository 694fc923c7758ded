"""Every way to get one or two things wrong: each is refused for the right reason, or served where it is right."""

import pytest

from scenarios.conformance.desk import Desk
from scenarios.conformance.matrix import Row, channels_for_rows, double_rows, draft_of, single_rows
from scenarios.conformance.stage import Stage

SINGLE = single_rows(channels_for_rows())
DOUBLE = double_rows(channels_for_rows())


@pytest.mark.parametrize("row", SINGLE, ids=lambda row: row.id)
def test_one(row: Row, stage: Stage, desk: Desk) -> None:
    stage.check(stage.send(draft_of(row, desk)))


@pytest.mark.parametrize("row", DOUBLE, ids=lambda row: row.id)
def test_two(row: Row, stage: Stage, desk: Desk) -> None:
    stage.check(stage.send(draft_of(row, desk)))
