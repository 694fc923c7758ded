"""Known failures in the reports: whether a rule's failure is allowed, in the words that every form shows."""

from typing import Any

from harness.allowances import allowances_in, day_of
from reports.escape import visible


def allowed(rule: str, facts: dict[str, Any]) -> dict[str, Any] | None:
    """The allowance of a rule in run.json: `reason`, `until`, and whether it had `expired` when the run began."""
    one = allowances_in(facts).get(rule)
    if one is None:
        return None
    expired = one.expired(day_of(str(facts.get("started", ""))))
    return {"reason": visible(one.reason, 400), "until": one.facts()["until"], "expired": expired}


def excuse(rule: dict[str, Any]) -> str:
    """Why the failure of a rule of a summary does not count; empty where it does, or where there is none."""
    told = rule.get("allowed")
    if rule["status"] != "fail" or not told or told["expired"]:
        return ""
    term = f"until {told['until']}" if told["until"] else "without an end"
    return f"known failure, allowed {term}: {told['reason']}"
