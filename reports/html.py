"""The summary of a run as one HTML file: no request, no outside part, a strict content security policy."""

import base64
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from reports import sections_figures, sections_run, sections_verdict
from reports.escape import as_html
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
    page = ""
    for page in pages:
        if len(page.encode()) < LARGEST:
            break
    return page


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
        sections_run.load(summary),
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
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy()}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f'<link rel="icon" href="data:,">\n<title>{as_html(title)}</title>\n<style>{_asset("page.css")}</style>\n'
        f'</head>\n<body>\n<a class="skip" href="#main">Skip to the results</a>\n{sections_verdict.hero(summary)}'
        f'{_navigation(body)}<main id="main">\n{body}</main>\n'
        f"<script>{_asset('page.js')}</script>\n</body>\n</html>\n"
    )


def _navigation(body: str) -> str:
    links = "".join(f'<a href="#{name}">{told}</a>' for name, told in SECTIONS if f'<section id="{name}"' in body)
    return f'<nav aria-label="Sections">{links}</nav>\n'


@lru_cache
def _asset(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


@lru_cache
def _policy() -> str:
    """Only our own style and script, by their hashes; nothing can be loaded, sent or framed."""
    style, script = (_hash(_asset(name)) for name in ("page.css", "page.js"))
    return (
        f"default-src 'none'; style-src '{style}'; script-src '{script}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
