"""The verdict of a whole run: its exit code, and one sentence that says why."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from harness.allowances import allowances_in, day_of
from harness.errors import MEANING, ExitCode, worst
from harness.judge import REQUIRED, exit_code
from harness.run_folder import FACTS
from harness.verdict import Verdict
from reports.escape import visible

TITLES = {
    ExitCode.PASS: "Passed",
    ExitCode.FAILED: "Failed",
    ExitCode.USAGE: "Damaged",
    ExitCode.GATE: "Gate missed",
    ExitCode.INCONCLUSIVE: "Not decided",
    ExitCode.UNREACHABLE: "Could not run",
    ExitCode.INTERRUPTED: "Interrupted",
}


def codes(verdicts: list[Verdict], facts: dict[str, Any], gates: list[dict[str, Any]]) -> set[ExitCode]:
    """Every exit code that applies to a run with these verdicts, facts and gates."""
    found = {exit_code(_as_they_count(verdicts, facts), [*REQUIRED, *facts.get("require", [])])}
    if facts.get("unreadable"):
        found.add(ExitCode.USAGE if FACTS in facts["unreadable"] else ExitCode.INCONCLUSIVE)
    if facts.get("interrupted"):
        found.add(ExitCode.INTERRUPTED)
    stages = facts.get("stages", {}).values()
    aborted = any(stage.get("aborted") for stage in stages)
    if aborted or any(gate.get("status") != "pass" for gate in gates):
        found.add(ExitCode.GATE)
    if aborted:
        found.discard(ExitCode.INCONCLUSIVE)  # what was not decided was not, because a gate ended the run
    if failed_checks(verdicts, facts):
        found.add(ExitCode.INCONCLUSIVE)
    if any(stage.get("exit") == ExitCode.UNREACHABLE for stage in stages):
        found.add(ExitCode.UNREACHABLE)
    return found


def failed_checks(verdicts: list[Verdict], facts: dict[str, Any]) -> int:
    """How many checks of the conformance stage failed where no rule is broken: nobody knows why, so it is no pass."""
    failed = int(facts.get("stages", {}).get("conformance", {}).get("failed_checks", 0))
    return 0 if any(one.status == "fail" for one in verdicts) else failed


def allowed_failures(verdicts: list[Verdict], facts: dict[str, Any]) -> set[str]:
    """The rules that fail and may, by an allowance that had not ended when the run began."""
    allowances, day = allowances_in(facts), day_of(str(facts.get("started", "")))
    failed = [allowances[one.rule] for one in verdicts if one.status == "fail" and one.rule in allowances]
    return {one.rule for one in failed if not one.expired(day)}


def _as_they_count(verdicts: list[Verdict], facts: dict[str, Any]) -> list[Verdict]:
    """The verdicts as the exit code takes them: a failure that is allowed counts as a rule that was kept."""
    allowed = allowed_failures(verdicts, facts)
    return [replace(one, status="pass") if one.rule in allowed else one for one in verdicts]


def allowance_sentences(verdicts: list[Verdict], facts: dict[str, Any]) -> Iterator[str]:
    """What became of each allowance, where there is something to do about it."""
    status, day = {one.rule: one.status for one in verdicts}, day_of(str(facts.get("started", "")))
    for one in allowances_in(facts).values():
        name, found, expired = visible(one.rule), status.get(one.rule), one.expired(day)
        if found == "fail" and expired:
            yield f"{name} was allowed to fail until {one.until}, and counts again: {visible(one.reason, 400)}"
        elif found == "fail":
            yield f"{name} is a known failure, allowed {one.term}: {visible(one.reason, 400)}"
        elif found == "pass":
            yield f"{name} passes: its allowance ({one.term}) can be removed."


def outcome(
    verdicts: list[Verdict], facts: dict[str, Any], gates: list[dict[str, Any]], exchanges: int
) -> dict[str, Any]:
    """`exit_code`, its `meaning`, a `title` of a word or two, a `sentence`, and `partial`: whether the run was cut.

    `allowances` are sentences on known failures, on those whose time is over, and on those that are no more.
    """
    code = worst(codes(verdicts, facts, gates))
    allowed = allowed_failures(verdicts, facts)
    undecided = [name for name in [*REQUIRED, *facts.get("require", [])] if not _decided(name, verdicts)]
    return {
        "exit_code": int(code),
        "meaning": MEANING[code],
        "title": _title(code, exchanges),
        "sentence": " ".join(
            [*_sentences(verdicts, gates, undecided, exchanges, allowed), *_checks(failed_checks(verdicts, facts))]
        ),
        "allowances": list(allowance_sentences(verdicts, facts)),
        "partial": _partial(facts),
        "undecided": undecided,
        "counts": {
            status: sum(one.status == status for one in verdicts)
            for status in ("pass", "fail", "inconclusive", "not-exercised")
        },
        "allowed": len(allowed),
        "failed_must": sum(_broken(one, allowed) and one.severity == "must" for one in verdicts),
    }


def _broken(one: Verdict, allowed: set[str]) -> bool:
    return one.status == "fail" and one.rule not in allowed


def _title(code: ExitCode, exchanges: int) -> str:
    empty = not exchanges and code is not ExitCode.UNREACHABLE
    return "Empty run" if empty else TITLES.get(code, "Broken")


def _decided(name: str, verdicts: list[Verdict]) -> bool:
    return any(one.rule == name and one.status in ("pass", "fail") for one in verdicts)


def _partial(facts: dict[str, Any]) -> bool:
    stages = facts.get("stages", {}).values()
    cut = any(stage.get("timed_out") or "note" in stage for stage in stages)
    return bool(facts.get("interrupted") or facts.get("unreadable") or cut)


def _sentences(
    verdicts: list[Verdict], gates: list[dict[str, Any]], undecided: list[str], exchanges: int, allowed: set[str]
) -> list[str]:
    if not exchanges:
        return ["The history holds no exchange, so nothing was shown."]
    if not verdicts:
        return [f"{exchanges:,} exchanges were recorded and not judged: `stepup judge` decides the rules."]
    broken = [one.rule for one in verdicts if _broken(one, allowed) and one.severity == "must"]
    advised = [one.rule for one in verdicts if _broken(one, allowed) and one.severity == "should"]
    missed = [str(gate.get("metric")) for gate in gates if gate.get("status") != "pass"]
    kept = sum(one.status == "pass" for one in verdicts)
    told = [f"The endpoint broke {_rules(broken)}." if broken else _kept(kept, len(verdicts), exchanges, allowed)]
    if advised:
        told.append(f"It does not follow {_rules(advised)}, which is good practice.")
    if missed:
        told.append(f"Missed: {_few(missed)}.")
    if undecided:
        told.append(f"Not decided, though a pass needs it: {_few(undecided)}.")
    return told


def _checks(failed: int) -> list[str]:
    checks = "1 check" if failed == 1 else f"{failed:,} checks"
    return [f"{checks} of the conformance stage failed, and no rule says why: see conformance.log."] if failed else []


def _kept(kept: int, of: int, exchanges: int, allowed: set[str]) -> str:
    if not kept and not allowed:
        return f"No rule could be decided on {exchanges:,} exchanges."
    told = f"The endpoint kept {kept} of {of} rules over {exchanges:,} exchanges; "
    if not allowed:
        return told + "no rule of the contract was broken."
    return told + f"nothing was broken but {_rules(sorted(allowed))}, a known failure that is allowed."


def _rules(names: list[str]) -> str:
    return f"the rule {names[0]}" if len(names) == 1 else f"{len(names)} rules: {_few(names)}"


def _few(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
