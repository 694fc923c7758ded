"""Rules are validated where they are declared, and what they say of themselves is complete."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from harness.case import INTENTS
from harness.rules import FAMILIES, RULES, Finding, rule
from harness.rules.answers.blame import JUDGED_HERE
from harness.spec import load_spec

GOOD: dict[str, Any] = {
    "family": "state", "severity": "must", "scope": "history", "statement": "a promise", "source": "who makes it",
    "advice": "what to look at",
}  # fmt: skip


@pytest.fixture
def registry() -> Iterator[dict[str, Any]]:
    """The registry, given back as it was."""
    before = dict(RULES)
    yield RULES
    RULES.clear()
    RULES.update(before)


def declare(name: str, **changes: Any) -> None:
    rule(name, **{**GOOD, **changes})(lambda history, profile: Finding(0))


def test_a_complete_declaration_is_registered_with_its_check(registry: dict[str, Any]) -> None:
    declare("brand-new", least=3)
    made = registry["brand-new"]
    assert (made.id, made.family, made.least, made.sound_with_gaps) == ("brand-new", "state", 3, True)


@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        ("documented-status", {}, "must be new"),
        ("Camel", {}, "words joined by hyphens"),
        ("with space", {}, "words joined by hyphens"),
        ("", {}, "words joined by hyphens"),
        ("x", {"family": "nobody's"}, "family"),
        ("x", {"severity": "could"}, "severity or scope"),
        ("x", {"scope": "galaxy"}, "severity or scope"),
        ("x", {"statement": " "}, "statement is empty"),
        ("x", {"source": ""}, "source is empty"),
        ("x", {"advice": "\n"}, "advice is empty"),
        ("x", {"least": 0}, "nothing examined is never a pass"),
    ],
)
def test_a_declaration_that_is_not_whole_is_refused(
    registry: dict[str, Any], name: str, changes: dict[str, Any], told: str
) -> None:
    before = dict(registry)
    with pytest.raises(ValueError, match=re.escape(told)):
        declare(name, **changes)
    assert registry == before


def test_rules_are_told_family_by_family() -> None:
    families = [FAMILIES.index(one.family) for one in RULES.values()]
    assert families == sorted(families)


@pytest.mark.parametrize("name", [name for name in RULES if RULES[name].source.startswith("openapi.yaml#/")])
def test_a_source_in_the_document_points_at_something_there(name: str) -> None:
    pointer = RULES[name].source.split(";")[0].removeprefix("openapi.yaml#/")
    node: Any = load_spec().document
    for part in pointer.split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        node = node[int(key)] if isinstance(node, list) else node[key]
    assert node is not None


@pytest.mark.parametrize("intent", list(INTENTS))
def test_every_intent_blames_a_rule_that_there_is(intent: str) -> None:
    blamed = INTENTS[intent].rule
    assert blamed in RULES


@pytest.mark.parametrize("name", JUDGED_HERE)
def test_every_rule_that_single_answers_are_held_against_is_registered(name: str) -> None:
    assert RULES[name].scope == "exchange"
