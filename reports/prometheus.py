"""The figures of a run in Prometheus' text format, for a push gateway or a textfile collector."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from reports.escape import visible
from reports.frames import POINTS
from reports.known import excuse

Sample = tuple[dict[str, object], float]
QUANTILES: Final = {name: f"{point / 100:g}" for name, point in POINTS.items()}


def render(summary: dict[str, Any]) -> str:
    """Gauges only: a run is over, so nothing in it counts up."""
    outcome, history = summary["outcome"], summary["history"]
    families: list[tuple[str, str, Iterable[Sample]]] = [
        ("run_exit_code", "How the run ended as a command.", [({}, outcome["exit_code"])]),
        ("run_partial", "1 where the run was cut before its end.", [({}, int(outcome["partial"]))]),
        ("run_started_timestamp_seconds", "When the run began.", _started(summary)),
        ("run_duration_seconds", "From the first exchange to the last answer.", [({}, history["seconds"])]),
        ("exchanges", "Exchanges recorded.", [({}, history["exchanges"])]),
        ("rules", "Rules by verdict.", [({"status": name}, count) for name, count in outcome["counts"].items()]),
        ("rule_status", "1 for the verdict that the rule has.", _rules(summary)),
        ("rule_allowed", "1 where the rule fails as a known failure, which does not count.", _allowed(summary)),
        ("rule_examined", "Occasions on which the rule could have failed.", _examined(summary)),
        ("gate_passed", "1 where the gate was kept.", _gates(summary)),
        ("answers", "Answers by stage, status and error code.", _answers(summary)),
        ("latency_seconds", "Latency at a quantile.", _latency(summary)),
    ]
    return "".join(_family(*family) for family in families)


def _family(name: str, says: str, samples: Iterable[Sample]) -> str:
    lines = [f"stepup_{name}{_labels(labels)} {value!r}" for labels, value in samples]
    return "\n".join([f"# HELP stepup_{name} {says}", f"# TYPE stepup_{name} gauge", *lines, ""]) if lines else ""


def _labels(labels: dict[str, object]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}" if labels else ""


def _escaped(value: object) -> str:
    return visible(value).replace("\\", "\\\\").replace('"', '\\"')


def _started(summary: dict[str, Any]) -> Iterator[Sample]:
    try:
        yield {}, datetime.fromisoformat(summary["run"]["started"]).timestamp()
    except ValueError:
        return  # a run folder of another origin may not say when it began


def _rules(summary: dict[str, Any]) -> list[Sample]:
    return [
        ({"rule": one["rule"], "family": one["family"], "severity": one["severity"], "status": one["status"]}, 1)
        for one in summary["rules"]
    ]


def _allowed(summary: dict[str, Any]) -> list[Sample]:
    return [({"rule": one["rule"]}, 1) for one in summary["rules"] if excuse(one)]


def _examined(summary: dict[str, Any]) -> list[Sample]:
    return [({"rule": one["rule"]}, one["examined"]) for one in summary["rules"]]


def _gates(summary: dict[str, Any]) -> list[Sample]:
    return [({"metric": one["metric"]}, int(one.get("status") == "pass")) for one in summary["gates"]]


def _answers(summary: dict[str, Any]) -> list[Sample]:
    return [
        ({"stage": one["stage"], "status": one["status"], "error_code": one["error_code"]}, one["count"])
        for one in summary["statuses"]
    ]


def _latency(summary: dict[str, Any]) -> list[Sample]:
    return [
        ({"group": one["group"], "measure": one["measure"], "quantile": quantile}, round(one[name] / 1000, 9))
        for one in summary["latency"]
        for name, quantile in {**QUANTILES, "max": "1"}.items()
        if one[name] is not None
    ]
