"""The middle of report.html: latency, throughput, statuses, limits, replays, and the exchanges worth a look."""

from typing import Any, Final

from reports import charts
from reports.escape import as_html
from reports.parts import chart, number, section, span, table
from reports.svg import clock, legend
from reports.text import answered, asked

Summary = dict[str, Any]
POINTS: Final = (("p50", "p50"), ("p90", "p90"), ("p95", "p95"), ("p99", "p99"), ("p999", "p99.9"), ("p9999", "p99.99"))
MEASURES: Final = {"intended": "from the schedule", "service": "service time"}
TABLE_ROWS: Final = 30  # rows of a chart's table; more of them are thinned out evenly


def latency(summary: Summary) -> str:
    """Latency by percentile and over time."""
    body = (
        '<div class="grid2">'
        + chart(
            "Latency by percentile",
            charts.latency_curve(summary["curve"]),
            _curve_table(summary["curve"]),
            legend((("intended", "from the schedule"), ("service", "service time"))),
            "From the schedule counts from the time a request was due; service time from when it was sent. "
            "A gap between the two is waiting that a user would have felt.",
        )
        + chart(
            "Latency over time",
            charts.latency_heat(summary["heat"]),
            _steps_table(summary["over_time"], ("p50", "p99"), 3),
            legend((("heat h1", "few"), ("heat h4", "many requests"))),
        )
        + "</div>"
        + _latency_table(summary)
    )
    told = f"Of {summary['figures_of']}. A request without an answer counts with the time it was waited for."
    return section("latency", "Latency", body if summary["curve"] else "", told)


def _latency_table(summary: Summary) -> str:
    rows = [
        [
            as_html(row["group"]),
            as_html(MEASURES[row["measure"]]),
            *(number(row[name], 3) for name, _ in POINTS),
            number(row["max"], 3),
            number(row["count"]),
            number(row["unanswered"]),
        ]
        for row in summary["latency"]
    ]
    head = ["requests", "measure", *(told for _, told in POINTS), "max", "count", "unanswered"]
    return table(head, rows, "ll" + "r" * 9, "Latency in ms")


def _curve_table(curve: list[dict[str, Any]]) -> str:
    rows = [[f"{row['point']:.4g} %", number(row["intended"], 3), number(row["service"], 3)] for row in _thinned(curve)]
    return table(["percentile", "from the schedule ms", "service ms"], rows, "rrr", "Latency by percentile")


def _thinned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    every = -(-len(rows) // TABLE_ROWS) or 1
    return [row for place, row in enumerate(rows) if place % every == 0 or place == len(rows) - 1]


def _steps_table(steps: list[dict[str, Any]], names: tuple[str, ...], digits: int) -> str:
    rows = [[clock(row["at_s"]), *(number(row[name], digits) for name in names)] for row in _thinned(steps)]
    return table(["time", *names], rows, "r" * (len(names) + 1), "Over time")


def traffic(summary: Summary) -> str:
    """Throughput against the schedule, and what was answered."""
    names = ("due", "sent", "answered", "refused", "lost")
    entries = [("answered", "answered"), ("due", "due by the schedule")]
    for name, told in (("refused", "refused by 429"), ("lost", "lost or 5xx")):
        if any(row[name] for row in summary["over_time"]):
            entries.append((name, told))
    figure = chart(
        "Throughput over time",
        charts.throughput(summary["over_time"]),
        _steps_table(summary["over_time"], names, 1),
        legend(entries),
    )
    body = f'<div class="grid2">{figure}<div>{_statuses(summary)}</div></div>{_errors(summary)}'
    return section("traffic", "Traffic and answers", body if summary["statuses"] else "")


def _statuses(summary: Summary) -> str:
    """A row for each status and error code, a column for each stage."""
    stages = list(dict.fromkeys(row["stage"] for row in summary["statuses"]))
    counts: dict[tuple[int, str], dict[str, int]] = {}
    for row in summary["statuses"]:
        counts.setdefault((row["status"], row["error_code"]), {})[row["stage"]] = row["count"]
    rows = [
        [_status(status), as_html(code), *(number(of[stage]) if stage in of else "" for stage in stages)]
        for (status, code), of in sorted(counts.items(), key=lambda one: -sum(one[1].values()))
    ]
    head = ["status", "error code", *(stage or "all" for stage in stages)]
    return table(head, rows, "ll" + "r" * len(stages), "Answers by status")


def _status(status: int) -> str:
    if status > 0:
        return f'<span class="status s{status // 100}">{status}</span>'
    return '<span class="status s0">none</span>' if status == 0 else "others"


def _errors(summary: Summary) -> str:
    rows = [[as_html(row["kind"]), as_html(row["text"]), number(row["count"])] for row in summary["errors"]]
    return table(["kind", "what went wrong", "count"], rows, "llr", "Failures by kind")


def limits(summary: Summary) -> str:
    """How far the run went towards the declared limits, and how repeated calls were answered."""
    told = summary["limits"]
    body = _rate(told["rate"]) + _challenges(told["challenges"])
    undeclared = [name for name, key in (("rate", "rate"), ("challenge", "challenges")) if told[key] is None]
    note = f"The profile declares no {' and no '.join(undeclared)} limit." if undeclared else ""
    return section("limits", "Limits reached", f'<div class="grid2">{body}</div>' if body else "", note)


def _rate(rate: dict[str, Any] | None) -> str:
    if rate is None or not rate["scopes"]:
        return ""
    rows = [
        [as_html(_scope(rate["scope"], row["scope"])), *(number(row[name]) for name in ("most", "admitted", "refused"))]
        for row in rate["scopes"]
    ]
    data = table(
        [rate["scope"], "fullest window", "admitted", "refused"], rows, "lrrr", f"{rate['scopes_in_all']:,} scopes"
    )
    note = (
        f"Declared: {rate['count']:,} in {span(rate['window_ms'])}, {rate['algorithm']}. At most {rate['bound']:,} "
        f"may fall into one window's length, wherever it begins. Shown: {_scope(rate['scope'], rate['busiest'])}; "
        f"counted are those that surely lie in the window. {rate['refused']:,} requests were refused with 429."
    )
    keys = legend((("within", "within the bound"), ("over", "beyond it")))
    return chart("Rate limit: admitted in one window", charts.rate_windows(rate), data, keys, note)


def _scope(kind: str, number_of: int) -> str:
    return kind if kind in ("ip", "global") else f"{kind} {number_of}"


def _challenges(told: dict[str, Any] | None) -> str:
    if told is None:
        return ""
    rows = [
        [f"{bar['from']:,}" if bar["from"] == bar["to"] else f"{bar['from']:,} to {bar['to']:,}", number(bar["scopes"])]
        for bar in told["fill"]
        if bar["scopes"]
    ]
    data = table(["challenges", f"{told['scope']}s"], rows, "rr", "Challenges in the fullest window")
    hosts = f" by each of several hosts, {told['bound']:,} in all" if told["bound"] > told["count"] else ""
    note = (
        f"Declared: {told['count']:,} for each {told['scope']} in {span(told['window_ms'])}{hosts}. "
        f"{told['full']:,} of {told['scopes_in_all']:,} {told['scope']}s got them all, {told['over']:,} surely more; "
        f"{told['refused']:,} requests were refused with CHALLENGE_LIMIT_EXCEEDED."
    )
    keys = legend((("within", "below"), ("full", "at the limit"), ("over", "beyond it")))
    return chart("Challenge limit: how far users were driven", charts.challenge_fill(told), data, keys, note)


def replays(summary: Summary) -> str:
    """Repeated calls by age."""
    ages = summary["limits"]["replays"]
    rows = [[as_html(row["age"]), number(row["same"]), number(row["other"])] for row in ages]
    body = chart(
        "Replays by time since the first answer",
        charts.replay_ages(ages),
        "",
        legend((("within", "the same challenge id"), ("over", "another id"))),
        "Overlapping: sent before the first success had been answered.",
    )
    data = table(["time since the first answer", "same id", "another id"], rows, "lrr", "Replays by age")
    return section("idempotency", "Idempotency", f'<div class="grid2">{body}<div>{data}</div></div>' if body else "")


def exchanges(summary: Summary) -> str:
    """The slowest and the oddest exchanges."""
    slow = [
        [number(one["row"]), number(one["service_ms"], 3), number(one["sent_ms"] / 1000, 3), as_html(asked(one)),
         as_html(answered(one)), as_html(one.get("case", one.get("scenario", "")))]
        for one in summary["slowest"]
    ]  # fmt: skip
    odd = [
        [number(one["row"]), number(one["seen"]), as_html(one["why"]), as_html(asked(one)), as_html(answered(one)),
         as_html(one.get("case", one.get("scenario", "")))]
        for one in summary["oddest"]
    ]  # fmt: skip
    body = table(["row", "ms", "at s", "request", "answer", "case"], slow, "rrrlll", "Slowest exchanges")
    body += table(
        ["row", "such", "why", "request", "answer", "case"], odd, "rrllll", "Oddest exchanges, rarest kind first"
    )
    return section("exchanges", "Exchanges worth a look", body)
