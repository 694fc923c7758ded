"""The verdict of a whole run: its exit code, and one sentence that says why."""

from typing import Any

from harness.errors import MEANING, ExitCode, worst
from harness.judge import REQUIRED, exit_code
from harness.verdict import Verdict

TITLES = {
    ExitCode.PASS: "Passed",
    ExitCode.FAILED: "Failed",
    ExitCode.GATE: "Gate missed",
    ExitCode.INCONCLUSIVE: "Not decided",
    ExitCode.UNREACHABLE: "Could not run",
    ExitCode.INTERRUPTED: "Interrupted",
}


def codes(verdicts: list[Verdict], facts: dict[str, Any], gates: list[dict[str, Any]]) -> set[ExitCode]:
    """Every exit code that applies to a run with these verdicts, facts and gates."""
    found = {exit_code(verdicts, [*REQUIRED, *facts.get("require", [])])}
    if facts.get("interrupted"):
        found.add(ExitCode.INTERRUPTED)
    if any(gate.get("status") != "pass" for gate in gates):
        found.add(ExitCode.GATE)
    if any(stage.get("exit") == ExitCode.UNREACHABLE for stage in facts.get("stages", {}).values()):
        found.add(ExitCode.UNREACHABLE)
    return found


def outcome(
    verdicts: list[Verdict], facts: dict[str, Any], gates: list[dict[str, Any]], exchanges: int
) -> dict[str, Any]:
    """`exit_code`, its `meaning`, a `title` of a word or two, a `sentence`, and `partial`: whether the run was cut."""
    code = worst(codes(verdicts, facts, gates))
    undecided = [name for name in [*REQUIRED, *facts.get("require", [])] if not _decided(name, verdicts)]
    return {
        "exit_code": int(code),
        "meaning": MEANING[code],
        "title": _title(code, exchanges),
        "sentence": " ".join(_sentences(verdicts, gates, undecided, exchanges)),
        "partial": _partial(facts),
        "undecided": undecided,
        "counts": {
            status: sum(one.status == status for one in verdicts)
            for status in ("pass", "fail", "inconclusive", "not-exercised")
        },
        "failed_must": sum(one.status == "fail" and one.severity == "must" for one in verdicts),
    }


def _title(code: ExitCode, exchanges: int) -> str:
    empty = not exchanges and code is not ExitCode.UNREACHABLE
    return "Empty run" if empty else TITLES.get(code, "Broken")


def _decided(name: str, verdicts: list[Verdict]) -> bool:
    return any(one.rule == name and one.status in ("pass", "fail") for one in verdicts)


def _partial(facts: dict[str, Any]) -> bool:
    stages = facts.get("stages", {}).values()
    cut = any(stage.get("timed_out") or "note" in stage for stage in stages)
    return bool(facts.get("interrupted") or cut)


def _sentences(verdicts: list[Verdict], gates: list[dict[str, Any]], undecided: list[str], exchanges: int) -> list[str]:
    if not exchanges:
        return ["The history holds no exchange, so nothing was shown."]
    if not verdicts:
        return [f"{exchanges:,} exchanges were recorded and not judged: `stepup judge` decides the rules."]
    broken = [one.rule for one in verdicts if one.status == "fail" and one.severity == "must"]
    advised = [one.rule for one in verdicts if one.status == "fail" and one.severity == "should"]
    missed = [str(gate.get("metric")) for gate in gates if gate.get("status") != "pass"]
    kept = sum(one.status == "pass" for one in verdicts)
    told = [f"The endpoint broke {_rules(broken)}." if broken else _kept(kept, len(verdicts), exchanges)]
    if advised:
        told.append(f"It does not follow {_rules(advised)}, which is good practice.")
    if missed:
        told.append(f"Missed: {_few(missed)}.")
    if undecided:
        told.append(f"Not decided, though a pass needs it: {_few(undecided)}.")
    return told


def _kept(kept: int, of: int, exchanges: int) -> str:
    if not kept:
        return f"No rule could be decided on {exchanges:,} exchanges."
    return f"The endpoint kept {kept} of {of} rules over {exchanges:,} exchanges; no rule of the contract was broken."


def _rules(names: list[str]) -> str:
    return f"the rule {names[0]}" if len(names) == 1 else f"{len(names)} rules: {_few(names)}"


def _few(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
