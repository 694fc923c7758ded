"""The last part of report.html: conformance failures, coverage, how the run went, and how to repeat it."""

from typing import Any

from reports.escape import as_html
from reports.parts import badge, command, day, number, pairs, section, table

Summary = dict[str, Any]


def conformance(summary: Summary) -> str:
    """What the conformance stage says of itself, with a command for each of its failures."""
    told = summary["conformance"]
    if not told:
        return ""
    counts = ", ".join(f"{told[name]:,} {name}" for name in ("cases", "passed", "failed", "skipped") if name in told)
    cards = "".join(
        f'<details class="rule-row"><summary><span class="badge bad">failed</span>{as_html(one["nodeid"])}</summary>'
        f"<p>{as_html(one['message'], 600)}</p>{command(one['curl'])}{command(one['rerun'])}</details>"
        for one in told["failures"]
    )
    reasons = [[as_html(why, 300), number(count)] for why, count in told["reasons"].items()]
    skipped = table(["skipped, as", "cases"], reasons, "lr", "Cases that were skipped")
    return section("conformance", "Conformance scenarios", f"<p>{as_html(counts)}</p>{cards}{skipped}")


def coverage(summary: Summary) -> str:
    """Which kinds of request were sent, what they were answered with, and the verdict on the rule they decide."""
    verdicts = {rule["rule"]: rule["status"] for rule in summary["rules"]}
    rows = [
        [
            as_html(row["intent"]),
            as_html(row["says"]),
            number(sum(row["sent"].values())) if row["sent"] else '<span class="badge idle">none</span>',
            as_html(", ".join(f"{count:,} x {status}" for status, count in row["statuses"].items())),
            as_html(row["rule"]),
            badge(verdicts[row["rule"]]) if row["rule"] in verdicts else "",
        ]
        for row in summary["coverage"]
    ]
    head = ["kind of request", "what it shows", "sent", "statuses", "decides", "verdict"]
    body = table(head, rows, "llrlll", "Kinds of request sent")
    return section("coverage", "Coverage", f"<details><summary>{len(rows)} kinds of request</summary>{body}</details>")


def repeat(summary: Summary) -> str:
    """How the run went and how to repeat it."""
    run, history = summary["run"], summary["history"]
    body = f"<h3>Repeat this run</h3>{command(run['command'])}"
    entries = [
        ("Target", run["target"]),
        ("Started", day(run["started"])),
        ("Seed", run["seed"]),
        ("Plan", run["plan"] or "none"),
        ("Users in the pool", f"{run['users']:,}"),
        ("Contract version", summary["contract"]),
        *((name.capitalize(), value) for name, value in run["environment"].items()),
    ]
    body += f"<h3>Environment</h3>{pairs(entries)}"
    stages = [
        [
            as_html(one["name"]),
            as_html(one.get("exit", "")),
            number(one.get("seconds"), 1),
            as_html(one.get("note", ""), 600),
        ]
        for one in run["stages"]
    ]
    body += table(["stage", "exit code", "seconds", "note"], stages, "lrrl", "Stages")
    workers = [
        [as_html(one["stage"]), as_html(one["worker"]), number(one["sent"]), number(one["recorded"]),
         "yes" if one["clean"] else "no: it was lost"]
        for one in history["workers"]
    ]  # fmt: skip
    body += table(["stage", "worker", "sent", "recorded", "ended cleanly"], workers, "llrrl", "Processes that sent")
    declared = [[as_html(name), as_html(value)] for name, value in run["declared"].items()]
    told = table(["setting", "value"], declared, "ll", "Profile")
    body += f"<details><summary>What the profile declares</summary>{told}</details>"
    return section("run", "The run", body)
