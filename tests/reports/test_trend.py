"""The trend over many runs, from folders of every kind."""

import json
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.run_folder import write_json
from reports import trend
from reports.commands import show_history
from tests.reports.conftest import Made


@pytest.fixture(scope="module")
def folder(runs: dict[str, Made], tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("trend")
    for day, kind in enumerate(("passing", "failing", "partial", "empty"), 1):
        told = json.loads(json.dumps(runs[kind].summary))
        told["run"]["started"] = f"2026-01-{10 - day:02}T10:00:00+00:00"
        (where / kind).mkdir()
        write_json(where / kind / "summary.json", told)
    (where / "old").mkdir()
    write_json(where / "old" / "summary.json", {"version": 0})
    (where / "broken").mkdir()
    (where / "broken" / "summary.json").write_text('{"version": 1, "out')
    (where / "latest").symlink_to("passing")
    return where


def test_runs_come_oldest_first_and_what_cannot_be_read_is_named(folder: Path) -> None:
    rows, notes = trend.read_trend(folder)
    assert [(row["folder"], row["title"]) for row in rows] == [
        ("empty", "Empty run"),
        ("partial", "Interrupted"),
        ("failing", "Failed"),
        ("passing", "Passed"),
    ]
    assert rows[2]["broken"] == ["idempotent-concurrent", "rate-limit-upper", "unauthorised-challenge"]
    assert [note.split(":")[0] for note in notes] == ["broken", "old"]
    assert "its summary has version 0" in notes[1]


def test_every_form_is_written(folder: Path, tmp_path: Path) -> None:
    lines = show_history(folder, html=tmp_path / "trend.html", markdown=tmp_path / "trend.md")
    assert len(lines) == 6
    assert lines[3].startswith("2026-01-09 10:00:00 UTC passing")
    page = (tmp_path / "trend.html").read_text()
    assert "<h1>4 runs</h1>" in page
    assert page.count('<circle class="dot') == 6
    behind = page.partition("Table: Latency from run to run")[2].partition("</table>")[0]
    assert behind.count("<tr>") == 5
    assert '<td>2026-01-06 10:00:00 UTC</td><td class="n">-</td>' in behind
    assert (tmp_path / "trend.md").read_text().count("\n|") == 6


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="holds no run"):
        trend.read_trend(tmp_path)
    with pytest.raises(HarnessError, match="no such folder"):
        trend.read_trend(tmp_path / "none")
