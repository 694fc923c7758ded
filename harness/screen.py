"""What is printed when a command ends: the table of verdicts, and what `explain` and `serve --faults` list."""

import re
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.errors import MEANING, ExitCode, HarnessError, suggest
from harness.run_folder import SUMMARY, open_what_is_left
from harness.verdict import Verdict, read_verdicts

STYLES: Final = {"pass": "green", "fail": "bold red", "inconclusive": "yellow", "not-exercised": "dim"}
MARKS: Final = {"pass": "✓", "fail": "✗", "inconclusive": "?", "not-exercised": "-"}
WIDE: Final = 160  # columns where nobody's window limits them, as in a log
LONGEST: Final = 400  # characters of one message; the report has it whole


def printable(text: str, longest: int = LONGEST) -> Text:
    """Text that may come from a target, without the control sequences that could steer a terminal."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return Text(plain if len(plain) <= longest else plain[: longest - 1] + "…")


def say(text: str) -> None:
    """One line on standard output."""
    Console(highlight=False, soft_wrap=True).print(Text(text))


def show_verdicts(folder: Path, code: ExitCode) -> None:
    """The closing table, the witness of each failure, and where the report is."""
    from reports.known import allowed, excuse
    from reports.outcome import allowance_sentences
    from reports.text import failure_lines

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, WIDE)
    facts, verdicts = open_what_is_left(folder).facts, _verdicts(folder)
    rules = [{**vars(one), "allowed": allowed(one.rule, facts)} for one in verdicts]
    if verdicts:
        console.print(_table(rules))
    for rule in rules:
        if rule["status"] == "fail":
            console.print()
            style = "bold yellow" if excuse(rule) else "bold red"
            for number, line in enumerate(failure_lines(rule)):
                console.print(printable(line, 2000), style=style if number == 0 else "", soft_wrap=True)
    for told in allowance_sentences(verdicts, facts):
        console.print(printable(told), style="yellow", soft_wrap=True)
    for line, style in _told_of_load(folder):
        console.print(printable(line), style=style, soft_wrap=True)
    told = f"{_counts(verdicts)}. Exit code {int(code)}: {MEANING[code]}."
    console.print(Text("\n" + told, style="bold"))
    if (folder / "report.html").exists():
        console.print(Text(f"report: {folder / 'report.html'}"), soft_wrap=True)


def _told_of_load(folder: Path) -> Iterator[tuple[str, str]]:
    """A line, and its style, for each thing that the load found out and for each gate."""
    summary = open_what_is_left(folder).read(SUMMARY)
    for sentence in summary.get("load", {}).get("findings", []):
        yield f"found: {sentence}", ""
    for gate in summary.get("gates", []):
        mark, style = MARKS.get(gate["status"], "?"), STYLES.get(gate["status"], "")
        yield f"{mark} gate {gate['metric']}: {gate['message']}", style


def _verdicts(folder: Path) -> list[Verdict]:
    try:
        return read_verdicts(folder)
    except HarnessError:  # the report says so
        return []


def _table(rules: list[dict[str, Any]]) -> Table:
    from reports.known import excuse

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("rule", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("examined", justify="right", no_wrap=True)
    table.add_column("what was seen", overflow="fold")
    for one in rules:
        excused, word = excuse(one), one["status"]
        style, told = ("yellow", "✗ allowed") if excused else (STYLES[word], f"{MARKS[word]} {word}")
        name = Text(one["rule"] + (" (should)" if one["severity"] == "should" else ""))
        says = f"{one['message']}: {one['hint']}" if word == "not-exercised" and one["hint"] else one["message"]
        says = re.sub(r"^held on [\d,]+ occasions?(: )?", "", says)  # its number has a column of its own
        table.add_row(name, Text(told, style=style), f"{one['examined']:,}", printable(says, 180))
    return table


def _counts(verdicts: list[Verdict]) -> str:
    if not verdicts:
        return "Nothing was judged"
    counted = {status: sum(one.status == status for one in verdicts) for status in STYLES}
    return ", ".join(f"{count} {status}" for status, count in counted.items() if count)


def show_rules() -> None:
    """All rules by family."""
    from harness.rules import FAMILIES, RULES

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("family", "rule", "severity", "statement"):
        table.add_column(name, overflow="fold", no_wrap=name in ("family", "rule", "severity"))
    for family in FAMILIES:
        for rule in (one for one in RULES.values() if one.family == family):
            table.add_row(family, rule.id, rule.severity, rule.statement)
    Console(highlight=False).print(table)


def show_topic(name: str) -> None:
    """One rule in full, or the reference of a configuration file or of the exit codes."""
    from harness.manual import TOPICS, topic_rows

    if name not in TOPICS:
        show_rule(name)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("name", "values", "what it says"):
        table.add_column(title, overflow="fold", no_wrap=title == "name")
    for row in topic_rows(name):
        table.add_row(*(Text(cell) for cell in row))
    Console(highlight=False).print(table)
    if name == "exit-codes":
        say("Where several apply, the one that stands first here is the exit code.")


def show_rule(name: str) -> None:
    """One rule in full."""
    from harness.manual import TOPICS
    from harness.rules import RULES

    if name not in RULES:
        raise HarnessError(f"{name!r}: no such rule or topic", hint=suggest(name, [*TOPICS, *sorted(RULES)]))
    rule = RULES[name]
    console = Console(highlight=False)
    console.print(Text(rule.id, style="bold") + Text(f"   {rule.family}, {rule.severity}"))
    for title, text in (("Statement", rule.statement), ("Source", rule.source), ("When it fails", rule.advice)):
        console.print(Text(f"\n{title}", style="bold"))
        console.print(Text(" ".join(text.split())))


def show_faults() -> None:
    """All faults that can be planted in the embedded service."""
    from harness.reference.faults import FAULTS

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("fault", "imitates", "caught by"):
        table.add_column(name, overflow="fold", no_wrap=name == "fault")
    for fault in FAULTS.values():
        table.add_row(fault.id, fault.imitates, ", ".join(fault.rules))
    Console(highlight=False).print(table)


def save_crash() -> str:
    """Keep the traceback of the exception at hand in a file; says where."""
    with tempfile.NamedTemporaryFile("w", prefix="stepup-crash-", suffix=".txt", delete=False) as file:
        traceback.print_exc(file=file)
    return f"details: {file.name}"
