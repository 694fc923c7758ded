"""The summary of a run as one HTML file: no request, no outside part, a strict content security policy."""

import base64
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from reports import sections_figures, sections_run, sections_verdict
from reports.escape import as_html

LARGEST: Final = 300_000  # bytes
WITNESS_ROWS: Final = (24, 12, 6, 3, 1)  # exchanges shown of each witness: as many as fit
SECTIONS: Final = (
    ("failures", "Failures"), ("not-shown", "Not shown"), ("gates", "Gates"), ("latency", "Latency"),
    ("traffic", "Traffic"), ("limits", "Limits"), ("idempotency", "Idempotency"), ("exchanges", "Exchanges"),
    ("rules", "Rules"), ("coverage", "Coverage"), ("run", "The run"),
)  # fmt: skip


def render(summary: dict[str, Any]) -> str:
    """The page, under 300 KB: where witnesses are many or long, fewer of their exchanges are shown."""
    pages = (_page(summary, rows) for rows in WITNESS_ROWS)
    return next((page for page in pages if len(page.encode()) < LARGEST), _page(_head_only(summary), 0))


def _head_only(summary: dict[str, Any]) -> dict[str, Any]:
    """What is left when even one exchange a witness is too much: verdicts, cut short, and figures."""
    cut = ("message", "hint", "statement", "source", "reproduce")
    rules = [{**rule, **{name: rule[name][:120] for name in cut}, "witness": []} for rule in summary["rules"][:100]]
    return {**summary, "rules": rules, "oddest": [], "slowest": [], "conformance": {}, "coverage": []}


def _page(summary: dict[str, Any], rows: int) -> str:
    parts = [
        sections_verdict.failures(summary, rows),
        sections_verdict.not_shown(summary),
        sections_verdict.gates(summary),
        sections_run.conformance(summary),
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
