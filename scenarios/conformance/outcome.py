"""What the stage leaves in the run folder besides its history: conformance.json, counted while pytest reports."""

from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from harness.run_folder import write_json
from scenarios.conformance.stage import CaseFailed, Stage

FILE: Final = "conformance.json"
LONGEST: Final = 4000  # characters of one failure's message
OURS: Final = f"{CaseFailed.__module__}.{CaseFailed.__name__}: "  # says nothing to a reader
MOST: Final = 200  # failures kept in full; the rest are counted


@dataclass
class Outcome:
    """Tests passed, failed and skipped, with why."""

    passed: int = 0
    failed: int = 0
    skipped: dict[str, int] = field(default_factory=dict)  # reason -> how many tests
    failures: list[dict[str, str]] = field(default_factory=list)

    def note(self, report: pytest.TestReport) -> None:
        if report.passed and report.when == "call":
            self.passed += 1
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            reason = reason.removeprefix("Skipped: ")
            self.skipped[reason] = self.skipped.get(reason, 0) + 1
        elif report.failed:
            self.failed += 1
            if len(self.failures) < MOST:
                self.failures.append(_failure(report))

    def line(self, stage: Stage) -> str:
        skipped = sum(self.skipped.values())
        tests = self.passed + self.failed + skipped
        return f"{stage.counts.sent:,} requests, {tests:,} tests: {self.failed:,} failed, {skipped:,} skipped"

    def write(self, stage: Stage) -> None:
        """Write conformance.json, without secrets."""
        clean = stage.redactor.clean
        failures = [{name: clean(text) for name, text in one.items()} for one in self.failures]
        told: dict[str, Any] = {
            "passed": self.passed,
            "failed": self.failed,
            "skipped": sum(self.skipped.values()),
            "cases": stage.counts.sent,
            "reasons": dict(sorted(self.skipped.items(), key=lambda one: -one[1])),
            "failures": failures,
            "coverage": stage.facts(),
        }
        write_json(stage.run / FILE, told)


def _failure(report: pytest.TestReport) -> dict[str, str]:
    crash = getattr(report.longrepr, "reprcrash", None)
    message = (crash.message if crash is not None else str(report.longrepr)).removeprefix(OURS)[:LONGEST]
    told = {name: _after(message, f"  {name}:") for name in ("curl", "again")}
    return {"nodeid": report.nodeid, "message": message, "curl": told["curl"], "rerun": told["again"]}


def _after(message: str, mark: str) -> str:
    """What stands behind `mark` on its line, empty where there is no such line."""
    line = next((line for line in message.splitlines() if line.startswith(mark)), "")
    return line.removeprefix(mark).strip()
