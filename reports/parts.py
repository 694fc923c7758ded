"""Small pieces of HTML that the sections of a report are made of; every text that goes in is escaped here or before."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from reports.escape import as_html

WORDS: Final = {"pass": "pass", "fail": "fail", "inconclusive": "inconclusive", "not-exercised": "not exercised",
                "allowed": "fail, allowed"}  # fmt: skip
TONES: Final = {"pass": "good", "fail": "bad", "inconclusive": "unsure", "not-exercised": "idle", "allowed": "unsure"}


def section(name: str, title: str, body: str, lead: str = "") -> str:
    """A section with a heading, or nothing where its body is empty."""
    if not body:
        return ""
    told = f'<p class="lead">{as_html(lead, 600)}</p>' if lead else ""
    head = f'<h2 id="{name}-title">{as_html(title)}</h2>'
    return f'<section id="{name}" aria-labelledby="{name}-title">{head}{told}{body}</section>\n'


def badge(status: str) -> str:
    """A verdict's word in its colour."""
    return f'<span class="badge {TONES.get(status, "idle")}">{as_html(WORDS.get(status, status), 40)}</span>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], align: str, caption: str) -> str:
    """A table in a box that scrolls by itself; cells are escaped already, `align` has l or r for each column."""
    body = "".join("<tr>" + "".join(map(_cell, row, align)) + "</tr>" for row in rows)
    if not body:
        return ""
    names = "".join(
        f'<th scope="col"{_side(side)}>{as_html(name)}</th>' for name, side in zip(head, align, strict=True)
    )
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{as_html(caption)}"><table>'
        f"<caption>{as_html(caption)}</caption><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(text: str, side: str) -> str:
    return f"<td{_side(side)}>{text}</td>"


def _side(side: str) -> str:
    return ' class="n"' if side == "r" else ""


def chart(title: str, svg: str, data: str, keys: str = "", note: str = "") -> str:
    """A chart with its key, a sentence on how to read it, and its table behind a click."""
    if not svg:
        return ""
    told = f'<p class="note">{as_html(note, 600)}</p>' if note else ""
    behind = f'<details class="data"><summary>Table: {as_html(title)}</summary>{data}</details>' if data else ""
    return f"<figure><figcaption>{as_html(title)}</figcaption>{keys}{svg}{told}{behind}</figure>"


def command(text: str) -> str:
    """A command to copy."""
    return f'<pre class="command" tabindex="0"><code>{as_html(text, 4000)}</code></pre>' if text else ""


def pairs(entries: Iterable[tuple[str, Any]]) -> str:
    """Names and values as a description list."""
    return "<dl>" + "".join(f"<div><dt>{as_html(k)}</dt><dd>{as_html(v, 600)}</dd></div>" for k, v in entries) + "</dl>"


def day(moment: str) -> str:
    """An ISO 8601 time in UTC, to the second."""
    return f"{moment[:19].replace('T', ' ')} UTC" if moment else ""


def span(milliseconds: float) -> str:
    """A length of time in the largest unit that leaves no fraction: 24 h, 90 s, 250 ms."""
    for size, unit in ((86_400_000, "days"), (3_600_000, "h"), (60_000, "min"), (1000, "s")):
        if milliseconds >= size * (2 if unit == "days" else 1) and milliseconds % size == 0:
            return f"{milliseconds / size:,.0f} {unit}"
    return f"{milliseconds:,.6g} ms"


def number(value: float | int | None, digits: int = 0) -> str:
    """A number with thousands separated; a dash for none."""
    return "-" if value is None else f"{value:,.{digits}f}"
