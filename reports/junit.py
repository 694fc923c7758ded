"""The verdicts and gates as JUnit XML: a suite a rule family, and one for the gates."""

from collections.abc import Iterable
from typing import Any
from xml.sax.saxutils import quoteattr

from reports.escape import visible
from reports.known import excuse
from reports.text import timeline_lines

LONGEST = 4000


def render(summary: dict[str, Any]) -> str:
    """The XML. A missed gate is a failure. What was not decided is skipped, with its reason.

    So are good practice that was not followed and known failures that are allowed, as they do not fail a run.
    """
    families = list(dict.fromkeys(rule["family"] for rule in summary["rules"]))
    suites = [
        _suite(family, [_rule_case(rule) for rule in summary["rules"] if rule["family"] == family])
        for family in families
    ]
    if summary["gates"]:
        suites.append(_suite("gates", [_gate_case(gate) for gate in summary["gates"]]))
    cases = [case for suite in suites for case in suite[1]]
    counts = {name: count for name, count in _counts(cases).items() if name != "skipped"}  # not known at the top
    head = _tag("testsuites", name=f"stepup {summary['run']['name']}", **counts)
    body = "".join(text for text, _ in suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head}\n{body}</testsuites>\n'


Case = tuple[str, str]  # its XML, and which of failures, skipped or nothing it counts as


def _suite(name: str, cases: list[Case]) -> tuple[str, list[Case]]:
    body = "".join(text for text, _ in cases)
    return f"  {_tag('testsuite', name=name, **_counts(cases))}\n{body}  </testsuite>\n", cases


def _counts(cases: Iterable[Case]) -> dict[str, int]:
    kinds = [kind for _, kind in cases]
    return {"tests": len(kinds), "failures": kinds.count("failure"), "errors": 0, "skipped": kinds.count("skipped")}


def _rule_case(rule: dict[str, Any]) -> Case:
    if rule["status"] == "pass":
        return _case(rule["family"], rule["rule"], "", "", "")
    excused = excuse(rule)
    if rule["status"] == "fail":
        lines = [rule["message"], *timeline_lines(rule["witness"]), rule["hint"], rule["reproduce"]]
        kind, told = "failure", rule["message"]
        if excused:
            kind, told = "skipped", f"{excused}: {rule['message']}"
        elif rule["severity"] == "should":
            kind, told = "skipped", f"good practice that was not followed: {rule['message']}"
        return _case(rule["family"], rule["rule"], kind, told, "\n".join(filter(None, map(_safe, lines))))
    reason = f"{rule['status']}: {rule['message']}" + (f" {rule['hint']}" if rule["hint"] else "")
    return _case(rule["family"], rule["rule"], "skipped", reason, "")


def _gate_case(gate: dict[str, Any]) -> Case:
    told = f"{gate.get('message') or gate.get('status')}"
    return _case("gates", str(gate["metric"]), "" if gate.get("status") == "pass" else "failure", told, "")


def _case(family: str, name: str, kind: str, message: str, text: str) -> Case:
    head = _tag("testcase", classname=f"stepup.{family}", name=name)
    if not kind:
        return f"    {head[:-1]}/>\n", ""
    inner = _tag(kind, message=_safe(message))
    body = f"{inner}{_escaped(text)}</{kind}>" if text else f"{inner[:-1]}/>"
    return f"    {head}{body}</testcase>\n", kind


def _tag(tag: str, /, **attributes: object) -> str:
    return f"<{tag}" + "".join(f" {key}={quoteattr(_safe(value))}" for key, value in attributes.items()) + ">"


def _safe(text: object) -> str:
    return visible(text, LONGEST)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
