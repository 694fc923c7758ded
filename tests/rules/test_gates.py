"""Gates: figures equal numpy's on the records, and what was not seen is never a pass."""

from typing import Any

import numpy as np
import pytest

from harness.config import load_toml, schema
from harness.gates import FIGURES, evaluate_gates
from harness.plan import plan_of
from tests.history_files import make_history

MS = 1e6


def load(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    return list(rows)


def steady(number: int, latency: float = 5.0, every: float = 10.0, late: float = 0.0) -> list[dict[str, Any]]:
    """Requests on schedule over one connection that is free whenever one is due."""
    return [
        {"t": [n * every + late, n * every + late + latency], "intended": n * every, "connection": 0}
        for n in range(number)
    ]


def one_gate(metric: str, limit: float, rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    history, _ = make_history(rows, **more)
    (told,) = evaluate_gates({metric: limit}, history)
    return told


def status(metric: str, limit: float, rows: list[dict[str, Any]], **more: Any) -> str:
    return str(one_gate(metric, limit, rows, **more)["status"])


def test_every_metric_of_the_plan_has_a_figure() -> None:
    assert set(schema("plan.schema.json")["$defs"]["of_scenario"]["properties"]) <= set(FIGURES)


@pytest.mark.parametrize("metric", list(FIGURES))
def test_no_samples_is_no_pass(metric: str) -> None:
    assert one_gate(metric, 1e12, []) == {
        "metric": metric, "limit": 1e12, "value": None, "samples": 0, "status": "inconclusive",
        "message": "no request of the load stage to tell it from",
    }  # fmt: skip
    assert status(metric, 1e12, [{"t": [0, 1], "stage": "conformance"}]) == "inconclusive"


@pytest.mark.parametrize(
    ("name", "percent"), [("p50", 50), ("p90", 90), ("p95", 95), ("p99", 99), ("p999", 99.9), ("max", 100)]
)
def test_latencies_are_the_percentiles_of_numpy_from_the_intended_time(name: str, percent: float) -> None:
    rng = np.random.default_rng(7)
    took = np.round(rng.exponential(20, 2000), 3)
    rows = [{"t": [n * 5 + 0.25, n * 5 + 0.25 + ms], "intended": n * 5} for n, ms in enumerate(took)]
    history, _ = make_history(rows)
    exact = float(np.percentile((history.frame["received"] - history.frame["intended"]).to_numpy(), percent))
    (told,) = evaluate_gates({f"latency_{name}": exact}, history)
    assert (told["value"], told["status"], told["samples"]) == (exact, "pass", 2000)
    (missed,) = evaluate_gates({f"latency_{name}": exact - 1}, history)
    assert missed["status"] == "fail"


def test_lateness_is_from_the_intended_time_to_the_first_byte() -> None:
    rows = [*steady(4), {"t": [57, 60], "intended": 50}]
    assert one_gate("lateness_max", 7 * MS, rows)["value"] == 7 * MS
    assert status("lateness_max", 6 * MS, rows) == "fail"


def test_a_request_without_an_answer_took_as_long_as_it_was_waited_for() -> None:
    rows = [*steady(3), {"t": [30, 10_030], "status": 0, "error": "timeout"}]
    assert one_gate("latency_max", 50 * MS, rows)["value"] == 10_000 * MS


def test_what_the_sender_gave_up_on_purpose_is_no_figure_of_the_target() -> None:
    rows = [*steady(3), {"t": [30, 10_030], "status": 0, "error": "closed by us, to see what comes of it"}]
    told = one_gate("latency_max", 50 * MS, rows)
    assert (told["value"], told["samples"]) == (5 * MS, 3)


def test_control_calls_and_other_stages_are_no_samples() -> None:
    rows = [*steady(2), {"t": [5000, 9000], "op": "reset"}, {"t": [5000, 9000], "stage": "setup", "worker": "main"}]
    assert one_gate("latency_max", 50 * MS, rows)["samples"] == 2


def test_a_percentile_that_too_few_samples_tell_is_not_passed_but_can_be_missed() -> None:
    assert status("latency_p99", 50 * MS, steady(99)) == "inconclusive"
    assert status("latency_p99", 50 * MS, steady(100)) == "pass"
    assert status("latency_p99", 1 * MS, steady(10)) == "fail"
    assert status("latency_max", 50 * MS, steady(1)) == "pass"


def test_errors_are_what_got_no_answer_or_a_5xx() -> None:
    rows = [{"t": [n, n + 1], "status": code} for n, code in enumerate((200, 409, 429, 500, 503, 0))]
    told = one_gate("error_rate", 0.5, rows)
    assert (told["value"], told["status"], told["message"]) == (0.5, "pass", "50.000% (3 of 6), at most 50.000%")
    assert status("error_rate", 0.49, rows) == "fail"


def test_throughput_counts_answers_from_the_first_intended_time_to_the_last_answer() -> None:
    rows = [{"t": [n * 100 + 10, n * 100 + 100], "intended": n * 100} for n in range(10)]
    told = one_gate("throughput", 10.0, [*rows, {"t": [500, 600], "status": 500}])
    assert (told["value"], told["status"]) == (10.0, "pass")
    assert status("throughput", 10.1, rows) == "fail"


def test_throughput_of_a_single_instant_is_nothing_to_divide_by() -> None:
    assert status("throughput", 1.0, [{"t": [5, 5]}]) == "inconclusive"


def test_a_late_generator_spoils_a_latency_gate_but_not_one_that_the_target_missed_alone() -> None:
    late = steady(200, late=50.0, every=100.0)
    assert status("latency_p99", 500 * MS, late) == "inconclusive"
    assert status("latency_p99", 20 * MS, late) == "inconclusive"
    assert status("latency_p99", 4 * MS, late) == "fail"
    assert status("error_rate", 0.0, late) == "pass"


def test_a_gap_in_the_history_leaves_a_miss_and_takes_a_pass() -> None:
    gap = {"gaps": ["load-w1.arrow ends early"]}
    assert status("error_rate", 0.1, steady(5), **gap) == "inconclusive"
    assert status("latency_max", 1 * MS, steady(5), **gap) == "fail"
    lost = {"tallies": [{"stage": "load", "worker": "w0", "sent": 9, "recorded": 9}]}
    assert status("throughput", 1.0, steady(5), **lost) == "inconclusive"


def test_a_gate_may_be_for_one_scenario() -> None:
    rows = [{**row, "scenario": "background"} for row in steady(4)] + [{"t": [3, 90], "scenario": "lifecycle"}]
    assert one_gate("background.latency_max", 6 * MS, rows)["value"] == 5 * MS
    assert status("lifecycle.latency_max", 6 * MS, rows) == "fail"
    assert status("rate-limit.latency_max", 6 * MS, rows) == "inconclusive"


@pytest.mark.parametrize("metric", ["latency_p42", "latency", "speed", "", "background."])
def test_a_metric_that_nobody_knows_is_inconclusive(metric: str) -> None:
    assert status(metric, 1.0, steady(3)) == "inconclusive"


def test_gates_keep_their_order_and_none_is_left_out() -> None:
    history, _ = make_history(steady(3))
    gates = {"throughput": 1.0, "latency_p50": 9 * MS, "error_rate": 0.0}
    assert [gate["metric"] for gate in evaluate_gates(gates, history)] == list(gates)
    assert evaluate_gates({}, history) == []


def test_a_plan_written_as_people_write_it_is_decided(tmp_path: Any) -> None:
    path = tmp_path / "plan.toml"
    path.write_text('[[stages]]\nscenario = "background"\nduration = "1s"\nrate = 5\n[gates]\nlatency_p50 = "6ms"\n')
    history, _ = make_history(steady(3))
    gates = plan_of(load_toml(path, "plan", "plan.schema.json"), path).gates
    assert [gate["status"] for gate in evaluate_gates(gates, history)] == ["pass"]
