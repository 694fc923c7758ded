"""Compares runs with earlier ones: what a rule's verdict became, and which figures surely differ."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist, mean, variance
from typing import Final, Literal

from harness.errors import ExitCode
from reports.figures import SERVICE, Figure, Figures

Claim = Literal["better", "worse", "no difference shown"]
# The chance that any difference is claimed though there is none, over all figures of a comparison.
FALSE_ALARM: Final = 0.01
# How much a figure of the same service differs from run to run beyond what shows within a run, as a standard deviation
# relative to its value; with enough runs it is measured instead.
NOISE: Final = 0.01
# Likewise of how long the service took itself: next to nothing but what the machine adds, which comes and goes by about
# this part of how late the machine sends (0.17, 0.2 and 0.27 of it over 20 to 32 runs of three services on busy cores).
SERVICE_NOISE: Final = 0.005
COMES_AND_GOES: Final = 0.25
TOLERANCE: Final = 0.05
ENOUGH: Final = 2  # degrees of freedom, as three runs on one side have, from which on the noise is measured
FIRST: Final = ("load", SERVICE)  # the figure that shows a slower service best: half of the false alarms may be its own
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
    after: tuple[str, ...]
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


def compare(before: list[Figures], after: list[Figures], tolerance: float = TOLERANCE) -> Comparison:
    """Compare runs with the earlier runs of a baseline; of each side the last one's verdicts count."""
    obstacles = tuple(_obstacles(before, after))
    pairs = [] if obstacles else _pairs(before, after)
    return Comparison(
        before=tuple(run.name for run in before),
        after=tuple(run.name for run in after),
        tolerance=tolerance,
        noise_measured=len(before) + len(after) - 2 >= ENOUGH,
        obstacles=obstacles,
        rules=tuple(_rules(before[-1], after[-1])),
        differences=tuple(_difference(old, new, _quantile(new[0], pairs), tolerance) for old, new in pairs),
    )


def _quantile(one: Figure, pairs: "list[Pair]") -> float:
    """The normal quantile for the interval of a figure: each that is looked at is another chance of a false alarm.

    The first of them gets half of the chance, the others share the rest (Bonferroni, with weights).
    """
    others = sum(not _is_first(new[0]) for _, new in pairs)
    part = 0.5 if _is_first(one) else 0.5 / others
    return NormalDist().inv_cdf(1 - FALSE_ALARM * part / 2)


def _is_first(one: Figure) -> bool:
    return (one.group, one.metric) == FIRST


def _obstacles(before: list[Figures], after: list[Figures]) -> Iterable[str]:
    runs = [*before, *after]
    if len({run.plan for run in runs}) > 1:
        yield "the runs had different plans"
    if len({run.declared for run in runs}) > 1:
        yield "the profiles declare different limits or policies"
    if not all(run.figures for run in runs):
        yield "a run has no load stage, or too short a one"


Pair = tuple[list[Figure], list[Figure]]  # a figure of each earlier run, and of each later one


def _pairs(before: list[Figures], after: list[Figures]) -> list[Pair]:
    """The figures that all runs have."""
    known = [{(one.group, one.metric): one for one in run.figures} for run in (*before, *after)]
    shared = [key for key in known[-1] if all(key in run for run in known)]
    return [([run[key] for run in known[: len(before)]], [run[key] for run in known[len(before) :]]) for key in shared]


def _difference(old: list[Figure], new: list[Figure], z: float, tolerance: float) -> Difference:
    one, logs = new[0], new[0].kind != "share"
    before, after = ([_comparable(figure)[0] for figure in of] for of in (old, new))
    spread = _spread(old, new, z)
    change = mean(after) - mean(before)
    low, high = change - spread, change + spread
    share, least, most = (math.expm1(part) if logs else part for part in (change, low, high))
    sign = -1 if one.metric == "throughput" else 1
    claim: Claim = "no difference shown" if low <= 0 <= high else "worse" if change * sign > 0 else "better"
    was, now = (math.exp(mean(of)) if logs else mean(of) for of in (before, after))
    regression = claim == "worse" and abs(share) > (tolerance if logs else tolerance / 10)
    return Difference(one.group, one.metric, one.kind, was, now, share, least, most, claim, regression)


def _spread(old: list[Figure], new: list[Figure], z: float) -> float:
    """Half of the interval around the difference of two means: what varies within runs, and from run to run."""
    freedom = len(old) + len(new) - 2
    within = sum(mean(_comparable(one)[1] ** 2 for one in of) / len(of) for of in (old, new))
    between, machine = _measured(old, new) if freedom >= ENOUGH else _guessed([*old, *new])
    return _student(z, freedom) * math.sqrt(within + between * (1 / len(old) + 1 / len(new)) + machine)


def _measured(old: list[Figure], new: list[Figure]) -> tuple[float, float]:
    """The variance from run to run on each side, and what a machine that was later on one of them adds to all of it."""
    values = [[_comparable(one)[0] for one in of] for of in (old, new)]
    squares = sum(variance(of) * (len(of) - 1) for of in values if len(of) > 1)
    late = mean(one.late for one in new) - mean(one.late for one in old)
    return max(squares / (len(old) + len(new) - 2), _assumed(new[0]) ** 2), late**2


def _guessed(both: list[Figure]) -> tuple[float, float]:
    """Two runs do not show how much they differ by themselves; how disturbed each was says something of it."""
    part = COMES_AND_GOES if both[0].metric == SERVICE else 1.0
    return _assumed(both[0]) ** 2 + mean((part * one.late) ** 2 for one in both), 0.0


def _assumed(one: Figure) -> float:
    """The noise from run to run that is assumed at least."""
    if one.kind == "share":
        return SHARE_NOISE
    return SERVICE_NOISE if one.metric == SERVICE else NOISE


def _student(z: float, freedom: int) -> float:
    """The quantile of Student's t where the normal one is `z`, as a variance that was measured on few runs needs it.

    Abramowitz and Stegun, 26.7.5; the assumed noise of fewer runs is taken as known.
    """
    if freedom < ENOUGH:
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


def _rules(before: Figures, after: Figures) -> Iterable[Changed]:
    for rule in dict.fromkeys([*before.verdicts, *after.verdicts]):
        old, new = before.verdicts.get(rule, ""), after.verdicts.get(rule, "")
        if old != new:
            severity = after.severities.get(rule) or before.severities.get(rule, "must")
            yield Changed(rule, severity, old, new)
