"""A witness as a picture: a bar for each exchange from its sending to its answer, in order of sending."""

from typing import Any, Final

from reports.escape import as_html
from reports.svg import nice, short
from reports.text import answered, asked

TONES: Final = {"ok": "ok", "refused": "refused", "unknown": "unknown"}
LABEL: Final = 80  # characters beside a bar; the table of the witness has more
UNITS: Final = 1000.0  # the width of every bar's picture, whatever it is on the page


def timeline(witness: list[dict[str, Any]], name: str, ends: int = 8) -> str:
    """The rows of a witness as a list, each with its bar as SVG; times in ms since its first exchange was sent.

    Of a long witness, `ends` exchanges are shown from each end.
    """
    if not witness:
        return ""
    start = min(one.get("sent_ms", 0.0) for one in witness)
    span = max(one.get("received_ms", 0.0) for one in witness) - start or 1.0
    hidden = len(witness) - 2 * ends
    first, last = (witness, []) if hidden <= 1 else (witness[:ends], witness[-ends:])
    rows = "".join(_row(one, start, span) for one in first)
    if last:
        rows += f'<li class="more">{hidden:,} more exchanges between them</li>'
        rows += "".join(_row(one, start, span) for one in last)
    return f'<ol class="timeline" aria-label="{as_html(f"Witness of {name}")}">{rows}</ol>{_axis(span)}'


def _row(one: dict[str, Any], start: float, span: float) -> str:
    left, right = ((one.get(key, start) - start) / span * UNITS for key in ("sent_ms", "received_ms"))
    style = TONES.get(str(one.get("outcome", "")), "unknown")
    when = f"from {left * span / UNITS:,.3f} to {right * span / UNITS:,.3f} ms"
    x, width = min(left, UNITS - 4), max(right - left, 4.0)
    bar = (
        f'<svg viewBox="0 0 {UNITS:g} 10" preserveAspectRatio="none" role="img" aria-label="{when}">'
        f'<title>{when}</title><rect class="span {style}" x="{x:.1f}" width="{width:.1f}" height="10"/></svg>'
    )
    who, what = as_html(asked(one), LABEL), as_html(answered(one), LABEL)
    return f'<li><span class="who"><bdi>{who}</bdi></span>{bar}<span class="what"><bdi>{what}</bdi></span></li>'


def _axis(span: float) -> str:
    """The scale below the bars; its labels are drawn where they belong by SVG, as the page allows no inline style."""
    ticks = nice(0, span, 4)
    marks = "".join(
        f'<text x="{100 * tick / span:.2f}%" y="11" text-anchor="{_anchor(tick, span)}">{_told(tick, span)}</text>'
        for tick in ticks
    )
    return f'<div class="timeline-axis" aria-hidden="true"><svg height="14" width="100%">{marks}</svg></div>'


def _told(tick: float, span: float) -> str:
    return f"{short(tick / 1000)} s" if span >= 10_000 else f"{short(tick)} ms"


def _anchor(tick: float, span: float) -> str:
    return "start" if tick == 0 else "end" if tick > 0.93 * span else "middle"
