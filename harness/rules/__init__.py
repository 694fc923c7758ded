"""The rules that a history is held to, by family; importing this package registers all of them."""

from importlib import import_module

from harness.rules.registry import FAMILIES, RULES, Finding, Rule, Violation, rule

__all__ = ["FAMILIES", "RULES", "Finding", "Rule", "Violation", "rule"]

# In the order in which verdicts are told.
for _name in (
    "responses",
    "access",
    "alike",
    "idempotency",
    "identifiers",
    "challenge_limit",
    "rate_limit",
    "state",
    "linearisable",
    "run",
):
    import_module(f"{__name__}.{_name}")
