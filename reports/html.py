"""The summary of a run as one HTML file of bounded size, its verdict first."""

from typing import Any, Final

from reports import sections_figures, sections_load, sections_run, sections_verdict
from reports.page import page
from reports.summary import LONG

LARGEST: Final = 300_000  # bytes
# Exchanges shown of each witness, and characters of each text of a rule: the first pair that fits.
CUTS: Final = ((24, LONG), (12, LONG), (6, LONG), (3, LONG), (1, LONG), (0, 300), (0, 100), (0, 30))
TEXTS: Final = ("message", "hint", "statement", "source", "reproduce")
RULES_MOST: Final = 150  # five times as many as there are
SECTIONS: Final = (
    ("failures", "Failures"), ("not-shown", "Not shown"), ("gates", "Gates"), ("conformance", "Conformance"),
    ("load", "Load"), ("latency", "Latency"), ("traffic", "Traffic"), ("limits", "Limits"),
    ("idempotency", "Idempotency"), ("exchanges", "Exchanges"), ("rules", "Rules"), ("coverage", "Coverage"),
    ("run", "The run"),
)  # fmt: skip


def render(summary: dict[str, Any]) -> str:
    """The page, under 300 KB: what is long is cut until it fits, witnesses first, then the texts of rules."""
    pages = (_page(_cut(summary, longest), rows) for rows, longest in CUTS)
    made = ""
    for made in pages:
        if len(made.encode()) < LARGEST:
            break
    return made


def _cut(summary: dict[str, Any], longest: int) -> dict[str, Any]:
    """The summary with the texts of rules at `longest` characters, and below that only what a verdict rests on."""
    if longest >= LONG:
        return summary
    rules = [{**rule, **{name: rule[name][:longest] for name in TEXTS}} for rule in summary["rules"][:RULES_MOST]]
    return {**summary, "rules": rules, "oddest": [], "slowest": [], "conformance": {}, "coverage": []}


def _page(summary: dict[str, Any], rows: int) -> str:
    parts = [
        sections_verdict.failures(summary, rows),
        sections_verdict.not_shown(summary),
        sections_verdict.gates(summary),
        sections_run.conformance(summary),
        sections_load.load(summary),
        sections_figures.latency(summary),
        sections_figures.traffic(summary),
        sections_figures.limits(summary),
        sections_figures.replays(summary),
        sections_figures.exchanges(summary),
        sections_verdict.rules(summary),
        sections_run.coverage(summary),
        sections_run.repeat(summary),
    ]
    body = "".join(parts)
    title = f"{summary['outcome']['title']}: {summary['run']['name']}"
    return page(title, sections_verdict.hero(summary), body, _navigation(body))


def _navigation(body: str) -> str:
    links = "".join(f'<a href="#{name}">{told}</a>' for name, told in SECTIONS if f'<section id="{name}"' in body)
    return f'<nav aria-label="Sections">{links}</nav>\n'
