"""The section of report.html on the load: what was found out of the target, the phases it rests on, the occasions."""

from typing import Any, Final

from reports import charts
from reports.escape import as_html
from reports.parts import chart, number, section, table
from reports.svg import legend

Summary = dict[str, Any]
LABELS: Final = {
    "capacity": "Capacity", "recovery": "Recovery", "drift": "Drift", "memory": "Memory of the generator",
}  # fmt: skip
HEAD: Final = ("phase", "due /s", "sent /s", "answered /s", "p50 ms", "p99 ms", "max ms", "errors", "seconds")
DIGITS: Final = {
    "due_per_s": 1, "sent_per_s": 1, "answered_per_s": 1, "p50_ms": 2, "p99_ms": 2, "max_ms": 2, "errors": 0,
    "seconds": 1,
}  # fmt: skip


def load(summary: Summary) -> str:
    """What stress, spike and soak found out, each with its picture and table; then what each scenario did."""
    told = summary["load"]
    body = _findings(told.get("findings", [])) + _phases(told.get("phases", [])) + _occasions(told)
    return section("load", "Load", body)


def found(sentence: str) -> tuple[str, str]:
    """A finding of the load as what it is of, and what it says."""
    name, colon, says = sentence.partition(": ")
    return (LABELS[name], says) if colon and name in LABELS else ("", sentence)


def _findings(sentences: list[str]) -> str:
    rows = "".join(
        f"<div><dt>{as_html(name or 'Found')}</dt><dd>{as_html(says, 600)}</dd></div>"
        for name, says in map(found, sentences)
    )
    return f'<dl class="findings">{rows}</dl>' if rows else ""


def _phases(phases: list[dict[str, Any]]) -> str:
    """Two pictures where there is more than one phase to compare, and the table of all."""
    entries = [("due", "due by the schedule"), ("answered", "answered in time")]
    if any(row["errors"] for row in phases):
        entries.append(("lost", "with errors among them"))
    pictures = chart(
        "Answered against due, by phase",
        charts.phase_rates(phases),
        "",
        legend(entries),
        "Where the bar stays below the line, the target did not keep up.",
    ) + chart(
        "Latency by phase",
        charts.phase_latencies(phases),
        "",
        legend((("p50", "median"), ("p99", "99th percentile"))),
        "From the intended time, so it counts what waited behind a slow answer.",
    )
    rows = [
        [as_html(row["phase"], 60), *(number(row[name], digits) for name, digits in DIGITS.items())] for row in phases
    ]
    data = table(HEAD, rows, "l" + "r" * len(DIGITS), "Phases of steady traffic")
    return (f'<div class="grid2">{pictures}</div>' if pictures else "") + data


def _occasions(told: dict[str, Any]) -> str:
    rows = [
        [as_html(name), as_html(", ".join(f"{count:,} {what}" for what, count in of.items()), 600)]
        for name, of in told.get("done", {}).items()
        if of
    ]
    notes = "".join(f"<li>{as_html(note, 600)}</li>" for note in told.get("notes", []))
    body = table(["scenario", "occasions made"], rows, "ll", "What each scenario of the load did")
    return body + (f"<ul>{notes}</ul>" if notes else "")
