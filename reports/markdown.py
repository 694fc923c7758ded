"""The summary of a run as Markdown: for a job summary, for a pull request comment, or for a file beside the report."""

from typing import Any, Final

from reports.escape import as_code, as_fence, as_markdown
from reports.known import excuse
from reports.text import answered, asked

JOB_SUMMARY: Final = 1024 * 1024  # bytes that GitHub takes for a step's summary
COMMENT: Final = 65_536  # characters that GitHub takes for a comment
MARKS: Final = {"pass": "✅", "fail": "❌", "inconclusive": "❔", "not-exercised": "▫️"}
PHASES: Final = (
    ("due_per_s", "due /s"), ("answered_per_s", "answered /s"), ("p50_ms", "p50 ms"), ("p99_ms", "p99 ms"),
    ("errors", "errors"),
)  # fmt: skip
WITNESS_ROWS: Final = (20, 10, 4, 2, 0)  # exchanges shown of each witness: as many as fit


def render(summary: dict[str, Any], longest: int = JOB_SUMMARY) -> str:
    """Markdown of at most `longest` bytes: witnesses are cut first, then all but the head."""
    for rows in WITNESS_ROWS:
        text = _page(summary, rows)
        if len(text.encode()) <= longest:
            return text
    lines = [*_head(summary), "", "_The rest is left out: it would be too long for this place._"]
    return "\n".join(lines) + "\n"


def _page(summary: dict[str, Any], rows: int) -> str:
    parts = [_head(summary), _failures(summary, rows), _gates(summary), _found(summary), _rules(summary)]
    parts += [_latency(summary), _missing(summary), _again(summary)]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _head(summary: dict[str, Any]) -> list[str]:
    outcome, run, history = summary["outcome"], summary["run"], summary["history"]
    mark = "✅" if outcome["exit_code"] == 0 else "❌" if outcome["exit_code"] == 1 else "❔"
    lines = [f"# {mark} {as_markdown(outcome['title'])}", "", as_markdown(outcome["sentence"], 1000)]
    lines += [line for told in outcome["allowances"] for line in ("", f"⚠️ {as_markdown(told, 600)}")]
    if outcome["partial"]:
        lines += ["", "**This run is partial: it was cut before its end.**"]
    size = f"{history['exchanges']:,} exchanges of {history['users']:,} users in {history['seconds']:,.1f} s"
    return [*lines, "", f"{as_code(run['target'])}, {size}, exit code {outcome['exit_code']}"]


def _failures(summary: dict[str, Any], rows: int) -> list[str]:
    lines: list[str] = []
    for rule in summary["rules"]:
        if rule["status"] != "fail":
            continue
        name = as_markdown(rule["rule"]) + (" (good practice)" if rule["severity"] == "should" else "")
        excused = excuse(rule)
        lines += [f"## {_mark(rule)} {name}", "", *([f"**{as_markdown(excused, 600)}**", ""] if excused else [])]
        lines += [as_markdown(rule["message"], 600), ""]
        lines += _witness(rule["witness"][:rows], len(rule["witness"]))
        if rule["hint"]:
            lines += [f"Look at: {as_markdown(rule['hint'], 600)}", ""]
        if rule["reproduce"]:
            lines += [*as_fence(rule["reproduce"], 4000), ""]
    return lines[:-1]


def _witness(witness: list[dict[str, Any]], of: int) -> list[str]:
    if not witness:
        return []
    start = min(one.get("sent_ms", 0.0) for one in witness)
    rows = [
        [f"{one.get('sent_ms', 0.0) - start:,.3f}", f"{one.get('received_ms', 0.0) - start:,.3f}",
         as_code(asked(one)), as_code(answered(one))]
        for one in witness
    ]  # fmt: skip
    more = (
        [f"_{of - len(witness):,} more exchanges of this witness are in report.html._", ""] if of > len(witness) else []
    )
    return [*table(["sent ms", "answered ms", "request", "answer"], rows, "rrll"), "", *more]


def _gates(summary: dict[str, Any]) -> list[str]:
    if not summary["gates"]:
        return []
    rows = [
        [MARKS.get(str(gate.get("status")), "❔"), as_markdown(gate["metric"]), as_markdown(gate.get("message", ""))]
        for gate in summary["gates"]
    ]
    return ["## Gates", "", *table(["", "gate", "result"], rows, "lll")]


def _rules(summary: dict[str, Any]) -> list[str]:
    if not summary["rules"]:
        return []
    rows = [
        [_mark(rule), as_markdown(rule["rule"]), f"{rule['examined']:,}", as_markdown(_told(rule), 300)]
        for rule in summary["rules"]
    ]
    return ["## Rules", "", *table(["", "rule", "examined", "what was seen"], rows, "llrl")]


def _mark(rule: dict[str, Any]) -> str:
    return "⚠️" if excuse(rule) else MARKS[rule["status"]]


def _told(rule: dict[str, Any]) -> str:
    if excuse(rule):
        return f"{excuse(rule)}: {rule['message']}"
    hint = rule["hint"] if rule["status"] in ("inconclusive", "not-exercised") else ""
    return f"{rule['message']} {hint}".strip()


def _found(summary: dict[str, Any]) -> list[str]:
    """What the load found out: capacity, recovery, drift; and the phases that it is told from."""
    told = summary["load"]
    lines = [f"- {as_markdown(sentence, 600)}" for sentence in told.get("findings", [])]
    rows = [
        [as_markdown(row["phase"], 60), *(_rounded(row[name]) for name, _ in PHASES)] for row in told.get("phases", [])
    ]
    head = ["phase", *(title for _, title in PHASES)]
    data = table(head, rows, "l" + "r" * len(PHASES)) if len(rows) > 1 else []
    parts = [["## What the load found"], lines, data]
    return "\n\n".join("\n".join(part) for part in parts if part).split("\n") if lines or data else []


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"


def _latency(summary: dict[str, Any]) -> list[str]:
    names = ["p50", "p90", "p99", "p999", "max"]
    rows = [
        [as_markdown(row["group"]), f"{row['count']:,}", f"{row['unanswered']:,}", *(_ms(row[name]) for name in names)]
        for row in summary["latency"]
        if row["measure"] == "intended"
    ]
    head = ["requests", "answered", "unanswered", "p50", "p90", "p99", "p99.9", "max"]
    return ["## Latency in ms, from the schedule", "", *table(head, rows, "lrrrrrrr")] if rows else []


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:,.3f}"


def _missing(summary: dict[str, Any]) -> list[str]:
    history = summary["history"]
    if not history["gaps_in_all"]:
        return []
    more = history["gaps_in_all"] - len(history["gaps"])
    rest = [f"- and {more:,} more"] if more else []
    return ["## Missing from the history", "", *(f"- {as_markdown(gap, 600)}" for gap in history["gaps"]), *rest]


def _again(summary: dict[str, Any]) -> list[str]:
    run = summary["run"]
    return ["## Repeat", "", *as_fence(run["command"], 4000), "", f"Seed {run['seed']}, started {run['started']}."]


def table(head: list[str], rows: list[list[str]], align: str) -> list[str]:
    """A Markdown table; `align` has a letter a column, l or r. Cells are escaped already."""
    rule = ["---:" if one == "r" else "---" for one in align]
    return [f"| {' | '.join(row)} |" for row in [head, rule, *rows]]
