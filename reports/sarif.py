"""The broken rules as SARIF 2.1.0, each at the lines of openapi.yaml that it rests on, for code scanning tools."""

import json
from hashlib import sha256
from typing import Any, Final

from reports.escape import visible
from reports.known import excuse
from reports.places import DOCUMENT, place_of
from reports.text import timeline_lines

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS: Final = {"must": "error", "should": "warning"}


def render(summary: dict[str, Any]) -> str:
    """The log as JSON: a result for each broken rule, which becomes an alert; the verdicts of all as a property."""
    driver = {
        "name": "stepup",
        "semanticVersion": visible(summary["run"]["environment"].get("harness", "0")),
        "rules": [_rule(rule) for rule in summary["rules"]],
    }
    told = {
        "tool": {"driver": driver},
        "invocations": [_invocation(summary)],
        "results": [_result(one, place) for place, one in enumerate(summary["rules"]) if one["status"] == "fail"],
        "columnKind": "unicodeCodePoints",
        "properties": {"verdicts": {rule["rule"]: rule["status"] for rule in summary["rules"]}},
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [told]}, indent=1, ensure_ascii=False) + "\n"


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    statement = rule["statement"] or rule["rule"]
    return {
        "id": rule["rule"],
        "shortDescription": {"text": visible(statement, 600)},
        "fullDescription": {"text": visible(f"{statement} Source: {rule['source'] or 'unknown'}", 1000)},
        "defaultConfiguration": {"level": LEVELS[rule["severity"]]},
        "properties": {"tags": [rule["family"]], "precision": "very-high"},
    }


def _invocation(summary: dict[str, Any]) -> dict[str, Any]:
    outcome, run = summary["outcome"], summary["run"]
    return {
        "commandLine": visible(run["command"], 4000),
        "exitCode": outcome["exit_code"],
        "exitCodeDescription": outcome["meaning"],
        "executionSuccessful": outcome["exit_code"] in (0, 1, 3, 4) and not outcome["partial"],
    }


def _result(rule: dict[str, Any], index: int) -> dict[str, Any]:
    lines = [rule["message"], *timeline_lines(rule["witness"]), rule["hint"], rule["reproduce"]]
    text = "\n".join(visible(line, 1000) for line in lines if line)
    place = place_of(rule["source"])
    excused = excuse(rule)
    # With a suppression the alert is kept and shown as dismissed (SARIF 2.1.0, section 3.27.23).
    told = {"kind": "external", "status": "accepted", "justification": visible(excused, 600)}
    return {
        "suppressions": [told] if excused else [],
        "ruleId": rule["rule"],
        "ruleIndex": index,
        "level": LEVELS[rule["severity"]],
        # SARIF reads braces and square brackets in a message as places to fill in and as links.
        "message": {"text": text.replace("{", "{{").replace("}", "}}").replace("[", "\\[").replace("]", "\\]")},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": DOCUMENT, "uriBaseId": "%SRCROOT%"},
                    "region": {"startLine": place.first, "endLine": place.last},
                }
            }
        ],
        "partialFingerprints": {"rule/v1": sha256(rule["rule"].encode()).hexdigest()[:32]},
    }
