"""What the tests of the service share."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from harness.reference.settings import Settings
from tests.reference.desk import Desk, Loop

MakeDesk = Callable[..., Desk]


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def desk(loop: Loop, tmp_path: Path) -> Iterator[MakeDesk]:
    """Makes services: `desk(rate_count=3)`; each has a folder of its own and ends with the test."""
    with ExitStack() as stack:

        def make(fault: str | None = None, **settings: object) -> Desk:
            folder = tmp_path / str(len(list(tmp_path.iterdir())))
            folder.mkdir()
            made: AbstractContextManager[Desk] = loop.desk(folder, Settings(**settings), fault)  # type: ignore[arg-type]
            return stack.enter_context(made)

        yield make
