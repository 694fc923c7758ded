"""Tells how a load goes, a line of JSON a second on standard output, and how it went, in load.json."""

import json
import sys
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from harness.run_folder import RunFolder, write_json
from scenarios.load import green
from scenarios.load.conclusions import Conclusions
from scenarios.load.part import Deal
from scenarios.load.schedule import rate_at

FACTS: Final = "load.json"
EVERY_S: Final = 1.0
VERSION: Final = 1


class Progress:
    """Prints the figures of Locust's statistics while the load runs; exact ones come from the history later.

    `late_ms` gives how late arrivals were dealt with in the last second or so (p99).
    """

    def __init__(self, environment: Any, deal: Deal, late_ms: Callable[[], float]) -> None:
        self._environment = environment
        self._deal = deal
        self._late_ms = late_ms
        self._began = monotonic()
        self._greenlet = green.serve(self._tell)

    def stop(self) -> None:
        self._greenlet.kill()

    def _tell(self) -> None:
        while True:
            green.sleep(EVERY_S)
            print(json.dumps(self._figures()), flush=True)  # noqa: T201

    def _figures(self) -> dict[str, Any]:
        total, at = self._environment.stats.total, monotonic() - self._began
        return {
            "at_s": round(at, 1),
            "of_s": round(self._deal.seconds, 1),
            "sent": total.num_requests,
            "per_s": round(total.current_rps, 1),
            "p50_ms": total.get_current_response_time_percentile(0.5),
            "p99_ms": total.get_current_response_time_percentile(0.99),
            "failed": total.num_failures,
            "late_ms": self._late_ms(),
            "users": self._environment.runner.user_count,
            "scenarios": running(self._deal, at),
        }


def running(deal: Deal, at: float) -> str:
    """The scenarios that are at work `at` seconds after the start, steady traffic with its rate."""
    parts = [part for part in deal.parts if part.start_s <= at < part.end_s]
    rates: dict[str, float] = {}
    for part in parts:
        steady = part.stage.scenario == "background" and part.stage.arrivals not in ("closed", "search")
        rate = rate_at(part.stage, at - part.start_s) if steady else 0.0
        rates[part.stage.scenario] = rates.get(part.stage.scenario, 0.0) + rate
    return ", ".join(f"{name} {rate:,.0f}/s" if rate else name for name, rate in rates.items())


def say(sentence: str) -> None:
    """One line for the log and the screen."""
    sys.stdout.write(sentence + "\n")
    sys.stdout.flush()


def write_facts(
    folder: RunFolder, plan: str, deals: list[Deal], results: list[dict[str, Any]], ended: str, lost: dict[str, str],
    found: Conclusions,
) -> None:  # fmt: skip
    """Write load.json: the deals, the occasions by scenario, notes and findings, the figures of each phase of steady
    traffic, what each worker sent, and which were lost."""
    done: dict[str, dict[str, int]] = {}
    for result in results:
        for scenario, counts in result["done"].items():
            mine = done.setdefault(scenario, {})
            for name, many in counts.items():
                mine[name] = mine.get(name, 0) + many
    notes = [note for made in deals for note in made.notes] + [note for result in results for note in result["notes"]]
    workers = {result["worker"]: {name: result[name] for name in ("sent", "unsent", "memory_mb")} for result in results}
    planned_s = max((made.seconds for made in deals), default=0.0)
    write_json(folder.path / FACTS, {
        "version": VERSION, "plan": plan, "ended": ended, "planned_s": planned_s,
        "deals": [made.facts() for made in deals], "done": done, "notes": list(dict.fromkeys(notes)),
        "phases": found.phases, "findings": found.sentences, "workers": workers, "lost": lost,
    })  # fmt: skip
