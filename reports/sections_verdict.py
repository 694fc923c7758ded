"""The first part of report.html: the run's verdict, what failed, what was not shown, the gates, and all rules."""

from typing import Any, Final

from reports.escape import as_html
from reports.known import excuse
from reports.parts import badge, command, day, number, pairs, section, table
from reports.svg import legend
from reports.text import answered, asked
from reports.timeline import timeline

Summary = dict[str, Any]
GLANCE, NAMED, BRIEF = 4, 6, 240  # rows of a kind, names in a row and characters of a sentence on the first screen
OUTCOMES: Final = (("ok", "success"), ("refused", "refused"), ("unknown", "no answer or server error"))


def hero(summary: Summary) -> str:
    """The verdict of the run in a sentence, and the figures that say how much it rests on."""
    outcome, run, history = summary["outcome"], summary["run"], summary["history"]
    tone = {0: "good", 1: "bad"}.get(outcome["exit_code"], "unsure")
    partial = (
        '<p class="banner" role="note">This run is partial: it was cut before its end. '
        "What was recorded until then has been judged.</p>"
        if outcome["partial"]
        else ""
    )
    known = "".join(f'<p class="banner" role="note">{as_html(told, 600)}</p>' for told in outcome["allowances"])
    started = run["first_exchange"] or run["started"]
    return (
        f'<header><p class="brand">Step-up harness <span>{as_html(run["name"])}</span></p>'
        f'<div class="verdict {tone}"><h1>{as_html(outcome["title"])}</h1>'
        f'<p class="sentence">{as_html(outcome["sentence"], 1000)}</p></div>{partial}{known}'
        f'<p class="where"><code>{as_html(run["target"], 400)}</code> '
        f'<time datetime="{as_html(started)}">{as_html(day(started))}</time></p>'
        f"{_tiles(summary, outcome, history)}{_glance(summary)}</header>\n"
    )


def _glance(summary: Summary) -> str:
    """What failed with its witness in a sentence, the gates, and what was not shown: a line or a few for each."""
    failed = [rule for rule in summary["rules"] if rule["status"] == "fail"]
    unshown = [rule["rule"] for rule in summary["rules"] if rule["status"] in ("inconclusive", "not-exercised")]
    rows = [("Failed", _brief_failure(rule)) for rule in failed[:GLANCE]]
    if len(failed) > GLANCE:
        rows.append(("", f'<a href="#failures">and {len(failed) - GLANCE} more</a>'))
    rows += [(f"Gate {'kept' if gate.get('status') == 'pass' else 'missed'}", _brief_gate(gate))
             for gate in sorted(summary["gates"], key=lambda gate: gate.get("status") == "pass")[:GLANCE]]  # fmt: skip
    if unshown:
        more = f" and {len(unshown) - NAMED} more" if len(unshown) > NAMED else ""
        rows.append(("Not shown", f'<a href="#not-shown">{as_html(", ".join(unshown[:NAMED]), 400)}{more}</a>'))
    lines = "".join(f"<div><dt>{name}</dt><dd>{told}</dd></div>" for name, told in rows)
    return f'<dl class="glance">{lines}</dl>' if lines else ""


def _brief_failure(rule: dict[str, Any]) -> str:
    name = as_html(rule["rule"])
    return f'<a href="#rule-{name}">{name}</a> {as_html(rule["message"], BRIEF)}'


def _brief_gate(gate: dict[str, Any]) -> str:
    return f'<a href="#gates">{as_html(gate["metric"])}</a> {as_html(gate.get("message", ""), BRIEF)}'


def _tiles(summary: Summary, outcome: dict[str, Any], history: dict[str, Any]) -> str:
    counts = outcome["counts"]
    undecided = counts["inconclusive"] + counts["not-exercised"]
    load = next((r for r in summary["latency"] if r["group"] == "load" and r["measure"] == "intended"), None)
    load = load or next((r for r in summary["latency"] if r["measure"] == "intended"), None)
    slow = load["p99"] if load else None
    tail = number(slow, 0 if slow and slow >= 100 else 1)
    tiles = [
        ("rules kept", number(counts["pass"]), "good" if counts["pass"] else ""),
        ("rules broken", number(counts["fail"]), _broken_tone(counts["fail"], outcome["allowed"])),
        ("not shown", number(undecided), "unsure" if undecided else ""),
        ("exchanges", number(history["exchanges"]), ""),
        ("seconds", number(history["seconds"], 1), ""),
        ("p99 ms", tail, ""),
    ]
    cells = "".join(f'<div class="{tone}"><dt>{name}</dt><dd>{value}</dd></div>' for name, value, tone in tiles)
    return f'<dl class="tiles">{cells}</dl>'


def _broken_tone(failed: int, allowed: int) -> str:
    return "bad" if failed > allowed else "unsure" if failed else ""


def failures(summary: Summary, rows: int) -> str:
    """A card for each broken rule, with at most `rows` exchanges of its witness."""
    broken = [rule for rule in summary["rules"] if rule["status"] == "fail"]
    return section("failures", "What failed", "".join(_card(rule, rows) for rule in broken))


def _card(rule: dict[str, Any], rows: int) -> str:
    name = rule["rule"]
    advice = ' <span class="badge unsure">good practice</span>' if rule["severity"] == "should" else ""
    excused, tone = excuse(rule), "unsure" if excuse(rule) else "bad"
    known = f'<p><span class="badge unsure">allowed</span> {as_html(excused, 600)}</p>' if excused else ""
    count = f"{rule['family']}, {rule['violations']:,} of {rule['examined']:,} occasions"
    shown = _witness(name, rule["witness"], rows) if rows else ""
    again = f"<h4>Show it again</h4>{command(rule['reproduce'])}" if rule["reproduce"] else ""
    hint = f"<h4>Where to look</h4><p>{as_html(rule['hint'], 600)}</p>" if rule["hint"] else ""
    return (
        f'<article class="card {tone}" id="rule-{as_html(name)}"><h3>{as_html(name)}{advice}</h3>{known}'
        f'<p class="told">{as_html(rule["message"], 600)}</p><p class="meta">{count}</p>{shown}{hint}{again}</article>'
    )


def _witness(name: str, witness: list[dict[str, Any]], rows: int) -> str:
    """The witness as a picture of both its ends, and as a table of its first `rows` exchanges."""
    if not witness:
        return ""
    part = "" if len(witness) <= rows else f", the first {rows} of {len(witness)} exchanges"
    data = exchange_table(witness[:rows], f"Witness of {name}")
    return (
        f"<figure><figcaption>Witness: the exchanges that contradict the rule</figcaption>{legend(_outcomes(witness))}"
        f"{timeline(witness, name, min(8, max(1, rows // 3)))}"
        f'<details class="data"><summary>Table: witness of {as_html(name)}{part}</summary>{data}</details></figure>'
    )


def _outcomes(witness: list[dict[str, Any]]) -> list[tuple[str, str]]:
    found = {one.get("outcome") for one in witness}
    return [(style, told) for style, told in OUTCOMES if style in found]


def exchange_table(witness: list[dict[str, Any]], caption: str) -> str:
    """Exchanges in full, times in ms since the first of them was sent."""
    start = min((one.get("sent_ms", 0.0) for one in witness), default=0.0)
    rows = [
        [
            number(one.get("row", 0)),
            number(one.get("sent_ms", 0.0) - start, 3),
            number(one.get("received_ms", 0.0) - start, 3),
            as_html(asked(one)),
            as_html(answered(one)),
            as_html(f"{one.get('stage', '')} {one.get('worker', '')}".strip()),
        ]
        for one in witness
    ]
    return table(["row", "sent ms", "answered ms", "request", "answer", "sent by"], rows, "rrrlll", caption)


def not_shown(summary: Summary) -> str:
    """What the run could not decide, with the reason and what would help."""
    rows = [
        [_name(rule), badge(rule["status"]), as_html(rule["message"], 600), as_html(rule["hint"], 600)]
        for status in ("inconclusive", "not-exercised")
        for rule in summary["rules"]
        if rule["status"] == status
    ]
    body = table(["rule", "verdict", "why", "what would help"], rows, "llll", "Rules that were not decided")
    gaps = summary["history"]["gaps"]
    if gaps:
        more = summary["history"]["gaps_in_all"] - len(gaps)
        items = "".join(f"<li>{as_html(gap, 600)}</li>" for gap in gaps) + (
            f"<li>and {more:,} more</li>" if more else ""
        )
        body += f"<h3>Missing from the history</h3><ul>{items}</ul>"
    return section("not-shown", "What was not shown", body, "Nothing examined is never a pass.")


def _name(rule: dict[str, Any]) -> str:
    return f'<span class="rule">{as_html(rule["rule"])}</span>' + (" (should)" if rule["severity"] == "should" else "")


def gates(summary: Summary) -> str:
    """The limits that the plan sets on the figures."""
    rows = [
        [
            as_html(gate["metric"]),
            badge(str(gate.get("status"))),
            as_html(gate.get("message", ""), 300),
            number(gate.get("samples")),
        ]
        for gate in summary["gates"]
    ]
    return section("gates", "Gates", table(["gate", "verdict", "result", "samples"], rows, "lllr", "Gates of the plan"))


def rules(summary: Summary) -> str:
    """Every rule by family: what it says, who says so, how much was examined."""
    families = list(dict.fromkeys(rule["family"] for rule in summary["rules"]))
    body = "".join(_family(name, [rule for rule in summary["rules"] if rule["family"] == name]) for name in families)
    return section("rules", "All rules", body)


def _family(name: str, of: list[dict[str, Any]]) -> str:
    return f"<h3>{as_html(name)}</h3>" + "".join(
        f'<details class="rule-row"><summary>{badge("allowed" if excuse(rule) else rule["status"])}{_name(rule)}'
        f'<span class="count">{number(rule["examined"])} examined</span></summary>'
        f"<p>{as_html(rule['message'], 600)}</p>"
        + pairs(
            (title, rule[key])
            for title, key in (("Rule", "statement"), ("Source", "source"), ("Hint", "hint"))
            if rule[key]
        )
        + command(rule["reproduce"])
        + "</details>"
        for rule in of
    )
