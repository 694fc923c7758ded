"""A plan of a load stage: what is sent, when and at which rate, and the gates that its figures must meet; from TOML."""

from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal

from harness.config import duration_ns, load_toml
from harness.errors import HarnessError, suggest

Arrivals = Literal["constant", "poisson", "ramp", "step", "spike", "search", "closed"]
BUNDLED: Final = Path(__file__).parent.parent / "scenarios" / "plans"
DEFAULT: Final = "default"
LONGEST_S: Final = 7 * 86400.0  # a soak of a week; longer is a slip of the unit
WEIGHTS: Final = {"replay": 80.0, "fresh": 14.0, "near": 3.0, "refused": 3.0}
SHARES: Final = {
    "background": 4.0,
    "idempotency": 3.0,
    "rate-limit": 1.0,
    "challenge-limit": 1.5,
    "lifecycle": 1.5,
    "chaos": 1.5,
}
TWO_RATES: Final = ("ramp", "step", "spike", "search")


@dataclass(frozen=True)
class Stage:
    """One scenario from `start_s` for `duration_s` seconds; rates are requests (idempotency: groups) a second."""

    scenario: str
    duration_s: float
    start_s: float = 0.0
    arrivals: Arrivals = "constant"
    rate: float = 0.0
    to: float = 0.0
    steps: int = 5
    backlog: int = 0
    share: float = 1.0
    hold_ns: int = 0
    most: int = 2000
    weights: dict[str, float] = field(default_factory=lambda: dict(WEIGHTS))

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s


@dataclass(frozen=True)
class Plan:
    """What load to send. `gates` maps a metric to its limit: latencies in ns, rates as they stand in the file.

    One of `abort_on_fail` that is missed over all that was sent ends the load, from `abort_after_s` on. `look_back_s`
    is the age at which the first refs are asked for again, once all else is over.
    """

    name: str
    stages: tuple[Stage, ...]
    connections: int = 64
    timeout_s: float = 10.0
    gates: dict[str, float] = field(default_factory=dict)
    abort_on_fail: tuple[str, ...] = ()
    abort_after_s: float = 10.0
    look_back_s: float = 0.0

    @property
    def seconds(self) -> float:
        """When the last stage ends, counted from the start of the load."""
        return max(stage.end_s for stage in self.stages)

    def facts(self) -> dict[str, Any]:
        """The plan for run.json."""
        return asdict(self)


def load_plan(path: Path | None = None) -> Plan:
    """The plan in the file at `path`, the bundled one of that name, or the default; HarnessError where it is wrong."""
    where = find_plan(path)
    return plan_of(load_toml(where, "plan", "plan.schema.json"), where)


def bundled() -> list[str]:
    """The names of the plans that come with the project."""
    return sorted(one.stem for one in BUNDLED.glob("*.toml"))


def plan_of(table: dict[str, Any], path: Path) -> Plan:
    """A plan from its checked table; `path` is what errors name."""
    stages = tuple(_stage(row, f"plan {path}: stages.{place}") for place, row in enumerate(table["stages"]))
    _refuse_overlaps(stages, path)
    gates = _gates(table.get("gates", {}), {stage.scenario for stage in stages}, path)
    fatal = _fatal(table, gates, path)
    timeout_s = duration_ns(table.get("timeout", "10s")) / 1e9
    if not 0.001 <= timeout_s <= 600:
        raise HarnessError(f"plan {path}: timeout: {table['timeout']} cannot be waited for", hint="From 1ms to 600s.")
    after_s = duration_ns(table.get("abort_after", "10s")) / 1e9
    back_s = duration_ns(table.get("look_back", "0s")) / 1e9
    return Plan(
        table.get("name", path.stem), stages, table.get("connections", 64), timeout_s, gates, fatal, after_s, back_s
    )


def _fatal(table: dict[str, Any], gates: dict[str, float], path: Path) -> tuple[str, ...]:
    """The gates that end a load; HarnessError for one that the plan does not set."""
    for name in table.get("abort_on_fail", []):
        if name not in gates:
            where = f"plan {path}: abort_on_fail: '{name}' is no gate of this plan"
            raise HarnessError(where, hint=suggest(name, list(gates)) if gates else "Set it under [gates].")
    return tuple(table.get("abort_on_fail", []))


def find_plan(path: Path | None) -> Path:
    """The file of a plan given by its path or by a bundled one's name; HarnessError where there is none."""
    if path is None:
        return BUNDLED / f"{DEFAULT}.toml"
    if not path.exists() and path.name == str(path) and not path.suffix:
        if path.name in bundled():
            return BUNDLED / f"{path.name}.toml"
        raise HarnessError(f"plan '{path}': no such file, and no plan of this name", hint=suggest(path.name, bundled()))
    return path


def _gates(table: dict[str, Any], scenarios: set[str], path: Path) -> dict[str, float]:
    """Each metric's limit; those of one scenario alone are named `SCENARIO.metric`."""
    gates = {}
    for name, value in table.items():
        if not isinstance(value, dict):
            gates[name] = _limit(value)
            continue
        if name not in scenarios:
            where = f"plan {path}: gates.{name}: no stage of this plan sends it"
            raise HarnessError(where, hint=f"Its scenarios: {', '.join(sorted(scenarios))}.")
        gates |= {f"{name}.{metric}": _limit(limit) for metric, limit in value.items()}
    return gates


def _limit(value: float | str) -> float:
    return float(duration_ns(value)) if isinstance(value, str) else float(value)


def _stage(row: dict[str, Any], where: str) -> Stage:
    values = {name: value for name, value in row.items() if name not in ("start", "duration", "weights")}
    if "hold" in values:
        values["hold_ns"] = duration_ns(values.pop("hold"))
    values |= {f"{name}_s": duration_ns(row[name]) / 1e9 for name in ("start", "duration") if name in row}
    values.setdefault("share", SHARES[row["scenario"]])
    stage = Stage(**values, weights=WEIGHTS | row.get("weights", {}))
    _check_stage(stage, row, where)
    return stage


def _check_stage(stage: Stage, row: dict[str, Any], where: str) -> None:
    """What a schema cannot say: which values need each other."""
    if stage.duration_s <= 0 or stage.end_s > LONGEST_S:
        raise HarnessError(f"{where}.duration: {row['duration']} is no length for a stage", hint="From 1ms to 7d.")
    background = stage.scenario == "background"
    for name in ("arrivals", "to", "steps", "weights", "backlog"):
        if name in row and not background:
            raise HarnessError(f"{where}.{name}: only background takes it", hint=f"Leave it out of {stage.scenario}.")
    if background and stage.arrivals == "closed" and stage.rate:
        raise HarnessError(f"{where}.rate: a closed stage sends as fast as it is answered", hint="Leave out the rate.")
    if background and stage.arrivals != "closed" and not stage.rate:
        raise HarnessError(f"{where}: 'rate' is missing", hint="Say how many requests a second arrive: rate = 500")
    if background and (stage.arrivals in TWO_RATES) != bool(stage.to):
        hint = f"The arrivals {', '.join(TWO_RATES)} go from `rate` to `to`; the others have one rate."
        raise HarnessError(f"{where}.to: does not fit arrivals = '{stage.arrivals}'", hint=hint)
    if stage.arrivals == "search" and stage.to < stage.rate:
        raise HarnessError(f"{where}.to: a search goes upwards from its rate", hint=f"At least {stage.rate:g}.")
    if "hold" in row and stage.arrivals != "search":
        raise HarnessError(f"{where}.hold: only arrivals = 'search' takes it", hint="Leave it out, or set a gate.")
    if background and sum(stage.weights.values()) <= 0:
        raise HarnessError(f"{where}.weights: all are 0", hint="At least one kind of request must have a weight.")


def _refuse_overlaps(stages: tuple[Stage, ...], path: Path) -> None:
    ordered = sorted(enumerate(stages), key=lambda one: (one[1].scenario, one[1].start_s))
    for (first, one), (second, other) in pairwise(ordered):
        if one.scenario == other.scenario and other.start_s < one.end_s:
            raise HarnessError(
                f"plan {path}: stages {first} and {second} of '{one.scenario}' overlap at {other.start_s:g} s",
                hint=f"Let stage {second} start at {one.end_s:g}s or later, or make one stage of the two.",
            )
