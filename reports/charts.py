"""The charts of a report, each from a part of the summary; an empty string where there is nothing to draw."""

from itertools import pairwise
from typing import Any, Final

from reports.escape import as_html
from reports.svg import BOTTOM, RIGHT, TOP, WIDTH, Chart, Point, Scale, clock, decades, nice, short, x_scale, y_scale

Rows = list[dict[str, Any]]
SHADES: Final = 5
STRIP: Final = 21  # the height of a row of a chart that lies on its side
WIDE_LEFT: Final = 112  # room for the names of such rows
NINES: Final = (0.0, 90.0, 99.0, 99.9, 99.99, 99.999)
RISING: Final = ("step ", "ramp ")  # phases that differ by their rates alone
LEAST_PHASES: Final = 2
LABEL_ROOM: Final = 62  # characters of labels that fit below a chart, read on a phone too


def _ms(value: float) -> str:
    return f"{short(value / 1000)} s" if value >= 1000 else f"{short(value)} ms"


def latency_curve(curve: Rows) -> str:
    """Latency by percentile, the axis stretched towards the slow end as in an HDR histogram."""
    if not curve:
        return ""
    values = [row[name] for row in curve for name in ("intended", "service") if row[name]]
    if not values:
        return ""
    low, high = min(values), max(values)
    top = max(row["point"] for row in curve)
    x = x_scale(1.0, 100.0 / max(100.0 - top, 1e-3), log=True)
    y = y_scale(low / 1.1, high * 1.1, log=True)
    slowest = curve[-1]["intended"]
    chart = Chart("Latency by percentile", f"up to {_ms(slowest)} from the schedule", x, y)
    names = {100.0 / (100.0 - point): f"{point:g} %" for point in NINES if point <= top + 1e-6}
    chart.y_axis(decades(low / 1.1, high * 1.1), "latency", _ms)
    chart.x_axis(names, "share of the requests that were as fast or faster", lambda value: names[value])
    for name in ("service", "intended"):
        chart.line([(100.0 / (100.0 - row["point"]), row[name]) for row in curve if row["point"] < 100], name)
    return chart.svg()


def throughput(steps: Rows) -> str:
    """Requests a second over time: due, answered and lost."""
    if not steps:
        return ""
    width = steps[1]["at_s"] - steps[0]["at_s"] if len(steps) > 1 else 1.0
    first, last = steps[0]["at_s"], steps[-1]["at_s"] + width
    high = max(max(row[name] for name in ("due", "sent", "answered")) for row in steps)
    chart = Chart(
        "Throughput over time",
        f"at most {short(high)} requests a second",
        x_scale(first, last),
        y_scale(0, high * 1.05 or 1.0),
    )
    chart.y_axis(nice(0, chart.y.high, 4), "requests a second")
    chart.x_axis(nice(first, last, 5), "time of the run", clock)
    chart.area(_stairs(steps, "answered", width), "answered")
    chart.line(_stairs(steps, "due", width), "due")
    for name in ("refused", "lost"):
        if any(row[name] for row in steps):
            chart.line(_stairs(steps, name, width), name)
    return chart.svg()


def _stairs(steps: Rows, name: str, width: float) -> list[Point]:
    return [point for row in steps for point in ((row["at_s"], row[name]), (row["at_s"] + width, row[name]))]


def latency_heat(told: dict[str, Any]) -> str:
    """Latency over time: the darker a cell, the more requests."""
    cells, wide = told["cells"], told["step_s"]
    if not cells:
        return ""
    low, high = min(c["from_ms"] for c in cells), max(c["to_ms"] for c in cells)
    first, last = min(c["at_s"] for c in cells), max(c["at_s"] for c in cells) + wide
    chart = Chart(
        "Latency over time", f"from {_ms(low)} to {_ms(high)}", x_scale(first, last), y_scale(low, high, log=True)
    )
    chart.y_axis(decades(low, high), "latency from the schedule", _ms)
    chart.x_axis(nice(first, last, 5), "time of the run", clock)
    shades: list[list[tuple[float, float, float, float]]] = [[] for _ in range(SHADES)]
    most = max(cell["count"] for cell in cells)
    for cell in cells:
        # By the logarithm: one slow request among thousands must still be seen.
        place = _magnitude(cell["count"]) / max(_magnitude(most), 1e-9) * (SHADES - 1)
        shades[round(place)].append((cell["at_s"], cell["at_s"] + wide, cell["from_ms"], cell["to_ms"]))
    for shade, boxes in enumerate(shades):
        chart.cells(boxes, f"heat h{shade}")
    return chart.svg()


def _magnitude(count: int) -> float:
    return float(count.bit_length())


def latency_over_time(steps: Rows) -> str:
    """Median and 99th percentile in each step of time."""
    known = [row for row in steps if row["p50"]]
    if not known:
        return ""
    low, high = min(row["p50"] for row in known), max(row["p99"] for row in known)
    first, last = steps[0]["at_s"], steps[-1]["at_s"]
    y = y_scale(low / 1.1, high * 1.1, log=True)
    chart = Chart("Median and 99th percentile over time", f"99th percentile up to {_ms(high)}", x_scale(first, last), y)
    chart.y_axis(decades(low / 1.1, high * 1.1), "latency from the schedule", _ms)
    chart.x_axis(nice(first, last, 5), "time of the run", clock)
    for name in ("p50", "p99"):
        chart.line([(row["at_s"], row[name]) for row in known], name)
    return chart.svg()


def rate_windows(told: dict[str, Any]) -> str:
    """The fullest window of the busiest scope over time, against the declared bound."""
    series = told["series"]
    if not series:
        return ""
    width = min((b["at_s"] - a["at_s"] for a, b in pairwise(series)), default=1.0)
    first, last = series[0]["at_s"], series[-1]["at_s"] + width
    high = max(told["bound"], max(row["most"] for row in series))
    chart = Chart(
        "Admitted in one window",
        f"at most {max(row['most'] for row in series)}, where {told['bound']} may be",
        x_scale(first, last),
        y_scale(0, high * 1.15),
    )
    chart.y_axis(nice(0, chart.y.high, 4), "requests in the fullest window")
    chart.x_axis(nice(first, last, 5), "time of the run", clock)
    for row in series:
        style = "over" if row["most"] > told["bound"] else "within"
        chart.bar(row["at_s"], row["at_s"] + width, row["most"], style, gap=0.3)
    chart.across(told["bound"], f"bound {told['bound']:,}")
    return chart.svg()


def challenge_fill(told: dict[str, Any]) -> str:
    """How many users or programmes got how many challenges in their fullest window."""
    fill = told["fill"]
    if not any(bar["scopes"] for bar in fill):
        return ""
    high, bound = max(bar["scopes"] for bar in fill), told["bound"]
    chart = Chart(
        "Challenges in the fullest window",
        f"{told['full']} {told['scope']}s reached {bound}, {told['over']} went beyond",
        x_scale(0.5, fill[-1]["to"] + 0.5),
        y_scale(0, high * 1.1),
    )
    chart.y_axis([tick for tick in nice(0, chart.y.high, 4) if tick == int(tick)], f"{told['scope']}s")
    chart.x_axis([tick for tick in nice(1, fill[-1]["to"], 8) if tick == int(tick)], "challenges")
    for bar in fill:
        style = "over" if bar["to"] > bound else "full" if bar["to"] == bound else "within"
        chart.bar(bar["from"] - 0.5, bar["to"] + 0.5, bar["scopes"], style, gap=3)
    return chart.svg()


def replay_ages(ages: Rows) -> str:
    """Replays by age: answered with the first id, or with another one. The axis is logarithmic."""
    most = max((row["same"] + row["other"] for row in ages), default=0)
    if not most:
        return ""
    seen = [place for place, row in enumerate(ages) if row["same"] + row["other"]]
    rows = ages[: seen[-1] + 1]
    other = sum(row["other"] for row in rows)
    told = f"{sum(row['same'] for row in rows):,} with the same id, {other:,} with another"
    height = TOP + BOTTOM + STRIP * len(rows)
    x = Scale(0.5, most * 1.6, WIDE_LEFT, WIDTH - RIGHT, log=True)
    chart = Chart("Replays by age", told, x, Scale(0, len(rows), TOP, height - BOTTOM), height=height)
    chart.x_axis([tick for tick in decades(1, most * 1.6) if tick >= 1], "replays")
    for place, row in enumerate(rows):
        same, both = max(row["same"], 0.5), row["same"] + row["other"]
        chart.strip(place, 0.5, same, "within")
        if row["other"]:
            chart.strip(place, same, both, "over")
        chart.text(WIDE_LEFT - 8, chart.y(place) + STRIP / 2 + 4, row["age"], "tick", "end")
    return chart.svg()


def _by_rate(phases: Rows) -> tuple[list[str], Rows]:
    """Phases with their labels: a search or a staircase in the order of its rates, anything else in order of time."""
    known = [row for row in phases if row["due_per_s"] and row["p99_ms"]]
    if len(known) < LEAST_PHASES:
        return [], []
    if not all(row["phase"].startswith(RISING) for row in known):
        return [row["phase"] for row in known], known
    rising = sorted(known, key=lambda row: row["due_per_s"])
    return [f"{short(row['due_per_s'])}/s" for row in rising], rising


def _name_places(chart: Chart, labels: list[str]) -> None:
    """Labels below the places 1, 2, …: of many, as many as have room."""
    every = -(-sum(len(label) + 2 for label in labels) // LABEL_ROOM)
    shown = range(1, len(labels) + 1, every)
    chart.x_axis(shown, "phase", lambda place: as_html(labels[int(place) - 1], 24))


def phase_rates(phases: Rows) -> str:
    """What was answered in each phase as a bar, below the rate that was due; empty where there is one phase only."""
    labels, rows = _by_rate(phases)
    if not rows:
        return ""
    high = max(max(row["due_per_s"], row["answered_per_s"] or 0) for row in rows)
    best = max(row["answered_per_s"] or 0 for row in rows)
    chart = Chart(
        "Answered against due, by phase",
        f"at most {short(best)} answers a second, at most {short(high)} due",
        x_scale(0.5, len(rows) + 0.5),
        y_scale(0, high * 1.1),
    )
    chart.y_axis(nice(0, chart.y.high, 4), "requests a second")
    _name_places(chart, labels)
    for place, row in enumerate(rows, 1):
        chart.bar(place - 0.5, place + 0.5, row["answered_per_s"] or 0, "over" if row["errors"] else "within", gap=3)
        chart.line([(place - 0.46, row["due_per_s"]), (place + 0.46, row["due_per_s"])], "due")
    return chart.svg()


def phase_latencies(phases: Rows) -> str:
    """Median and 99th percentile of each phase; empty where there is one phase only."""
    labels, rows = _by_rate(phases)
    if not rows:
        return ""
    low, high = min(row["p50_ms"] or row["p99_ms"] for row in rows) / 1.2, max(row["p99_ms"] for row in rows) * 1.2
    slowest = max(row["p99_ms"] for row in rows)
    y = y_scale(low, high, log=True)
    chart = Chart("Latency by phase", f"99th percentile up to {_ms(slowest)}", x_scale(0.5, len(rows) + 0.5), y)
    chart.y_axis(decades(low, high), "latency from the schedule", _ms)
    _name_places(chart, labels)
    for name in ("p50", "p99"):
        points = [(float(place), row[f"{name}_ms"]) for place, row in enumerate(rows, 1) if row[f"{name}_ms"]]
        chart.line(points, name)
        for point in points:
            chart.dot(*point, name)
    return chart.svg()
