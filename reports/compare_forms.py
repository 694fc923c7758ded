"""A comparison of runs as lines for a terminal, as Markdown and as one HTML file."""

from reports.compare import Changed, Comparison, Difference
from reports.escape import as_html, as_markdown, visible
from reports.markdown import table as markdown_table
from reports.page import page
from reports.parts import badge, section, table
from reports.svg import Chart, Scale, nice

TONES = {"better": "good", "worse": "bad", "no difference shown": "idle"}
TITLES = {0: "No regression", 1: "Regression", 3: "Regression", 4: "Not comparable"}
NOTE = (
    "service is how long the target took itself for the faster half of its requests; percentiles are from the schedule."
)
ROW, LABELS = 22, 236


def title(comparison: Comparison) -> str:
    """The outcome in a word or two."""
    return TITLES[int(comparison.code)]


def text_lines(comparison: Comparison) -> list[str]:
    """The comparison for a terminal: what came out, changed verdicts, then each figure with its interval."""
    lines = [f"{title(comparison)}: {comparison.sentence}", _runs(comparison)]
    lines += [f"  {one.rule}: {one.before or 'unknown'} → {one.after or 'unknown'}" for one in comparison.rules]
    for one in comparison.differences:
        interval = f"{percent(one.low)} to {percent(one.high)}"
        lines.append(
            f"  {one.group:<16} {one.metric:<10} {value(one, one.before):>12} → {value(one, one.after):>12}  "
            f"{percent(one.change):>8}  ({interval})  {one.claim}"
        )
    return [visible(line, 400) for line in lines]


def _runs(comparison: Comparison) -> str:
    later, earlier = _named(comparison.after, "runs"), _named(comparison.before, "earlier runs")
    noise = "measured from them" if comparison.noise_measured else "assumed"
    return (
        f"{later} against {earlier}; intervals hold with 99 % over all figures together; "
        f"the noise between runs is {noise}"
    )


def _named(runs: tuple[str, ...], what: str) -> str:
    return f"{len(runs)} {what}" if len(runs) > 1 else runs[0]


def percent(share: float) -> str:
    """A change as it is read: +3.2 %."""
    return f"{100 * share:+.1f} %"


def value(one: Difference, number: float) -> str:
    """A figure with its unit."""
    if one.kind == "latency":
        return f"{number:,.3f} ms"
    return f"{100 * number:.3f} %" if one.kind == "share" else f"{number:,.1f} /s"


def markdown(comparison: Comparison) -> str:
    """The comparison for a job summary or a comment."""
    lines = [f"# {as_markdown(title(comparison))}", "", as_markdown(comparison.sentence, 1000), ""]
    lines += [as_markdown(_runs(comparison), 600), ""]
    if comparison.rules:
        rows = [[as_markdown(one.rule), one.before or "unknown", one.after or "unknown"] for one in comparison.rules]
        lines += ["## Verdicts that changed", "", *markdown_table(["rule", "before", "now"], rows, "lll"), ""]
    if comparison.differences:
        rows = [[as_markdown(cell) for cell in _row(one)] for one in comparison.differences]
        lines += ["## Figures", "", *markdown_table(HEAD, rows, "llrrrll"), "", NOTE, ""]
    return "\n".join(lines)


HEAD = ["requests", "figure", "before", "now", "change", "99 % interval", "claim"]


def _row(one: Difference) -> list[str]:
    interval = f"{percent(one.low)} to {percent(one.high)}"
    return [
        one.group, one.metric, value(one, one.before), value(one, one.after), percent(one.change), interval, one.claim,
    ]  # fmt: skip


def html(comparison: Comparison) -> str:
    """The comparison as one HTML file like the report: offline, no request."""
    code = int(comparison.code)
    tone = "good" if code == 0 else "unsure" if code == 4 else "bad"
    head = (
        '<header><p class="brand">Step-up harness <span>comparison of runs</span></p>'
        f'<div class="verdict {tone}"><h1>{as_html(title(comparison))}</h1>'
        f'<p class="sentence">{as_html(comparison.sentence, 1000)}</p></div>'
        f'<p class="where">{as_html(_runs(comparison), 600)}</p></header>'
    )
    verdicts = table(["rule", "before", "now"], map(_verdict, comparison.rules), "lll", "Verdicts that changed")
    figures = table(HEAD, ([*map(as_html, _row(one)[:-1]), _claim(one)] for one in comparison.differences), "llrrrrl",
                    "Each figure before and now")  # fmt: skip
    picture = f"<figure><figcaption>Change of each figure</figcaption>{intervals(comparison)}"
    picture += f'<p class="note">{as_html(NOTE)}</p></figure>'
    body = section("verdicts", "Verdicts", verdicts or "<p>Every rule has the verdict that it had.</p>")
    body += section("figures", "Figures", f"{picture}{figures}" if comparison.differences else "")
    return page(f"{title(comparison)}: {comparison.after[-1]}", head, body)


def _verdict(one: Changed) -> list[str]:
    return [f'<span class="rule">{as_html(one.rule)}</span>', *(badge(s or "unknown") for s in (one.before, one.after))]


def _claim(one: Difference) -> str:
    return f'<span class="badge {TONES[one.claim]}">{as_html(one.claim)}</span>'


def intervals(comparison: Comparison) -> str:
    """A row for each relative figure: its change as a dot on its interval, against no change."""
    shown = [one for one in comparison.differences if one.kind != "share"]
    low = min([one.low for one in shown] + [-comparison.tolerance]) * 100
    high = max([one.high for one in shown] + [comparison.tolerance]) * 100
    height = 40 + ROW * len(shown)
    x = Scale(low, high, LABELS, 680)
    says = "; ".join(f"{one.group} {one.metric} {percent(one.change)}" for one in shown)
    chart = Chart("Change of each figure", says, x, Scale(0, len(shown), 4, height - 34), 720, height)
    chart.x_axis(nice(low, high, 6), "change", lambda tick: f"{tick:+g} %")
    chart.marks.append(f'<path class="line bound" d="M{x(0):.1f} 4V{height - 34}"/>')
    for place, one in enumerate(shown):
        middle = chart.y(place) + ROW / 2
        style = {"worse": "worse", "better": "better"}.get(one.claim, "same")
        left, right = x(one.low * 100), x(one.high * 100)
        chart.marks.append(f'<path class="line {style}" d="M{left:.1f} {middle:.1f}H{right:.1f}"/>')
        chart.marks.append(f'<circle class="mark {style}" cx="{x(one.change * 100):.1f}" cy="{middle:.1f}" r="4"/>')
        chart.text(LABELS - 12, middle + 4, f"{one.group} {one.metric}", "tick", "end")
    return chart.svg()
