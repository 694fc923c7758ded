"""What one process is to do: its part of the deal, as a value that travels over Locust's channel to a worker."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from harness.plan import Stage
from scenarios.load.part import Part
from scenarios.load.usage import Usage


@dataclass(frozen=True)
class Order:
    """One turn of one process. `run` names the run; with seed, process and turn it makes refs that nobody else has."""

    run: str
    seed: int
    process: int
    turn: int
    timeout_s: float
    connections: int
    parts: tuple[Part, ...]
    usage: Usage

    def facts(self) -> dict[str, Any]:
        """The order as plain lists and dictionaries."""
        return {
            **asdict(self),
            "usage": {
                "challenges": list(self.usage.challenges.items()),
                "pending": list(self.usage.pending.items()),
                "settled": sorted(self.usage.settled),
                "requests": list(self.usage.requests.items()),
            },
        }


def order_of(facts: dict[str, Any]) -> Order:
    """The order that `facts` was made from."""
    usage = facts["usage"]
    used = Usage(
        Counter(dict(usage["challenges"])), dict(usage["pending"]), frozenset(usage["settled"]),
        Counter(dict(usage["requests"])),
    )  # fmt: skip
    parts = [{**row, "stage": Stage(**row["stage"]), "users": tuple(row["users"])} for row in facts["parts"]]
    return Order(**{**facts, "parts": tuple(Part(**row) for row in parts), "usage": used})
