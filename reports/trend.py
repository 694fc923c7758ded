"""The trend over many runs: how each ended, its latency, errors and broken rules, from their summaries alone."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from harness.errors import HarnessError
from reports.escape import as_html, as_markdown, visible
from reports.markdown import table as markdown_table
from reports.page import page
from reports.parts import chart, day, number, section, table
from reports.svg import Chart, decades, legend, x_scale, y_scale

Rows = list[dict[str, Any]]
VERSION: Final = 1
TONES: Final = {0: "good", 1: "bad"}
POINTS: Final = ("p50", "p99")
HEAD: Final = ("started", "run", "outcome", "exchanges", "p50 ms", "p99 ms", "errors", "broken rules")


def read_trend(folder: Path) -> tuple[Rows, list[str]]:
    """The runs below `folder`, oldest first, and a note for each that cannot be read; HarnessError where none can."""
    if not folder.is_dir():
        raise HarnessError(f"{folder}: no such folder", hint="Name the folder that holds run folders, such as runs.")
    rows, notes = [], []
    for path in sorted(folder.glob("*/summary.json")):
        if path.parent.is_symlink():
            continue  # runs/latest is one of the others
        try:
            rows.append(_row(path, json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
            notes.append(_left_out(path.parent, error))
    if not rows:
        raise HarnessError(
            f"{folder}: holds no run with a summary that can be read",
            hint="Name the folder that holds run folders, such as runs; make a summary anew with: stepup report DIR",
        )
    return sorted(rows, key=lambda row: str(row["started"])), notes


def _left_out(folder: Path, error: Exception) -> str:
    why = f"its summary lacks {error}" if isinstance(error, KeyError) else f"its summary cannot be read: {error}"
    return visible(f"{folder.name}: left out: {why}; make it anew: stepup report {folder}", 300)


def _row(path: Path, summary: dict[str, Any]) -> dict[str, Any]:
    if summary["version"] != VERSION:
        raise ValueError(f"its summary has version {summary['version']}, but this harness reads {VERSION}")
    outcome, history = summary["outcome"], summary["history"]
    rows = [one for one in summary["latency"] if one["measure"] == "intended"]
    latency = next((one for one in rows if one["group"] == "load"), rows[0] if rows else {})
    return {
        "folder": visible(path.parent.name),
        "started": summary["run"]["started"],
        "title": outcome["title"],
        "exit_code": outcome["exit_code"],
        "exchanges": history["exchanges"],
        "p50": latency.get("p50"),
        "p99": latency.get("p99"),
        "errors": history["lost"] / history["pushes"] if history["pushes"] else None,
        "broken": [rule["rule"] for rule in summary["rules"] if rule["status"] == "fail"],
    }


def text_lines(rows: Rows) -> list[str]:
    """A line for each run, for a terminal."""
    return [
        f"{day(row['started']):<23} {row['folder']:<36} {row['title']:<13} {row['exchanges']:>10,}  "
        f"p50 {number(row['p50'], 2):>9} ms  p99 {number(row['p99'], 2):>9} ms  {', '.join(row['broken'])}".rstrip()
        for row in rows
    ]


def markdown(rows: Rows) -> str:
    """The runs as a Markdown table."""
    cells = [[as_markdown(cell, 300) for cell in _cells(row)] for row in rows]
    return "\n".join(["# Runs", "", *markdown_table(list(HEAD), cells, "lllrrrrl")]) + "\n"


def _cells(row: dict[str, Any]) -> list[str]:
    errors = "-" if row["errors"] is None else f"{100 * row['errors']:.3f} %"
    figures = [number(row["p50"], 3), number(row["p99"], 3), errors]
    return [
        day(row["started"]),
        row["folder"],
        row["title"],
        number(row["exchanges"]),
        *figures,
        ", ".join(row["broken"]),
    ]


def html(rows: Rows, notes: list[str]) -> str:
    """The trend as one HTML file: latency from run to run, and which rules were broken in which run."""
    last = rows[-1]
    head = (
        '<header><p class="brand">Step-up harness <span>trend</span></p>'
        f'<div class="verdict {TONES.get(last["exit_code"], "unsure")}"><h1>{len(rows)} runs</h1>'
        f'<p class="sentence">The last: {as_html(last["title"])}, {as_html(day(last["started"]))}.</p></div></header>'
    )
    keys = legend((("p50", "median"), ("p99", "99th percentile")))
    figure = chart("Latency from run to run, from the schedule", _latency(rows), _latency_table(rows), keys)
    body = section("latency", "Latency", figure)
    body += section("rules", "Broken rules", _matrix(rows))
    body += section(
        "runs",
        "Runs",
        table(HEAD, (list(_html_cells(row)) for row in reversed(rows)), "lllrrrrl", "Runs, the last one first"),
    )
    lacks = "".join(f"<li>{as_html(note, 300)}</li>" for note in notes)
    body += section("left-out", "Left out", f"<ul>{lacks}</ul>" if lacks else "")
    return page(f"{len(rows)} runs", head, body)


def _html_cells(row: dict[str, Any]) -> Iterator[str]:
    for place, cell in enumerate(_cells(row)):
        told = as_html(cell, 300)
        tone = TONES.get(row["exit_code"], "unsure")
        yield f'<span class="badge {tone}">{told}</span>' if place == 2 else told


def _latency(rows: Rows) -> str:
    known = [(place, row) for place, row in enumerate(rows, 1) if row["p50"]]
    if not known:
        return ""
    low, high = min(row["p50"] for _, row in known) / 1.2, max(row["p99"] for _, row in known) * 1.2
    picture = Chart(
        "Latency from run to run",
        f"the last run had a median of {number(known[-1][1]['p50'], 2)} ms",
        x_scale(1, len(rows), width=720),
        y_scale(low, high, log=True),
        width=720,
    )
    picture.y_axis(decades(low, high), "ms")
    picture.x_axis(sorted({1.0, float(len(rows))}), "run", lambda place: day(rows[int(place) - 1]["started"])[:10])
    for name in POINTS:
        picture.line([(place, row[name]) for place, row in known], name)
        for place, row in known:
            picture.dot(place, row[name], name)
    return picture.svg()


def _latency_table(rows: Rows) -> str:
    cells = [[as_html(day(row["started"])), *(number(row[name], 3) for name in POINTS)] for row in rows]
    return table(("started", "p50 ms", "p99 ms"), cells, "lrr", "Latency from run to run")


def _matrix(rows: Rows) -> str:
    """Which rule was broken how often, and in which run first and last."""
    names = sorted({name for row in rows for name in row["broken"]})
    cells = []
    for name in names:
        at = [row for row in rows if name in row["broken"]]
        cells.append([as_html(name), number(len(at)), as_html(at[0]["folder"]), as_html(at[-1]["folder"])])
    told = table(["rule", "runs", "first in", "last in"], cells, "lrll", "Rules that were broken")
    return told or "<p>No run broke a rule.</p>"
