"""Each form of the report: whole where it is small, sound whatever texts go in, within its size."""

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import xmlschema

from reports import html, junit, markdown, text
from tests.reports.conftest import Made
from tests.reports.runs import verdicts_failing


def test_failure_lines_tell_the_sentence_the_witness_and_the_command() -> None:
    (broken,) = [one for one in verdicts_failing() if one.rule == "idempotent-concurrent"]
    assert text.failure_lines(vars(broken)) == [
        "✗ idempotent-concurrent: 2 overlapping calls of user 7 on AUTHY with ref 'order-77' got c-1 and c-2. "
        "3 more such violations.",
        "         0.000 to      9.000 ms  user 7 AUTHY ref order-77 → 200 id c-1",
        "         3.000 to     11.000 ms  user 7 AUTHY ref order-77 → 200 id c-2",
        "  look at: Look at the place where a reference is looked up and stored: both must be one atomic step.",
        "  again:   stepup load --scenario idempotency --seed 1 --profile profile.toml",
    ]


def test_a_long_witness_shows_both_its_ends() -> None:
    (broken,) = [one for one in verdicts_failing() if one.rule == "rate-limit-upper"]
    lines = text.timeline_lines(broken.witness)
    assert len(lines) == 13
    assert lines[6] == "    … 39 more exchanges"
    assert lines[0].endswith("user 0 AUTHY ref r0 → 200 id r-0")
    assert lines[-1].endswith("user 10 AUTHY ref r50 → 200 id r-50")


def test_text_is_one_printable_line_after_another(made: Made) -> None:
    for line in text.render(made.summary).split("\n"):
        assert line.isprintable()


def test_junit_has_a_suite_a_family_and_counts_that_agree(made: Made) -> None:
    root = ET.fromstring(junit.render(made.summary))
    cases = root.findall("./testsuite/testcase")
    assert int(root.attrib["tests"]) == len(cases) == len(made.summary["rules"]) + len(made.summary["gates"])
    for name, plural in (("failure", "failures"), ("skipped", "skipped")):
        found = sum(case.find(name) is not None for case in cases)
        assert found == sum(int(one.attrib[plural]) for one in root.findall("testsuite"))
    assert int(root.attrib["failures"]) == sum(case.find("failure") is not None for case in cases)
    assert len({one.attrib["name"] for one in root.findall("testsuite")}) == len(root.findall("testsuite"))


def test_junit_has_the_form_that_ci_servers_take(made: Made) -> None:
    schema = xmlschema.XMLSchema10(Path(__file__).parent / "junit.xsd")
    told = junit.render(made.summary)
    assert [str(error)[:300] for error in schema.iter_errors(told)] == []
    assert not schema.is_valid(told.replace("<testcase classname", "<testcase class"))


def test_junit_tells_failures_reasons_and_missed_gates(runs: dict[str, Made]) -> None:
    root = ET.fromstring(junit.render(runs["failing"].summary))
    told = {case.attrib["name"]: case for case in root.iter("testcase")}
    assert told["idempotent-replay"].find("*") is None
    failure = told["idempotent-concurrent"].find("failure")
    assert failure is not None
    assert (failure.text or "").split("\n")[1].endswith("user 7 AUTHY ref order-77 → 200 id c-1")
    skipped = told["settled-token"].find("skipped")
    assert skipped is not None
    assert skipped.attrib["message"] == (
        "not-exercised: nothing in this history could have broken it "
        "The profile names no control call to accept a challenge."
    )
    assert told["unauthorised-challenge"].find("failure") is None  # good practice fails no run
    missed = told["error_rate"].find("failure")
    assert missed is not None
    assert missed.attrib["message"] == "2.0 %, at most 1.0 %"
    assert told["latency_p99"].find("failure") is None


def test_markdown_holds_no_markup_of_a_target(runs: dict[str, Made]) -> None:
    from markdown_it import MarkdownIt

    page = markdown.render(runs["hostile"].summary)
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(page)
    kinds = {child.type for token in tokens for child in token.children or []} | {token.type for token in tokens}
    assert not kinds & {"html_inline", "html_block", "link_open", "image"}
    for token in tokens:
        raw = token.content if token.type == "inline" else ""
        for child in token.children or []:
            raw = raw.replace(child.content, "") if child.type == "code_inline" else raw
        assert not re.search(r"@|https?://|www\.|(?<!&)#\d|\$", raw)


@pytest.mark.parametrize("longest", [markdown.JOB_SUMMARY, markdown.COMMENT, 8_000, 2_000])
def test_markdown_keeps_to_its_size(made: Made, longest: int) -> None:
    page = markdown.render(made.summary, longest)
    assert len(page.encode()) <= longest
    assert page.startswith("# ")


class Tags(HTMLParser):
    """Counts the elements and attributes of a page, and whether every element is closed."""

    VOID = frozenset({"meta", "link", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.handlers: set[str] = set()
        self.ids: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.handlers |= {name for name, _ in attrs if name.startswith("on") or name in ("style", "src")}
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_is_well_formed_small_and_holds_no_markup_of_a_target(made: Made) -> None:
    page = html.render(made.summary)
    tags = Tags(page)
    assert len(page.encode()) < html.LARGEST
    assert tags.open == []
    assert tags.handlers == set()
    assert not tags.seen & {"img", "iframe", "object", "embed", "form", "input", "base"}
    assert page.count("<script>") == 1
    assert len(tags.ids) == len(set(tags.ids))
    assert not re.search(r"(src|href)=\"(?!#|data:,)", page)


def test_html_stays_small_when_every_rule_fails_with_long_texts(runs: dict[str, Made]) -> None:
    summary = runs["hostile"].summary
    rule = summary["rules"][0]
    broken = dict.fromkeys(("message", "hint", "statement", "source"), '"' * 600)
    rules = [{**rule, **broken, "rule": f"rule-{n}", "status": "fail", "reproduce": '"' * 4000} for n in range(60)]
    page = html.render({**summary, "rules": rules})
    assert len(page.encode()) < html.LARGEST
    assert "rule-59" in page


def test_html_of_a_partial_run_says_so(runs: dict[str, Made]) -> None:
    assert "This run is partial" in html.render(runs["partial"].summary)
    assert "This run is partial" not in html.render(runs["passing"].summary)


def test_the_first_screen_names_failures_gates_and_what_was_not_shown(runs: dict[str, Made]) -> None:
    head = html.render(runs["failing"].summary).partition("</header>")[0]
    told = re.findall(
        r"<dt>(.*?)</dt><dd><a href=\"#(.*?)\">(.*?)</a> ?(.*?)</dd>", head.partition('class="glance"')[2]
    )
    assert told == [
        ("Failed", "rule-idempotent-concurrent", "idempotent-concurrent", "2 overlapping calls of user 7 on AUTHY with "
         "ref &#x27;order-77&#x27; got c-1 and c-2. 3 more such violations."),
        ("Failed", "rule-rate-limit-upper", "rate-limit-upper",
         "51 requests were admitted within 0.157 s, where 50 in 1 s may be."),
        ("Failed", "rule-unauthorised-challenge", "unauthorised-challenge", "a 401 came without WWW-Authenticate"),
        ("Gate missed", "gates", "error_rate", "2.0 %, at most 1.0 %"),
        ("Gate kept", "gates", "latency_p99", "18.2 ms, at most 50 ms"),
        ("Not shown", "not-shown", "ref-retention, settled-token", ""),
    ]  # fmt: skip


def test_a_witness_of_one_more_than_is_shown_is_shown_whole() -> None:
    (broken,) = [one for one in verdicts_failing() if one.rule == "rate-limit-upper"]
    assert len(text.timeline_lines(broken.witness[:13])) == 13
    assert text.timeline_lines(broken.witness[:14])[6] == "    … 2 more exchanges"
