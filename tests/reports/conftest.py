"""The five kinds of run, made once: their folders and their summaries."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from reports.summary import Summary
from tests.reports.runs import make_run

KINDS = ("passing", "failing", "partial", "empty", "hostile")


@dataclass(frozen=True)
class Made:
    path: Path
    summary: Summary


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    folder = tmp_path_factory.mktemp("runs")
    return {kind: Made(folder / kind, make_run(folder / kind, kind)) for kind in KINDS}


@pytest.fixture(params=KINDS)
def made(request: pytest.FixtureRequest, runs: dict[str, Made]) -> Made:
    return runs[request.param]
