"""The summary: true to the raw records, of the published form, and bounded whatever a target says."""

import json
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from harness.history import read_history
from harness.run_folder import open_run
from reports import summary as module
from reports.frames import POINTS
from reports.summary import build_summary
from tests.reports.conftest import Made
from tests.reports.runs import HOSTILE, exchange, make_profile, make_run, record, verdicts_passing

SCHEMA = json.loads((Path(module.__file__).parent / "summary.schema.json").read_text())


def test_every_summary_has_the_published_form(made: Made) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    told = json.loads(json.dumps(made.summary, allow_nan=False))
    assert [f"{list(e.absolute_path)}: {e.message[:200]}" for e in Draft202012Validator(SCHEMA).iter_errors(told)] == []


def test_percentiles_are_numpys_on_the_raw_records(runs: dict[str, Made]) -> None:
    made = runs["passing"]
    frame = read_history(made.path / "history").pushes
    for row in made.summary["latency"]:
        _, _, scenario = row["group"].partition(": ")
        part = frame[frame["scenario"] == scenario] if scenario else frame
        since = "intended" if row["measure"] == "intended" else "sent"
        raw = (part["received"] - part[since]).to_numpy() / 1e6
        assert row["count"] == len(raw)
        assert [row[name] for name in POINTS] == pytest.approx(np.percentile(raw, list(POINTS.values())), abs=1e-6)
        assert row["max"] == pytest.approx(raw.max(), abs=1e-6)


def test_rates_add_up_to_the_exchanges(runs: dict[str, Made]) -> None:
    told = runs["passing"].summary
    steps = told["over_time"]
    width = steps[1]["at_s"] - steps[0]["at_s"]
    assert round(sum(row["sent"] for row in steps) * width) == told["history"]["pushes"] == 2400
    assert round(sum(row["due"] for row in steps) * width) == 2400
    assert sum(cell["count"] for cell in told["heat"]["cells"]) == 2400
    assert sum(row["count"] for row in told["statuses"]) == 2400


def test_says_how_a_run_ended(runs: dict[str, Made]) -> None:
    told = {kind: runs[kind].summary["outcome"] for kind in runs}
    assert {kind: (one["exit_code"], one["title"], one["partial"]) for kind, one in told.items()} == {
        "passing": (0, "Passed", False),
        "failing": (1, "Failed", False),
        "partial": (130, "Interrupted", True),
        "empty": (4, "Empty run", False),
        "hostile": (1, "Failed", False),
    }
    assert told["failing"]["sentence"] == (
        "The endpoint broke 2 rules: idempotent-concurrent, rate-limit-upper. It does not follow the rule "
        "unauthorised-challenge, which is good practice. Missed: error_rate."
    )
    assert told["passing"]["sentence"] == (
        "The endpoint kept 10 of 12 rules over 2,400 exchanges; no rule of the contract was broken."
    )
    assert told["empty"]["sentence"] == "The history holds no exchange, so nothing was shown."


def test_a_partial_run_names_what_is_missing(runs: dict[str, Made]) -> None:
    assert "ends early" in runs["partial"].summary["history"]["gaps"][0]


def test_texts_are_printable_and_cut(runs: dict[str, Made]) -> None:
    text = json.dumps(runs["hostile"].summary, ensure_ascii=False)
    assert all(c.isprintable() for c in text)
    assert len(text) < 200_000


def test_a_million_texts_do_not_blow_it_up(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "many", 60_000)
    told = build_summary(read_history(folder / "history"), verdicts_passing(), open_run(folder).facts, [], {})
    assert len(json.dumps(told)) < 150_000
    assert len(told["errors"]) == 25
    assert told["errors"][-1] == {"kind": "form", "text": "59,976 other kinds", "count": 59_976}


def make_run_folder(path: Path, count: int) -> Path:
    from harness.run_folder import create

    folder = create(path, "many", make_profile(), seed=1, command="stepup run")
    record(folder, [exchange(n, 1, status=500, body_fault=f"fault {n}", ref=f"{n}") for n in range(count)])
    return path


def test_a_run_that_was_not_judged_says_so(tmp_path: Path) -> None:
    make_run(tmp_path / "run", "passing", count=10)
    folder = open_run(tmp_path / "run")
    told = build_summary(read_history(folder.history), [], folder.facts, [], {})
    assert told["outcome"]["sentence"] == "10 exchanges were recorded and not judged: `stepup judge` decides the rules."


def test_hostile_texts_are_all_there() -> None:
    assert max(map(len, HOSTILE)) == 1_000_000
