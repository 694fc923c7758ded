"""Decides every rule over a history: findings become verdicts, each with its witness and a way to reproduce it."""

import traceback
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from harness.errors import ExitCode, HarnessError, suggest
from harness.history import SCHEMA, TIMES, History
from harness.profile import Profile
from harness.reproduce import Run, reproduce
from harness.rules import RULES, Finding, Rule, Violation
from harness.rules.bounds.lanes import TooLargeError
from harness.rules.run import gaps_of
from harness.verdict import Status, Verdict

# Without a decision of these a run has seen too little to speak of a pass.
REQUIRED: Final = ("documented-status", "response-schema", "idempotent-replay", "history-complete")
LARGEST_WITNESS: Final = 60  # exchanges shown; a reader who needs more has the history
GAPS_SHOWN: Final = 3
UNKNOWN_RUN: Final = Run()


def judge(history: History, profile: Profile, *, seed: int = 0, command: str = "") -> list[Verdict]:
    """The verdict of every rule, in the order in which they are registered.

    `seed` and `command`, with which the run was started, go into what reproduces a failure.
    """
    whole = with_known_gaps(history)
    return [verdict_on(rule, whole, profile, Run(seed, command)) for rule in RULES.values()]


def with_known_gaps(history: History) -> History:
    """The history with all that is known to be missing from it in `gaps`, where rules look for it."""
    return replace(history, gaps=gaps_of(history))


def verdict_on(rule: Rule, history: History, profile: Profile, run: Run = UNKNOWN_RUN) -> Verdict:
    """One rule's verdict. A check that breaks down knows nothing: that is inconclusive, and the run is not lost."""
    try:
        return verdict_from(rule, rule.check(history, profile), history, profile, run)
    except Exception as error:  # whatever it is, the other rules still have to be decided
        return broken(rule, error)


def verdict_from(rule: Rule, finding: Finding, history: History, profile: Profile, run: Run) -> Verdict:
    """The verdict that follows from what was seen of a rule."""
    status, message, hint = _decide(rule, finding, history.gaps, profile)
    if not finding.violations:
        return Verdict(rule.id, rule.severity, status, finding.examined, message, hint)
    first, shown = finding.violations[0], history.with_earlier
    return Verdict(
        rule=rule.id,
        severity=rule.severity,
        status=status,
        examined=finding.examined,
        message=message,
        hint=hint,
        witness=witness_of(shown, first),
        reproduce=reproduce(rule, shown, first, run, profile) if status == "fail" else "",
        violations=finding.all_told,
    )


def exit_code(verdicts: list[Verdict], required: list[str] | tuple[str, ...] = REQUIRED) -> ExitCode:
    """How a judgement ends: what the document demands decides, then whether enough was seen; `should` never does."""
    if any(verdict.status == "fail" and verdict.severity == "must" for verdict in verdicts):
        return ExitCode.FAILED
    decided = {verdict.rule for verdict in verdicts if verdict.status in ("pass", "fail")}
    return ExitCode.PASS if set(required) <= decided else ExitCode.INCONCLUSIVE


def check_rules(where: str, rules: Iterable[str]) -> None:
    """HarnessError where one of these is no rule; `where` says who named them."""
    for name in rules:
        if name not in RULES:
            raise HarnessError(f"{where} {name}: no such rule", hint=suggest(name, list(RULES)))


def _decide(rule: Rule, finding: Finding, gaps: tuple[str, ...], profile: Profile) -> tuple[Status, str, str]:
    """Status, message and hint that follow from what a check saw, in order of what outweighs what."""
    missing = _missing(gaps) if rule.scope == "history" else ""
    if finding.violations:
        told = _contradiction(finding)
        if missing and not rule.stands(profile):
            return "inconclusive", f"{told} But what is missing could explain it: {missing}", AGAIN
        return "fail", told, rule.advice
    if finding.examined == 0 and not finding.shortfall:
        return "not-exercised", finding.note or "nothing in this history could have broken it", finding.lacks
    if missing:
        return "inconclusive", f"held on what was seen ({_seen(finding)}), but a part is missing: {missing}", AGAIN
    if finding.shortfall:
        return "inconclusive", finding.shortfall, finding.lacks
    if finding.examined < rule.least:
        return "inconclusive", f"held on {_seen(finding)}, but a pass needs at least {rule.least:,}", finding.lacks
    return "pass", f"held on {_seen(finding)}", ""


AGAIN: Final = "Run the test again; where a worker died, find out why first."


def _seen(finding: Finding) -> str:
    occasions = f"{finding.examined:,} occasion{'s' if finding.examined != 1 else ''}"
    return f"{occasions}: {finding.note}" if finding.note else occasions


def _missing(gaps: tuple[str, ...]) -> str:
    more = len(gaps) - GAPS_SHOWN
    return "; ".join(gaps[:GAPS_SHOWN]) + (f"; and {more:,} more" if more > 0 else "")


def _contradiction(finding: Finding) -> str:
    """The first violation's sentence, how many more there are, and what of its witness is not shown."""
    first, more = finding.violations[0], finding.all_told - 1
    told = first.message.rstrip(".") + "."
    if more > 0:
        told += f" {more:,} more such violation{'s' if more > 1 else ''}, of {finding.examined:,} occasions."
    hidden = len(first.rows) - LARGEST_WITNESS
    return told + (f" The witness leaves out {hidden:,} exchanges in its middle." if hidden > 0 else "")


def witness_of(history: History, violation: Violation) -> list[dict[str, Any]]:
    """The violation's exchanges in order of sending, without empty columns, times also in ms; at most 60 of them."""
    rows = sorted(set(violation.rows))
    if len(rows) > LARGEST_WITNESS:
        # Both ends of a window tell more than its middle.
        rows = rows[: LARGEST_WITNESS // 2] + rows[-(LARGEST_WITNESS // 2) :]
    frame = history.at(np.array(rows, np.int64), SCHEMA.names).astype(object)
    return [_shown(row, told) for row, told in zip(rows, frame.to_dict("records"), strict=True)]


def _shown(row: int, told: dict[Any, Any]) -> dict[str, Any]:
    full = {"row": row, **{name: _plain(value) for name, value in told.items()}}
    for name in TIMES:
        full[f"{name}_ms"] = round(full[name] / 1e6, 3)
    return {name: value for name, value in full.items() if value not in (None, "")}


def _plain(value: Any) -> Any:
    """A value that JSON can hold; None for what pandas calls missing."""
    if value is None or pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value


def broken(rule: Rule, error: Exception) -> Verdict:
    """The verdict on a rule whose check broke down."""
    if isinstance(error, TooLargeError):
        hint = "Run for a shorter time, or with fewer users."
        return Verdict(rule.id, rule.severity, "inconclusive", 0, str(error), hint)
    place = traceback.extract_tb(error.__traceback__)[-1]
    what = f"{type(error).__name__}: {error}"[:200]
    where = f"{place.filename.rpartition('/')[2]}, line {place.lineno}"
    hint = "This is a defect of the harness, not of the target; please report it."
    return Verdict(rule.id, rule.severity, "inconclusive", 0, f"its check broke down: {what} ({where})", hint)
