"""Recorded histories with known verdicts: every rule has files of each kind, and its verdict is the expected one."""

from pathlib import Path

import pytest

from harness.history import History
from harness.judge import verdict_on, with_known_gaps
from harness.rules import RULES
from tests.history_files import load_case, make_history, read_lines

FOLDER = Path(__file__).parent.parent / "histories"
FILES = sorted(FOLDER.glob("*/*.jsonl"))
KINDS = ("ok", "bad", "empty")
LARGEST_WITNESS = 24  # rows; each is taken away once, and the rest judged again


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_verdict_on_a_recorded_history_is_the_expected_one(path: Path) -> None:
    history, profile, expected = load_case(path)
    rule = RULES[path.parent.name]
    verdict = verdict_on(rule, with_known_gaps(history), profile)
    assert verdict.status == expected.status, verdict.message
    if expected.examined is not None:
        assert verdict.examined == expected.examined
    if expected.witness is not None:
        rows = rule.check(history, profile).violations[0].rows
        assert sorted(expected.lines[row] for row in rows) == sorted(expected.witness), verdict.message


@pytest.mark.parametrize("path", [path for path in FILES if path.stem.startswith("bad")], ids=name_of)
def test_a_witness_has_no_exchange_that_could_be_spared(path: Path) -> None:
    head, exchanges = read_lines(path)
    history, profile, expected = load_case(path)
    rule = RULES[path.parent.name]
    found = rule.check(history, profile)
    if not expected.minimal or not found.violations or len(found.violations[0].rows) > LARGEST_WITNESS:
        pytest.skip("the failure does not rest on each single exchange")
    for line in sorted(expected.lines[row] for row in found.violations[0].rows):
        fewer: History
        kept = [row for place, row in enumerate(exchanges) if place != line]
        fewer, _ = make_history(
            kept, head.get("profile"), head.get("pool"), tallies=head.get("tallies"), gaps=head.get("gaps")
        )
        assert verdict_on(rule, with_known_gaps(fewer), profile).status != "fail", (
            f"still fails without exchange {line}"
        )


@pytest.mark.parametrize("rule_id", sorted(RULES))
@pytest.mark.parametrize("kind", KINDS)
def test_every_rule_has_histories_of_each_kind(rule_id: str, kind: str) -> None:
    files = sorted((FOLDER / rule_id).glob(f"{kind}*.jsonl"))
    assert files, f"tests/histories/{rule_id}/{kind}.jsonl is missing"
    # What is wrong with the run itself never counts against the target.
    broken = "inconclusive" if RULES[rule_id].scope == "run" else "fail"
    usual = {"ok": {"pass"}, "bad": {broken}, "empty": {"not-exercised", "inconclusive"}}
    for path in files:
        assert read_lines(path)[0]["expect"] in usual[kind], f"{name_of(path)}: expect does not fit its name"


def test_every_folder_of_histories_belongs_to_a_rule() -> None:
    assert {path.name for path in FOLDER.iterdir() if path.is_dir()} <= set(RULES)
    assert {path.stem.split("-")[0].rstrip("0123456789") for path in FILES} <= set(KINDS)
