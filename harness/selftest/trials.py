"""What a selftest tries: the correct service under each policy, each planted fault; and what came of it."""

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from harness.errors import ExitCode
from harness.reference.faults import FAULTS
from harness.rules import RULES

Kind = Literal["correct", "fault"]
Result = Literal["quiet", "false alarm", "caught", "missed", "broken"]


@dataclass(frozen=True)
class Attempt:
    """A run to make of the embedded service: its stages, the plan of the load, arguments for load and for pytest."""

    name: str
    stages: tuple[str, ...]
    plan: str | None = None
    load: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trial:
    """The correct service under a policy, or one fault, which `rules` must catch; made until an attempt does."""

    name: str
    kind: Kind
    seed: int
    attempts: tuple[Attempt, ...]
    policy: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()

    @property
    def fault(self) -> str | None:
        return self.name if self.kind == "fault" else None


@dataclass(frozen=True)
class Outcome:
    """What a trial showed: by the last of its attempts, `failed` are the rules that are red.

    `exchange` and `at_s` are the end of the first witness within that attempt; `seconds` is what the trial took.
    """

    trial: Trial
    result: Result
    failed: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    attempt: str = ""
    exchange: int | None = None
    at_s: float | None = None
    seconds: float = 0.0
    examined: int = 0
    note: str = ""

    def facts(self) -> dict[str, Any]:
        """This outcome for selftest.json."""
        told = {name: value for name, value in vars(self).items() if name != "trial"}
        return {"name": self.trial.name, "kind": self.trial.kind, "seed": self.trial.seed, **told}


@dataclass
class Score:
    """All outcomes of a selftest."""

    outcomes: list[Outcome] = field(default_factory=list)

    def count(self, result: Result) -> int:
        return sum(outcome.result == result for outcome in self.outcomes)

    @property
    def code(self) -> ExitCode:
        """Passed only when every fault was caught and no correct service blamed; nothing tried is no pass."""
        if self.count("missed") or self.count("false alarm"):
            return ExitCode.FAILED
        if self.count("broken") or not self.outcomes:
            return ExitCode.INCONCLUSIVE
        return ExitCode.PASS


def correct_trials(policies: dict[str, tuple[str, ...]], plan: str, seed: int, stage: str | None = None) -> list[Trial]:
    """A run of everything, or of one stage, under each policy."""
    whole = Attempt(stage or "run", (stage,) if stage else ("conformance", "load"), plan)
    return [Trial(name, "correct", seed, (whole,), settings) for name, settings in policies.items()]


def fault_trials(faults: list[str], plan: str, seed: int, stage: str | None = None) -> list[Trial]:
    """Each of these faults, by every means or by one stage alone (`conformance` or `load`)."""
    attempts = {name: _attempts(FAULTS[name].rules, plan) for name in faults}
    if stage is not None:
        attempts = {name: _alone(stage, tried) for name, tried in attempts.items()}
    return [Trial(name, "fault", seed, attempts[name], (), FAULTS[name].rules) for name in faults]


def _alone(stage: str, attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """The attempts of one stage; what ended early for failures of other rules is made once more to its end."""
    own = tuple(attempt for attempt in attempts if attempt.stages == (stage,))
    return (*own, Attempt("conformance, all of it", (stage,))) if stage == "conformance" else own


# The scenario of a load that is made for a family of rules.
SCENARIOS: Final = {
    "idempotency": "idempotency",
    "challenge limit": "challenge-limit",
    "rate limit": "rate-limit",
    "state": "lifecycle",
}
# Without what takes long: pairs of unusual values, generated requests, and waiting for limits.
SHORT: Final = ("-k", "not test_two and not test_generated and not test_limits and not test_rate")


def _attempts(rules: tuple[str, ...], plan: str) -> tuple[Attempt, ...]:
    """What shows a breach of such rules soonest comes first, then everything, and at last for longer."""
    # A few failed tests prove a fault as well as hundreds do.
    conformance = Attempt("conformance", ("conformance",), extra=("--maxfail=5",))
    short = Attempt("conformance, the short tests", ("conformance",), extra=(*SHORT, "--maxfail=5"))
    load, longer = Attempt(f"load {plan}", ("load",), plan), Attempt("load default", ("load",), "default")
    families = dict.fromkeys(RULES[rule].family for rule in rules if RULES[rule].scope == "history")
    scenarios = [SCENARIOS[family] for family in families if family in SCENARIOS]
    alone = [Attempt(f"load --scenario {one}", ("load",), plan, ("--scenario", one)) for one in scenarios[:2]]
    if not alone:
        return short, conformance, load
    if RULES[rules[0]].scope == "exchange":
        return short, conformance, *alone, load, longer
    restarted = (Attempt("load chaos", ("load",), "chaos"),) if "ref-retention" in rules else ()
    return (*alone, short, load, conformance, longer, *restarted)


def of_families(families: tuple[str, ...]) -> list[str]:
    """The faults that a rule of one of these families must catch first; all of them where none is named."""
    return [fault.id for fault in FAULTS.values() if not families or RULES[fault.rules[0]].family in families]


def one_a_family() -> list[str]:
    """For each family of rules the first fault that one of them must catch: few trials that still touch everything."""
    first: dict[str, str] = {}
    for fault in FAULTS.values():
        first.setdefault(RULES[fault.rules[0]].family, fault.id)
    return list(first.values())
