"""The progress of a run: stage, rate, latency, rules and gates so far; live on a terminal, else a line at times."""

import json
import time
from collections import deque
from typing import Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.live.onlooker import Glance
from harness.screen import printable

EVERY_S: Final = 5.0  # between progress lines where there is no live display
SHOWN: Final = 3  # broken rules in the live display; all of them are in the closing table
BARS: Final = "▁▂▃▄▅▆▇█"
GATE_MARKS: Final = {"pass": ("✓", "green"), "fail": ("✗", "bold red")}


class Screen:
    """Where a run tells how it goes. `glances`: whether it shows what is known of rules and gates meanwhile."""

    def __init__(self, *, plain: bool = False) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._on_terminal = self.console.is_terminal and not plain
        self.glances = self._on_terminal or plain
        self._live: Live | None = None
        self._began = self._told = time.monotonic()
        self._view = View("", "")

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def stage(self, name: str, says: str) -> None:
        """A stage begins."""
        self._stop()
        self._view = View(name, says)
        self.console.print(Text(f"{self._elapsed()} {name}: {says}"))
        self._told = -EVERY_S  # the first line of a stage is shown at once: it shows that the stage is up
        if self._on_terminal:
            self._live = Live(self._view, console=self.console, transient=True, refresh_per_second=4)
            self._live.start()

    def line(self, stage: str, line: str) -> None:
        """A stage printed a line."""
        told = self._view.take(line)
        if self._live is None and line.strip() and time.monotonic() - self._told >= EVERY_S:
            self._told = time.monotonic()
            self._print(f"{stage}: {told}")

    def glance(self, glance: Glance) -> None:
        """What is known so far of rules and gates; without a live display, what has changed."""
        news = self._view.look(glance)
        if self._live is None:
            for told in news:
                self._print(f"{self._view.name}: {told}")

    def note(self, text: str) -> None:
        """Something that the user should know at once."""
        self.console.print(printable(text).copy(), style="yellow", soft_wrap=True)

    def _print(self, text: str) -> None:
        self.console.print(Text(f"{self._elapsed()} ") + printable(text), soft_wrap=True)

    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._began:6.1f} s"

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


class View:
    """What is known of the stage that runs, as a few lines that are drawn again and again."""

    def __init__(self, name: str, says: str) -> None:
        self.name = name
        self._says = says
        self._began = time.monotonic()
        self._figures: dict[str, Any] = {}
        self._line = ""
        self._rates: deque[float] = deque(maxlen=40)
        self._glance: Glance | None = None

    def take(self, line: str) -> str:
        """A line that the stage printed, a JSON object of figures or text; gives it as text."""
        figures = _figures(line)
        if figures is None:
            self._line = line
            return line
        self._figures = figures
        if isinstance(figures.get("per_s"), int | float):
            self._rates.append(float(figures["per_s"]))
        return _told(figures)

    def look(self, glance: Glance) -> list[str]:
        """Take a glance; gives a sentence for each rule and gate that is worse than at the last one."""
        before, self._glance = self._glance, glance
        known = {one["rule"] for one in before.broken} if before else set()
        news = [_broken(one) for one in glance.broken if one["rule"] not in known]
        missed = {one["metric"] for one in before.gates if one["status"] == "fail"} if before else set()
        news += [
            f"gate {one['metric']} is missed so far: {one['message']}"
            for one in glance.gates
            if one["status"] == "fail" and one["metric"] not in missed
        ]
        return news if before and not news else [*news, _count(glance)]

    def __rich__(self) -> Group:
        return Group(self._head(), *self._lines())

    def _head(self) -> Table:
        seconds, of = time.monotonic() - self._began, self._figures.get("of_s")
        row = Table.grid(padding=(0, 2))
        if isinstance(of, int | float) and of > 0:
            seconds = min(float(self._figures.get("at_s", seconds)), of)
            row.add_row(Text(self.name, style="bold"), ProgressBar(total=of, completed=seconds, width=40),
                        Text(f"{seconds:,.0f} s of {of:,.0f} s"))  # fmt: skip
        else:
            row.add_row(Text(self.name, style="bold"), Text(self._says), Text(f"{seconds:,.0f} s"))
        return row

    def _lines(self) -> list[Text]:
        lines = []
        if self._figures:
            shown = {name: value for name, value in self._figures.items() if name not in ("at_s", "of_s")}
            lines.append(printable(f"  {_told(shown)}  {_spark(self._rates)}", 200))
        elif self._line.strip():
            lines.append(printable(f"  {self._line}", 200))
        if self._glance is not None:
            lines += [Text("  ") + one for one in _shown(self._glance)]
        return lines


def _shown(glance: Glance) -> list[Text]:
    lines = [Text(_count(glance), style="red" if any(one["counts"] for one in glance.broken) else "")]
    for one in glance.broken[:SHOWN]:
        lines.append(printable(_broken(one), 160))
        lines[-1].stylize("bold red" if one["counts"] else "yellow")
    for gate in glance.gates:
        mark, style = GATE_MARKS.get(gate["status"], ("?", "yellow"))
        lines.append(Text(f"{mark} ", style=style) + printable(f"gate {gate['metric']}: {gate['message']}", 160))
    return lines


def _broken(one: dict[str, Any]) -> str:
    return f"✗ {one['rule']}{'' if one['counts'] else ' (does not count)'}: {one['message']}"


def _count(glance: Glance) -> str:
    broken = f"{len(glance.broken)} broken" if glance.broken else "none broken"
    return f"rules so far: {glance.held} held, {broken}, over {glance.exchanges:,} exchanges"


def _spark(rates: deque[float]) -> str:
    """The rate of the last seconds as a row of bars."""
    top = max(rates, default=0.0)
    return "".join(BARS[round(rate / top * (len(BARS) - 1))] for rate in rates) if top > 0 and len(rates) > 1 else ""


def _figures(line: str) -> dict[str, Any] | None:
    """The load stage tells its progress as JSON; other stages as text."""
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def _told(figures: dict[str, Any]) -> str:
    return "  ".join(f"{name} {_short(value)}" for name, value in figures.items() if value not in (None, ""))


def _short(value: Any) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
