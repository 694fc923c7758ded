"""A witness as a picture: a bar for each exchange from its sending to its answer, in order of sending."""

from typing import Any, Final

from reports.svg import Chart, Scale, nice, short
from reports.text import answered, asked

WIDE, ROW = 880, 22
LABELS: Final = 250  # pixels for what was sent, and likewise for what came back
TONES: Final = {"ok": "ok", "refused": "refused", "unknown": "unknown"}


def timeline(witness: list[dict[str, Any]], name: str) -> str:
    """The SVG of a witness; times in ms since its first exchange was sent. Empty for an empty witness."""
    if not witness:
        return ""
    start = min(one.get("sent_ms", 0.0) for one in witness)
    last = max(one.get("received_ms", 0.0) for one in witness) - start
    height = 30 + ROW * len(witness)
    x = Scale(0.0, last if last > 0 else 1.0, LABELS + 8, WIDE - LABELS - 8)
    says = f"{len(witness)} exchanges within {last:,.3f} ms"
    chart = Chart(f"Witness of {name}", says, x, Scale(0, 1, height - 26, 4), WIDE, height)
    chart.x_axis(nice(0, x.high, 4), "", lambda value: f"{short(value)} ms")
    for place, one in enumerate(witness):
        _exchange(chart, one, start, 4 + ROW * place)
    return chart.svg()


def _exchange(chart: Chart, one: dict[str, Any], start: float, top: float) -> None:
    left, right = (chart.x(one.get(name, start) - start) for name in ("sent_ms", "received_ms"))
    style = TONES.get(str(one.get("outcome", "")), "unknown")
    chart.text(LABELS, top + 14, _cut(asked(one)), "who", "end")
    chart.marks.append(
        f'<rect class="span {style}" x="{left:.1f}" y="{top + 4:.1f}" width="{max(right - left, 2.0):.1f}" '
        f'height="{ROW - 9}" rx="3"/>'
    )
    chart.text(WIDE - LABELS, top + 14, _cut(answered(one)), f"what {style}")


def _cut(text: str, longest: int = 38) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
