"""A verdict and a whole run as plain text, for a terminal and for logs."""

from typing import Any, Final

from reports.escape import visible
from reports.known import excuse

TOLD: Final = 12  # exchanges of a witness in a text; the other reports show more
COMMAND: Final = 4000
CONTROL: Final = {
    "accept": "accepts a challenge", "decline": "declines a challenge", "pushes": "counts pushes", "reset": "resets",
}  # fmt: skip


def render(summary: dict[str, Any]) -> str:
    """The whole run as plain text."""
    outcome, run = summary["outcome"], summary["run"]
    lines = [f"{outcome['title']}: {outcome['sentence']}", f"target {run['target']}, {_size(summary)}"]
    if outcome["partial"]:
        lines.append("This run is partial: it was cut before its end.")
    lines += [f"note: {told}" for told in outcome["allowances"]]
    for rule in summary["rules"]:
        if rule["status"] == "fail":
            lines += ["", *failure_lines(rule)]
    lines += ["", *(f"{rule['status']:<13}  {rule['rule']}: {rule['message']}" for rule in summary["rules"])]
    lines += [f"found: {sentence}" for sentence in summary["load"].get("findings", [])]
    lines += [f"missing: {gap}" for gap in summary["history"]["gaps"]]
    lines += [f"gate {gate['metric']}: {gate['status']}, {gate.get('message', '')}" for gate in summary["gates"]]
    return "\n".join(visible(line, COMMAND) for line in lines) + "\n"


def _size(summary: dict[str, Any]) -> str:
    history = summary["history"]
    return f"{history['exchanges']:,} exchanges in {history['seconds']:,.1f} s"


def failure_lines(rule: dict[str, Any]) -> list[str]:
    """What a failed rule says: its sentence, its witness as a timeline, and the command that shows it again."""
    excused = excuse(rule)
    lines = [f"✗ {visible(rule['rule'])}: {visible(rule['message'], 1000)}"]
    lines += [f"  {visible(excused, 600)}"] if excused else []
    lines += timeline_lines(rule["witness"])
    if rule["hint"]:
        lines.append(f"  look at: {visible(' '.join(rule['hint'].split()), 1000)}")
    if rule["reproduce"]:
        lines.append(f"  again:   {visible(rule['reproduce'], COMMAND)}")
    return lines


def timeline_lines(witness: list[dict[str, Any]]) -> list[str]:
    """A line an exchange in order of sending: when, who, what, and what came back; both ends of a long witness."""
    told = witness if len(witness) <= TOLD + 1 else [*witness[: TOLD // 2], {}, *witness[-TOLD // 2 :]]
    start = min((one.get("sent_ms", 0.0) for one in witness), default=0.0)
    return [_line(one, start) if one else f"    … {len(witness) - TOLD:,} more exchanges" for one in told]


def _line(one: dict[str, Any], start: float) -> str:
    sent, received = one.get("sent_ms", 0.0) - start, one.get("received_ms", 0.0) - start
    return f"    {sent:>10,.3f} to {received:>10,.3f} ms  {asked(one)} → {answered(one)}"


def asked(one: dict[str, Any]) -> str:
    """What was sent, in a few words."""
    operation = str(one.get("operation", "push"))
    parts = [who(one), CONTROL.get(operation, ""), str(one.get("channel", ""))]
    if "ref" in one:
        parts.append(f"ref {visible(one['ref'], 48)!s}")
    return " ".join(visible(part, 64) for part in parts if part)


def who(one: dict[str, Any]) -> str:
    """Which user of the pool sent it, or that it was a control call of the harness."""
    if one.get("operation", "push") != "push":
        return "harness"
    return f"user {one['user']}" if one.get("user", -1) >= 0 else "no user"


def answered(one: dict[str, Any]) -> str:
    """What came back, in a few words."""
    status = one.get("status", 0)
    if not status:
        return f"no answer ({visible(one.get('error', 'lost'), 60)})"
    parts = [str(status), one.get("error_code", "")]
    if one.get("challenge_id"):
        parts.append(f"id {visible(one['challenge_id'], 48)}")
    if one.get("retry_after"):
        parts.append(f"retry after {visible(one['retry_after'], 24)}")
    if one.get("operation") == "pushes" and status == 200:
        parts.append(f"{one.get('told', 0):,} pushes")
    if one.get("body_fault"):
        parts.append(f"({visible(one['body_fault'], 80)})")
    return " ".join(visible(part, 96) for part in parts if part)
