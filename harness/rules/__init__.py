"""The rules that a history is held to, by family; importing this package registers all of them."""

from harness.rules.registry import FAMILIES, RULES, Finding, Rule, Violation, rule

__all__ = ["FAMILIES", "RULES", "Finding", "Rule", "Violation", "rule"]
