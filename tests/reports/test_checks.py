"""Checks of the conformance stage that failed are no pass, even where no rule is broken."""

from typing import Any

import pytest

from harness.errors import ExitCode, worst
from harness.judge import REQUIRED
from harness.verdict import Status, Verdict
from reports.outcome import codes, outcome


def verdicts(status: Status, severity: Any = "must") -> list[Verdict]:
    kept = [Verdict(name, "must", "pass", 9, "held on 9 occasions", "") for name in REQUIRED]
    return [*kept, Verdict("no-server-error", severity, status, 9, "told", "")]


@pytest.mark.parametrize(
    ("status", "severity", "failed", "code"),
    [
        ("pass", "must", 0, ExitCode.PASS),
        ("pass", "must", 2, ExitCode.INCONCLUSIVE),
        ("fail", "must", 2, ExitCode.FAILED),
        ("fail", "should", 2, ExitCode.PASS),
    ],
)
def test_a_failed_check_is_no_pass_unless_a_rule_says_why(
    status: Status, severity: str, failed: int, code: ExitCode
) -> None:
    facts = {"stages": {"conformance": {"exit": 1, "failed_checks": failed}}}
    assert worst(codes(verdicts(status, severity), facts, [])) == code
    told = outcome(verdicts(status, severity), facts, [], 100)["sentence"]
    assert ("2 checks of the conformance stage failed" in told) == (code is ExitCode.INCONCLUSIVE)
