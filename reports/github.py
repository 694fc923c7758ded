"""A run for GitHub Actions: annotations, the job summary and the comment on a pull request."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from reports import markdown
from reports.escape import as_command, as_property
from reports.known import excuse
from reports.places import DOCUMENT, place_of

MARKER: Final = "<!-- stepup-harness -->\n"  # by which a later run finds its comment, to replace it
MOST: Final = 10  # annotations of a kind that GitHub shows for a step


def comment(summary: dict[str, Any]) -> str:
    """A pull request comment; GitHub takes 65,536 characters, and bytes are never fewer than characters."""
    return MARKER + markdown.render(summary, markdown.COMMENT - len(MARKER))


def annotations(summary: dict[str, Any]) -> list[str]:
    """A log command for each broken rule and missed gate: errors first, then known failures and good practice."""
    broken = [one for one in summary["rules"] if one["status"] == "fail"]
    errors = [_annotation("error", one) for one in broken if one["severity"] == "must" and not excuse(one)]
    errors += [
        f"::error title=gate {as_property(gate['metric'])}::{as_command(gate.get('message', ''), 600)}"
        for gate in summary["gates"]
        if gate.get("status") != "pass"
    ]
    warnings = [_annotation("warning", one) for one in broken if one["severity"] == "should" or excuse(one)]
    return [*errors[:MOST], *warnings[:MOST]]


def _annotation(level: str, rule: dict[str, Any]) -> str:
    place = place_of(rule["source"])
    where = f"file={DOCUMENT},line={place.first},endLine={place.last}"
    told = ": ".join(filter(None, (excuse(rule), rule["message"])))
    return f"::{level} {where},title={as_property(rule['rule'])}::{as_command(told, 600)}"


def publish(summary: dict[str, Any], environment: Mapping[str, str]) -> list[str]:
    """Append the job summary to the file that GitHub names; the log commands to print. Nothing outside of Actions."""
    if environment.get("GITHUB_ACTIONS") != "true":
        return []
    where = environment.get("GITHUB_STEP_SUMMARY")
    if where:
        used = Path(where).stat().st_size if Path(where).exists() else 0
        with Path(where).open("a", encoding="utf-8") as file:
            file.write(markdown.render(summary, max(2000, markdown.JOB_SUMMARY - used)))
    return annotations(summary)
