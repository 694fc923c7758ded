"""What a deal consists of: the parts, each one scenario's work in one process."""

from dataclasses import dataclass, field
from typing import Any

from harness.plan import Stage


@dataclass(frozen=True)
class Part:
    """One scenario's work in one process: `users` are indices, times seconds from the start of the load. `cuts` says
    whether idempotency cuts requests off: "none", "some", "only". `reset`: the target is reset before it begins."""

    stage: Stage
    start_s: float
    end_s: float
    users: tuple[int, ...]
    process: int = 0
    cuts: str = "some"
    reset: bool = False

    def facts(self) -> dict[str, Any]:
        return {
            "scenario": self.stage.scenario, "start_s": round(self.start_s, 3), "end_s": round(self.end_s, 3),
            "users": list(self.users), "process": self.process, "reset": self.reset,
        }  # fmt: skip


@dataclass
class Deal:
    """Who does what when, and what could not be dealt: `notes`, a sentence each."""

    parts: list[Part] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return max((part.end_s for part in self.parts), default=0.0)

    def of(self, process: int) -> list[Part]:
        return [part for part in self.parts if part.process == process]

    def facts(self) -> dict[str, Any]:
        return {"parts": [part.facts() for part in self.parts], "notes": self.notes}
