"""Known failures: a rule that may fail for a stated reason until a date, judged and shown all the same."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from harness.errors import HarnessError

EXAMPLE: Final = "Write it as --allow 'idempotent-concurrent=mended in 3.64@2026-12-31'; the date may be left out."
# What stands behind the last @ and begins with a digit is meant as a date; an address of a person begins otherwise.
_FORM: Final = re.compile(r"(?P<rule>[^=@\s]+)\s*=\s*(?P<reason>.*?)\s*(?:@(?P<until>\d[\d./-]*))?", re.DOTALL)


@dataclass(frozen=True)
class Allowance:
    """`rule` may fail until the end of the day `until` (UTC), or without an end; `reason` is for readers."""

    rule: str
    reason: str
    until: date | None = None

    def expired(self, on: date) -> bool:
        """Whether it no longer holds on this day."""
        return self.until is not None and on > self.until

    @property
    def term(self) -> str:
        """How long it holds, in words."""
        return f"until {self.until.isoformat()}" if self.until else "without an end"

    def facts(self) -> dict[str, Any]:
        """The allowance for run.json."""
        return {"rule": self.rule, "reason": self.reason, "until": self.until.isoformat() if self.until else None}


def parse_allowance(text: str) -> Allowance:
    """The allowance in `RULE=REASON[@YYYY-MM-DD]`; HarnessError where it is not of that form."""
    found = _FORM.fullmatch(text.strip())
    if not found or not found["reason"]:
        raise HarnessError(f"--allow {text!r:.120}: needs a rule and a reason", hint=EXAMPLE)
    return Allowance(found["rule"], found["reason"], _date(found["until"], f"--allow {found['rule']}"))


def allowances_of(rows: Iterable[dict[str, Any]], where: str) -> tuple[Allowance, ...]:
    """The allowances in rows of `rule`, `reason`, `until`, as a profile and run.json have them; HarnessError where one
    has no date for a date, or two are for one rule."""
    found: dict[str, Allowance] = {}
    for row in rows:
        rule = str(row["rule"])
        if rule in found:
            raise HarnessError(f"{where}: two allowances for {rule}", hint="Leave one of them.")
        found[rule] = Allowance(rule, str(row["reason"]), _date(row.get("until"), f"{where}: {rule}"))
    return tuple(found.values())


def allowances_in(facts: dict[str, Any]) -> dict[str, Allowance]:
    """The allowances in the facts of a run folder, by rule."""
    return {one.rule: one for one in allowances_of(facts.get("allowed", []), "run.json: allowed")}


def merged(given: Iterable[Allowance], others: Iterable[Allowance]) -> list[Allowance]:
    """All of both; of two for one rule, the given one."""
    return list({one.rule: one for one in (*others, *given)}.values())


def day_of(started: str) -> date:
    """The day on which allowances of a run that started then have to hold; today where that is not known.

    Judging an old run anew then comes to the same end as it did.
    """
    try:
        return datetime.fromisoformat(started).astimezone(UTC).date()
    except (ValueError, OverflowError):
        return datetime.now(UTC).date()


def _date(text: str | None, where: str) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise HarnessError(f"{where}: {text!r:.40} is no date", hint="Write it as YYYY-MM-DD: 2026-12-31.") from error
