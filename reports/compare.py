"""Compares a run with one or more earlier ones: what a rule's verdict became, and which figures surely differ."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist, mean, variance
from typing import Final, Literal

from harness.errors import ExitCode
from reports.figures import Figure, Figures

Claim = Literal["better", "worse", "no difference shown"]
# The chance that any difference is claimed though there is none, over all figures of a comparison.
FALSE_ALARM: Final = 0.01
# How much a figure of the same service differs from run to run beyond what shows within a run, as a standard deviation
# relative to its value; from three earlier runs on it is measured instead.
NOISE: Final = 0.01
TOLERANCE: Final = 0.05
ENOUGH: Final = 3
SHARE_NOISE: Final = 0.0005  # likewise of an error rate, in absolute terms
ORDER: Final = {"fail": 0, "inconclusive": 1, "not-exercised": 1, "pass": 2}


@dataclass(frozen=True)
class Difference:
    """One figure before and after. `change`, `low` and `high` are relative (0.1: a tenth more); of a share, absolute.

    `claim` is made only where the whole interval lies on one side of 0; `regression`: worse, and beyond the tolerance.
    """

    group: str
    metric: str
    kind: str
    before: float
    after: float
    change: float
    low: float
    high: float
    claim: Claim
    regression: bool


@dataclass(frozen=True)
class Changed:
    """A rule whose verdict is another one now; empty where a run did not know the rule."""

    rule: str
    severity: str
    before: str
    after: str

    @property
    def broken(self) -> bool:
        return self.after == "fail" and self.before != "fail"

    @property
    def worse(self) -> bool:
        return bool(self.after) and ORDER.get(self.after, 1) < ORDER.get(self.before, 1)


@dataclass(frozen=True)
class Comparison:
    """The whole comparison. `obstacles` say why figures are not comparable; without figures nothing is claimed."""

    before: tuple[str, ...]
    after: str
    tolerance: float
    noise_measured: bool
    obstacles: tuple[str, ...]
    rules: tuple[Changed, ...]
    differences: tuple[Difference, ...]

    @property
    def code(self) -> ExitCode:
        """1: a rule of the contract is newly broken, 3: a regression beyond the tolerance, 4: nothing to compare."""
        if any(one.broken and one.severity == "must" for one in self.rules):
            return ExitCode.FAILED
        if any(one.regression for one in self.differences):
            return ExitCode.GATE
        return ExitCode.INCONCLUSIVE if self.obstacles else ExitCode.PASS

    @property
    def sentence(self) -> str:
        """What came out, in a sentence or two."""
        broken = [one.rule for one in self.rules if one.broken]
        told = [f"Newly broken: {', '.join(broken[:4])}{_more(broken, 4)}."] if broken else []
        if self.obstacles:
            return " ".join([*told, f"The figures are not comparable: {'; '.join(self.obstacles)}."])
        for claim in ("worse", "better"):
            found = [f"{one.group} {one.metric}" for one in self.differences if one.claim == claim]
            if found:
                told.append(f"{claim.capitalize()}: {', '.join(found[:4])}{_more(found, 4)}.")
        return " ".join(told) or "No difference was shown."


def _more(names: list[str], shown: int) -> str:
    return f" and {len(names) - shown} more" if len(names) > shown else ""


def compare(before: list[Figures], after: Figures, tolerance: float = TOLERANCE) -> Comparison:
    """Compare a run with the earlier runs of a baseline, of which the last one's verdicts count."""
    obstacles = tuple(_obstacles(before, after))
    pairs = [] if obstacles else _pairs(before, after)
    # Every figure that is looked at is another chance of a false alarm, so each gets its part of it (Bonferroni).
    z = NormalDist().inv_cdf(1 - FALSE_ALARM / 2 / max(len(pairs), 1))
    return Comparison(
        before=tuple(run.name for run in before),
        after=after.name,
        tolerance=tolerance,
        noise_measured=len(before) >= ENOUGH,
        obstacles=obstacles,
        rules=tuple(_rules(before[-1], after)),
        differences=tuple(_difference(old, new, z, tolerance) for old, new in pairs),
    )


def _obstacles(before: list[Figures], after: Figures) -> Iterable[str]:
    if any(run.plan != after.plan for run in before):
        yield "the runs had different plans"
    if any(run.declared != after.declared for run in before):
        yield "the profiles declare different limits or policies"
    if not after.figures or not all(run.figures for run in before):
        yield "a run has no load stage, or too short a one"


def _pairs(before: list[Figures], after: Figures) -> list[tuple[list[Figure], Figure]]:
    known = [{(one.group, one.metric): one for one in run.figures} for run in before]
    keys = [(one.group, one.metric) for one in after.figures]
    shared = [key for key in keys if all(key in run for run in known)]
    now = {(one.group, one.metric): one for one in after.figures}
    return [([run[key] for run in known], now[key]) for key in shared]


def _difference(old: list[Figure], new: Figure, z: float, tolerance: float) -> Difference:
    logs = new.kind != "share"
    values = [_comparable(one)[0] for one in old]
    value, error = _comparable(new)
    between = _between(values, new.kind)
    if len(old) < ENOUGH:
        # Two runs do not show how much they differ by themselves; how disturbed each was says something of it.
        between += mean(one.late**2 for one in (*old, new))
    within = mean(_comparable(one)[1] ** 2 for one in old) / len(old) + error**2
    spread = _student(z, len(old) - 1) * math.sqrt(within + between * (1 + 1 / len(old)))
    change = value - mean(values)
    low, high = change - spread, change + spread
    told = [math.expm1(one) if logs else one for one in (change, low, high)]
    sign = -1 if new.metric == "throughput" else 1
    claim: Claim = "no difference shown" if low <= 0 <= high else "worse" if change * sign > 0 else "better"
    shown = (math.exp(mean(values)), math.exp(value)) if logs else (mean(values), value)
    regression = claim == "worse" and abs(told[0]) > (tolerance if logs else tolerance / 10)
    return Difference(new.group, new.metric, new.kind, *shown, told[0], told[1], told[2], claim, regression)


def _student(z: float, freedom: int) -> float:
    """The quantile of Student's t where the normal one is `z`, as a variance that was measured on few runs needs it.

    Abramowitz and Stegun, 26.7.5; the assumed noise of fewer than three runs is taken as known.
    """
    if freedom < ENOUGH - 1:
        return z
    terms = (
        (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )  # fmt: skip
    more: float = sum(term / float(freedom**power) for power, term in enumerate(terms, 1))
    return z + more


def _comparable(one: Figure) -> tuple[float, float]:
    """A figure and its error on the scale on which differences are taken: logarithmic but for shares."""
    if one.kind == "rate":
        value = max(one.value, 1e-9)
        return math.log(value), one.error / value
    return one.value, one.error


def _between(values: list[float], kind: str) -> float:
    """The variance from run to run: measured from enough earlier runs, assumed otherwise; never below the assumed."""
    assumed = (SHARE_NOISE if kind == "share" else NOISE) ** 2
    return max(variance(values), assumed) if len(values) >= ENOUGH else assumed


def _rules(before: Figures, after: Figures) -> Iterable[Changed]:
    for rule in dict.fromkeys([*before.verdicts, *after.verdicts]):
        old, new = before.verdicts.get(rule, ""), after.verdicts.get(rule, "")
        if old != new:
            severity = after.severities.get(rule) or before.severities.get(rule, "must")
            yield Changed(rule, severity, old, new)
