"""The lean history gives the same reports as one table of everything, from shards, from their merge, from both."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.gates import evaluate_gates
from harness.history import History, compact, read_history
from harness.run_folder import open_run
from reports.lean import open_history, pushes_of
from reports.summary import build_summary
from tests.reports.runs import exchange, make_run, record, traffic, verdicts_passing

GATES = {"latency_p99": 9e6, "error_rate": 0.1, "lateness_max": 1e6}


@pytest.fixture(params=["shards", "merged", "both"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "run"
    make_run(path, "passing", count=700)
    run = open_run(path)
    lost = [exchange(40.0 * n, 3, status=0, error=f"error {n}", ref="ü" * (n % 30)) for n in range(60)]
    if request.param == "both":
        compact(run.history)
    record(run, [*traffic(90, seed=2), *lost], worker="w1")
    record(run, [exchange(1000, 4, operation="reset", status=204), *traffic(30, seed=3)], "conformance")
    if request.param == "merged":
        compact(run.history)
    return path


def told(history: History, path: Path) -> dict[str, Any]:
    gates = evaluate_gates(GATES, history)
    summary = build_summary(history, verdicts_passing(), open_run(path).facts, gates, {})
    plain: dict[str, Any] = json.loads(json.dumps(summary))
    return plain


def test_every_figure_is_that_of_the_whole_table(folder: Path) -> None:
    lean, whole = (told(read(folder / "history"), folder) for read in (open_history, read_history))
    for name, value in whole.items():
        assert lean[name] == value, name


def test_columns_and_rows_are_those_of_the_whole_table(folder: Path) -> None:
    lean, whole = open_history(folder / "history"), read_history(folder / "history")
    for name in whole.frame.columns:
        ours, theirs = pushes_of(lean, [name])[name], pushes_of(whole, [name])[name]
        assert ours.astype(object).fillna("").tolist() == theirs.astype(object).fillna("").tolist(), name
    rows = np.array([700, 3, 55, 56])
    for names in (["sent", "status", "worker"], ["ref", "sent", "error"]):
        mine, all_of_it = lean.at(rows, names), whole.at(rows, names)
        assert mine.astype(object).fillna("").to_dict() == all_of_it.astype(object).fillna("").to_dict()
    assert (lean.size, len(lean.control)) == (whole.size, len(whole.control))
