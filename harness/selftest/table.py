"""Shows a selftest as it goes: a line for each run, what the tools as they come find, and the score."""

from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from harness.screen import printable
from harness.selftest.plain_tools import Found
from harness.selftest.trials import Outcome, Score


class SelftestTable:
    """A line for each run of a selftest as it ends, and the counts that close it."""

    STYLES: Final = {"caught": "green", "quiet": "green", "missed": "bold red", "false alarm": "bold red"}

    def __init__(self, total: int) -> None:
        self._console = Console(highlight=False)
        self._total = total
        self._ended = 0

    def told(self, outcome: Outcome) -> None:
        """One run has ended."""
        self._ended += 1
        place = f" in {outcome.attempt}"
        if outcome.exchange is not None:
            place += f", at exchange {outcome.exchange:,}, {outcome.at_s:.1f} s; {outcome.seconds:.0f} s in all"
        says = ", ".join(outcome.by) + place if outcome.by else outcome.note or f"{outcome.examined:,} occasions"
        red = f"; red: {', '.join(outcome.failed)}" if outcome.failed and not outcome.by else ""
        line = Text(f"{self._ended:>4}/{self._total}  ")
        line += Text(f"{outcome.result:<11}", style=self.STYLES.get(outcome.result, "yellow"))
        line += Text(f"  {outcome.trial.kind} {outcome.trial.name}, seed {outcome.trial.seed}: ")
        self._console.print(line + printable(says + red, 300), soft_wrap=True)

    def plain(self, fault: str, found: Found) -> None:
        """What the tools as they come find of a fault."""
        says = ", ".join(f"{name} {'finds it' if seen else 'does not'}" for name, seen in vars(found).items())
        self._console.print(Text(f"as they come: {fault}: {says}"), soft_wrap=True)

    def plain_score(self, found: list[Found]) -> None:
        """How many of the faults each of these tools finds."""
        for name in ("schemathesis", "locust"):
            many = sum(getattr(one, name) for one in found)
            self._console.print(Text(f"{name} as it comes finds {many} of {len(found)}", style="bold"))

    def close(self, score: Score, folder: Path) -> None:
        """The score."""
        faults = [one for one in score.outcomes if one.trial.kind == "fault"]
        caught = sum(one.result == "caught" for one in faults)
        told = f"caught {caught} of {len(faults)} faults, {score.count('false alarm')} false alarms"
        told += f" in {len(score.outcomes) - len(faults)} runs of the correct service"
        broken = score.count("broken")
        self._console.print(Text(f"\n{told}" + (f", {broken} runs broke down" if broken else ""), style="bold"))
        self._console.print(Text(f"run folders and selftest.json: {folder}"), soft_wrap=True)
