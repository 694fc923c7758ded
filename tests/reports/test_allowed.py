"""Known failures: judged and shown like any other, and without a say in the exit code until their day is over."""

import json
from datetime import date
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from harness.allowances import Allowance, allowances_of, merged, parse_allowance
from harness.errors import HarnessError
from harness.history import History, read_history
from harness.run_folder import open_run
from reports import github, html, junit, markdown, prometheus, sarif, text
from reports.known import excuse
from reports.summary import Summary, build_summary
from tests.reports.conftest import Made
from tests.reports.runs import verdicts_failing

NAMES = ("idempotent-concurrent", "rate-limit-upper")
STARTED = "2026-05-06T23:30:00+00:00"


@pytest.fixture(scope="module")
def history(runs: dict[str, Made]) -> History:
    return read_history(runs["failing"].path / "history")


def summary_of(runs: dict[str, Made], history: History, *allowed: Allowance) -> Summary:
    facts = {**open_run(runs["failing"].path).facts, "started": STARTED, "allowed": [one.facts() for one in allowed]}
    return build_summary(history, verdicts_failing(), facts, [], {})


def allow(rule: str, until: date | None = None) -> Allowance:
    return Allowance(rule, f"<b>{rule}</b> is mended in 3.64", until)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("a-rule=why", Allowance("a-rule", "why")),
        ("a-rule=why@2026-12-31", Allowance("a-rule", "why", date(2026, 12, 31))),
        (" a-rule = ask me@here: x=1 @2026-12-31 ", Allowance("a-rule", "ask me@here: x=1", date(2026, 12, 31))),
        ("a-rule=ask me@example.com", Allowance("a-rule", "ask me@example.com")),
        ("a-rule=日本@team", Allowance("a-rule", "日本@team")),
    ],
)  # fmt: skip
def test_an_allowance_is_read_as_it_is_written(written: str, read: Allowance) -> None:
    assert parse_allowance(written) == read
    assert allowances_of([read.facts()], "here") == (read,)


@pytest.mark.parametrize("written", ["", "a-rule", "a-rule=", "=why", "a-rule=@2026-12-31"])
def test_a_rule_without_a_reason_is_refused(written: str) -> None:
    with pytest.raises(HarnessError, match="needs a rule and a reason"):
        parse_allowance(written)


@pytest.mark.parametrize("written", ["a=why@2026-13-01", "a=why@31.12.2026", "a=why@2026", "a=why@2026/12/31"])
def test_what_is_no_date_is_not_taken_for_a_part_of_the_reason(written: str) -> None:
    with pytest.raises(HarnessError, match="is no date"):
        parse_allowance(written)


def test_the_command_line_outranks_the_profile_and_two_for_one_rule_are_refused() -> None:
    ours, theirs, other = Allowance("a", "ours"), Allowance("a", "theirs"), Allowance("b", "other")
    assert merged([ours], [theirs, other]) == [ours, other]
    with pytest.raises(HarnessError, match="two allowances for a"):
        allowances_of([ours.facts(), theirs.facts()], "here")


def test_it_holds_to_the_end_of_its_day_in_utc() -> None:
    one = allow("a", date(2026, 5, 6))
    assert [one.expired(date(2026, 5, day)) for day in (5, 6, 7)] == [False, False, True]


def test_every_known_failure_allowed_ends_as_if_they_passed(runs: dict[str, Made], history: History) -> None:
    told = summary_of(runs, history, *map(allow, NAMES))["outcome"]
    assert (told["exit_code"], told["title"], told["counts"]["fail"], told["allowed"]) == (0, "Passed", 3, 2)
    assert told["failed_must"] == 0
    assert told["sentence"].startswith(
        "The endpoint kept 8 of 13 rules over 2,400 exchanges; nothing was broken but 2 rules: idempotent-concurrent, "
        "rate-limit-upper, a known failure that is allowed."
    )


def test_one_left_still_fails_the_run(runs: dict[str, Made], history: History) -> None:
    told = summary_of(runs, history, allow(NAMES[0]))["outcome"]
    assert (told["exit_code"], told["failed_must"], told["allowed"]) == (1, 1, 1)
    assert told["sentence"].startswith("The endpoint broke the rule rate-limit-upper.")


def test_the_day_after_it_counts_again_and_says_so(runs: dict[str, Made], history: History) -> None:
    summary = summary_of(runs, history, allow(NAMES[0], date(2026, 5, 5)), allow(NAMES[1], date(2026, 5, 6)))
    told = summary["outcome"]
    assert (told["exit_code"], told["failed_must"]) == (1, 1)
    assert told["allowances"] == [
        "idempotent-concurrent was allowed to fail until 2026-05-05, and counts again: "
        "<b>idempotent-concurrent</b> is mended in 3.64",
        "rate-limit-upper is a known failure, allowed until 2026-05-06: <b>rate-limit-upper</b> is mended in 3.64",
    ]
    assert [rule["rule"] for rule in summary["rules"] if excuse(rule)] == ["rate-limit-upper"]


def test_what_passes_may_be_taken_off_the_list(runs: dict[str, Made], history: History) -> None:
    told = summary_of(runs, history, allow("idempotent-replay"), allow("settled-token"))["outcome"]
    assert told["allowances"] == ["idempotent-replay passes: its allowance (without an end) can be removed."]
    assert "settled-token" not in told["undecided"]


def test_an_allowance_does_not_stand_in_for_a_decision(runs: dict[str, Made], history: History) -> None:
    allowed = [allow("ref-retention").facts()]
    facts = {**open_run(runs["passing"].path).facts, "allowed": allowed, "require": ["ref-retention"]}
    verdicts = [one for one in verdicts_failing() if one.status != "fail"]
    assert build_summary(history, verdicts, facts, [], {})["outcome"]["exit_code"] == 4


@pytest.fixture(scope="module")
def summary(runs: dict[str, Made], history: History) -> Summary:
    return summary_of(runs, history, *map(allow, NAMES))


def test_junit_skips_it_with_the_reason(summary: Summary) -> None:
    cases = {case.attrib["name"]: case for case in ET.fromstring(junit.render(summary)).iter("testcase")}
    for name in NAMES:
        assert cases[name].find("failure") is None
        skipped = cases[name].find("skipped")
        assert skipped is not None
        assert skipped.attrib["message"].startswith("known failure, allowed without an end: <b>")


def test_sarif_keeps_the_result_as_suppressed(summary: Summary) -> None:
    results: list[dict[str, Any]] = json.loads(sarif.render(summary))["runs"][0]["results"]
    told = {one["ruleId"]: one["suppressions"] for one in results}
    assert [one["kind"] for one in told["rate-limit-upper"]] == ["external"]
    assert told["unauthorised-challenge"] == []


def test_it_is_a_warning_in_a_ci_and_a_figure_for_prometheus(summary: Summary) -> None:
    assert [line.split(" ")[0] for line in github.annotations(summary)] == ["::warning"] * 3
    assert 'stepup_rule_allowed{rule="rate-limit-upper"} 1\n' in prometheus.render(summary)
    assert "stepup_run_exit_code 0\n" in prometheus.render(summary)


def test_people_are_shown_the_failure_its_witness_and_the_excuse(summary: Summary) -> None:
    page, told, plain = html.render(summary), markdown.render(summary), text.render(summary)
    assert page.count('<article class="card unsure"') == 2
    assert page.count("known failure, allowed without an end: &lt;b&gt;") >= 2
    assert told.startswith("# ✅ Passed\n")
    assert "## ⚠️ idempotent-concurrent" in told
    assert "<b>" not in page + told
    assert "  known failure, allowed without an end: <b>rate-limit-upper</b>" in plain


def test_a_damaged_list_is_told(runs: dict[str, Made], tmp_path: Path) -> None:
    facts = json.loads((runs["passing"].path / "run.json").read_text())
    for damaged, says in (([{}], "damaged"), ([{"rule": "a", "reason": "b", "until": "soon"}], "is no date")):
        (tmp_path / "run.json").write_text(json.dumps({**facts, "allowed": damaged}))
        with pytest.raises(HarnessError, match=says):
            open_run(tmp_path)
