"""Comparing runs: no difference without evidence, a slowdown found, and what does not match is said."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.errors import ExitCode, HarnessError
from reports import compare_forms
from reports.commands import compare_runs, save_baseline
from reports.compare import _student, compare
from reports.figures import Figure, Figures, measure
from tests.reports.conftest import Made
from tests.reports.runs import make_run

SECOND = 10**9


def pushes(seed: int, slower: float = 1.0, count: int = 20_000, errors: int = 0) -> pd.DataFrame:
    """Load of 20 s whose latency wanders as a real machine's does, so that neighbouring requests are alike."""
    rng = np.random.default_rng(seed)
    sent = np.sort(rng.integers(0, 20 * SECOND, count))
    wander = np.zeros(200)
    for place in range(1, 200):
        wander[place] = 0.8 * wander[place - 1] + rng.normal(0, 0.02)
    run = rng.normal(0, 0.005)
    took = np.exp(rng.normal(1.6, 0.35, count) + wander[sent * 200 // (20 * SECOND)] + run) * slower
    status = np.full(count, 200)
    status[rng.integers(0, count, errors)] = 500
    return pd.DataFrame(
        {
            "stage": "load", "scenario": np.where(rng.random(count) < 0.5, "background", "idempotency"), "error": "",
            "intended": sent, "sent": sent, "received": sent + (took * 1e6).astype(np.int64), "status": status,
        }
    )  # fmt: skip


@lru_cache
def measured(seed: int, slower: float, **more: Any) -> tuple[Figure, ...]:
    return tuple(measure(pushes(seed, slower, **more)))


def run(seed: int, slower: float = 1.0, **more: Any) -> Figures:
    verdicts = more.pop("verdicts", {"idempotent-replay": "pass"})
    figures = measured(seed, slower, **more)
    return Figures(f"run {seed}", "", "plan", "declared", verdicts, dict.fromkeys(verdicts, "must"), figures)


@pytest.mark.parametrize("seed", range(20))
def test_two_runs_of_the_same_service_show_no_difference(seed: int) -> None:
    told = compare([run(seed)], [run(seed + 1000)])
    assert [one for one in told.differences if one.claim != "no difference shown"] == []
    assert (told.code, told.sentence) == (ExitCode.PASS, "No difference was shown.")


@pytest.mark.parametrize("seed", range(20))
def test_a_service_slowed_by_a_tenth_is_found(seed: int) -> None:
    told = compare([run(seed)], [run(seed + 1000, 1.10)])
    found = {one.metric: one for one in told.differences if one.group == "load"}
    assert found["service"].claim == found["p50"].claim == found["p90"].claim == "worse"
    assert found["service"].low < 0.10 < found["service"].high
    assert found["p50"].low < 0.10 < found["p50"].high
    assert told.code is ExitCode.GATE


def test_a_service_made_faster_is_no_regression() -> None:
    told = compare([run(1)], [run(2, 0.8)])
    assert (told.code, {one.claim for one in told.differences if one.metric == "p50"}) == (ExitCode.PASS, {"better"})


def test_more_errors_are_found() -> None:
    told = compare([run(1)], [run(2, errors=400)])
    (rate,) = [one for one in told.differences if one.metric == "error rate"]
    assert (rate.claim, rate.regression, rate.before) == ("worse", True, 0.0)
    assert rate.after == pytest.approx(0.0198, abs=0.0005)


def test_earlier_runs_that_differ_widen_the_intervals() -> None:
    noisy = [run(seed, 1 + 0.1 * (seed % 3)) for seed in range(6)]
    one, many = compare([run(0)], [run(9, 1.1)]), compare(noisy, [run(9, 1.1)])
    widths = [next(d.high - d.low for d in told.differences if d.metric == "p50") for told in (one, many)]
    assert widths[1] > 2 * widths[0]
    assert many.code is ExitCode.PASS
    assert many.noise_measured


def test_medians_are_those_of_the_records() -> None:
    frame = pushes(3)
    (median,) = [one for one in measure(frame) if (one.group, one.metric) == ("load", "p50")]
    wanted = np.median((frame["received"] - frame["intended"]) / 1e6)
    assert np.exp(median.value) == pytest.approx(wanted, rel=0.001)
    assert 0.002 < median.error < 0.02


def test_the_service_time_is_that_of_the_faster_half() -> None:
    frame = pushes(3).assign(intended=lambda rows: rows["sent"] - 2_000_000)
    (service,) = [one for one in measure(frame) if (one.group, one.metric) == ("load", "service")]
    took = np.log((frame["received"] - frame["sent"]) / 1e6)
    assert service.value == pytest.approx(np.quantile(took, np.arange(0.05, 0.51, 0.05)).mean(), abs=0.002)
    assert 0.002 < service.error < 0.02
    assert 0.4 < service.late < 0.6  # of some 4 ms that come to 6 from the schedule


@pytest.mark.parametrize("seed", range(0, 18, 6))
def test_several_runs_on_each_side_are_compared_by_what_they_vary(seed: int) -> None:
    same = [run(seed + n) for n in range(6)]
    slower = [run(seed + 500 + n, 1.10) for n in range(3)]
    equal, worse = compare(same[::2], same[1::2]), compare(same[::2], slower)
    assert {one.claim for one in equal.differences} == {"no difference shown"}
    assert next(one for one in worse.differences if one.metric == "service").claim == "worse"
    assert worse.noise_measured
    assert not compare(same[:1], same[1:3]).noise_measured
    assert compare_forms.text_lines(worse)[1].startswith("3 runs against 3 earlier runs; ")


def test_a_machine_that_was_later_on_one_side_explains_a_difference() -> None:
    earlier, later = [run(n) for n in range(3)], [run(n, 1.10) for n in range(500, 503)]
    hurried = [replace(one, figures=tuple(replace(of, late=0.05) for of in one.figures)) for one in later]
    claims = [{one.claim for one in compare(earlier, now).differences if one.metric == "service"}
              for now in (later, hurried)]  # fmt: skip
    assert claims == [{"worse"}, {"no difference shown"}]


def test_a_newly_broken_rule_outranks_figures() -> None:
    told = compare([run(1)], [run(2, 1.2, verdicts={"idempotent-replay": "fail"})])
    assert told.code is ExitCode.FAILED
    assert told.sentence.startswith("Newly broken: idempotent-replay. Worse: load service")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"plan": "another"}, "the runs had different plans"),
        ({"declared": "another"}, "the profiles declare different limits or policies"),
        ({"figures": ()}, "a run has no load stage, or too short a one"),
    ],
)
def test_what_does_not_match_is_said_and_nothing_claimed(change: dict[str, Any], says: str) -> None:
    told = compare([replace(run(1), **change)], [run(2, 2.0)])
    assert (told.code, told.differences) == (ExitCode.INCONCLUSIVE, ())
    assert says in told.sentence


def test_the_forms_tell_the_same(tmp_path: Path) -> None:
    told = compare([run(1)], [run(2, 1.2, verdicts={"idempotent-replay": "fail", "<b>": "pass"})])
    lines = compare_forms.text_lines(told)
    assert lines[0] == f"Regression: {told.sentence}"
    assert "  idempotent-replay: pass → fail" in lines
    assert "| idempotent-replay | pass | fail |" in compare_forms.markdown(told)
    page = compare_forms.html(told)
    assert "<b>" not in page
    assert page.count('class="mark worse"') == sum(one.claim == "worse" for one in told.differences)


def test_run_folders_and_baseline_files_compare_alike(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        make_run(tmp_path / name, "passing", count=1500 + seed)
    save_baseline([tmp_path / "a"], tmp_path / "baseline.json")
    lines, code = compare_runs([tmp_path / "a", tmp_path / "b"])
    assert compare_runs([tmp_path / "baseline.json", tmp_path / "b"]) == (lines, code)
    assert compare_runs([tmp_path / "b"], baselines=(tmp_path / "a",)) == (lines, code)
    assert code is ExitCode.PASS
    compare_runs([tmp_path / "a", tmp_path / "b"], html=tmp_path / "c.html", markdown=tmp_path / "c.md")
    assert (tmp_path / "c.md").read_text().startswith("# No regression")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": 9, "runs": []}', '{"version": 1, "runs": [{}]}'])
def test_a_baseline_that_is_none_is_refused(tmp_path: Path, content: str, runs: dict[str, Made]) -> None:
    (tmp_path / "baseline.json").write_text(content)
    with pytest.raises(HarnessError, match="baseline"):
        compare_runs([tmp_path / "baseline.json", runs["passing"].path])


def test_a_single_run_or_a_missing_one_is_refused(tmp_path: Path, runs: dict[str, Made]) -> None:
    with pytest.raises(HarnessError, match="one run cannot be compared"):
        compare_runs([runs["passing"].path])
    with pytest.raises(HarnessError, match="no such run folder or baseline file"):
        compare_runs([tmp_path / "none", runs["passing"].path])


def test_few_earlier_runs_are_taken_for_few() -> None:
    """Student's t at 99.5 %: 4.604 with 4 degrees of freedom, 3.169 with 10 (Abramowitz and Stegun, table 26.10)."""
    z = NormalDist().inv_cdf(0.995)
    assert [_student(z, freedom) for freedom in (1, 4, 10)] == pytest.approx([z, 4.604, 3.169], rel=0.02)


def test_a_machine_that_sent_late_takes_a_difference_for_no_evidence() -> None:
    calm, late = run(1), run(1001, 1.10)
    hurried = replace(late, figures=tuple(replace(one, late=0.06) for one in late.figures))
    claims = [
        {one.claim for one in compare([calm], [now]).differences if one.metric == "p50"} for now in (late, hurried)
    ]
    assert claims == [{"worse"}, {"no difference shown"}]
