"""What a load found out, and the phases it is told from, in every form that people read."""

import re

from reports import charts, markdown, sections_load, tables, text
from tests.reports.conftest import Made

FOUND = "capacity: 300 requests a second were held, 450 were not: 2 % of the answers were errors"


def test_every_form_tells_what_was_found(runs: dict[str, Made]) -> None:
    summary = runs["passing"].summary
    page = sections_load.load(summary)
    assert "<dt>Capacity</dt><dd>300 requests a second were held, 450 were not: 2 % of the answers were errors" in page
    assert f"found: {FOUND}" in text.render(summary).splitlines()
    lines = markdown.render(summary).splitlines()
    at = lines.index("## What the load found")
    assert lines[at + 2 : at + 8] == [
        f"- {FOUND}",
        "",
        "| phase | due /s | answered /s | p50 ms | p99 ms | errors |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| step 1 | 200 | 180 | 2.1 | 14 | 0 |",
        "| step 2 | 450 | 405 | 2.1 | 90 | 0 |",
    ]


def test_phases_are_a_table_in_order_of_time_and_a_picture_in_order_of_rate(runs: dict[str, Made]) -> None:
    phases = runs["passing"].summary["load"]["phases"]
    assert re.findall(r"<td>(step \d)</td>", sections_load.load(runs["passing"].summary)) == [
        "step 1", "step 2", "step 3",
    ]  # fmt: skip
    for picture in (charts.phase_rates(phases), charts.phase_latencies(phases)):
        assert re.findall(r">(\d+/s)<", picture) == ["200/s", "300/s", "450/s"]


def test_a_phase_says_nothing_that_its_stage_did_not_say(runs: dict[str, Made]) -> None:
    unsaid = dict.fromkeys(
        ("seconds", "due_per_s", "sent_per_s", "answered_per_s", "p50_ms", "p99_ms", "max_ms", "errors")
    )
    assert runs["hostile"].summary["load"]["phases"][-1] == {"phase": "\\x1b[2J<b>", **unsaid}
    assert tables.tables(runs["hostile"].summary)["phases"][-1] == {"phase": "\\x1b[2J<b>", **unsaid}


def test_phases_of_other_names_stay_in_order_of_time(runs: dict[str, Made]) -> None:
    step = runs["passing"].summary["load"]["phases"][0]
    phases = [{**step, "phase": name, "due_per_s": rate} for name, rate in (("spike", 800.0), ("after", 200.0))]
    assert re.findall(r">(spike|after)<", charts.phase_rates(phases)) == ["spike", "after"]
    assert charts.phase_rates(phases[:1]) == charts.phase_latencies(phases[:1]) == ""


def test_without_a_load_nothing_is_said_of_one(runs: dict[str, Made]) -> None:
    summary = runs["empty"].summary
    assert sections_load.load(summary) == ""
    assert "What the load found" not in markdown.render(summary)
