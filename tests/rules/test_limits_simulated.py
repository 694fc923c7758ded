"""Simulated endpoints: the limit rules never blame a correct one, and find what is wrong with the others."""

import itertools
from dataclasses import replace
from typing import Final

import pytest

from harness.judge import verdict_on
from harness.rules import RULES
from harness.verdict import Verdict
from tests.rules.limit_simulator import World, any_world, simulate

LIMIT_RULES: Final = [name for name in RULES if name.startswith(("challenge-limit", "rate-limit"))]
BATCHES: Final = 8
RUNS: Final = 10  # in each batch
KINDS: Final = ("sliding-window", "sliding-window-counter", "fixed-window", "token-bucket")
# What is planted in the rate limit, and the rules of which one has to name it.
RATE_DEFECTS: Final[dict[str, tuple[str, ...]]] = {
    "off-by-one": ("rate-limit-upper",),
    "short-window": ("rate-limit-upper",),
    "per-worker": ("rate-limit-upper",),
    "wrong-clock": ("rate-limit-upper",),
    "too-few": ("rate-limit-lower",),
    "long-window": ("rate-limit-recovers", "rate-limit-lower"),
    "never-reset": ("rate-limit-recovers", "rate-limit-lower"),
    "shared": ("rate-limit-isolated", "rate-limit-lower"),
    "ref-kept": ("rate-limit-no-effect",),
    "early-retry": ("rate-limit-retry-after",),
}
CHALLENGE_DEFECTS: Final[dict[str, tuple[str, ...]]] = {
    "off-by-one": ("challenge-limit-upper",),
    "short-window": ("challenge-limit-upper",),
    "per-worker": ("challenge-limit-upper",),
    "race": ("challenge-limit-upper",),
    "too-few": ("challenge-limit-lower",),
    "long-window": ("challenge-limit-reset", "challenge-limit-lower"),
    "never-reset": ("challenge-limit-reset",),
    "refusals-counted": ("challenge-limit-refusal-free",),
    "replays-counted": ("challenge-limit-replay-free", "challenge-limit-lower"),
    "shared": ("challenge-limit-isolated",),
    "limited-counted": ("rate-limit-no-effect", "challenge-limit-lower"),
}


def verdicts(world: World) -> dict[str, Verdict]:
    history, profile = simulate(world)
    return {name: verdict_on(RULES[name], history, profile) for name in LIMIT_RULES}


def failed(world: World) -> set[str]:
    return {name for name, verdict in verdicts(world).items() if verdict.status == "fail"}


@pytest.mark.parametrize("batch", range(BATCHES))
def test_a_correct_endpoint_is_never_blamed(batch: int) -> None:
    for seed in range(batch * RUNS, (batch + 1) * RUNS):
        world = replace(any_world(seed), length=15 * 10**9)
        for verdict in verdicts(world).values():
            assert verdict.status != "fail", f"{world}: {verdict.rule}: {verdict.message}"
            assert "broke down" not in verdict.message, f"{world}: {verdict.message}"


def quiet(seed: int, kind: str = "sliding-window") -> World:
    """A world in which little is lost or slow, so that what is planted shows."""
    return World(seed, kind, count=6, challenges=1000, lost=0.01, latency=3 * 10**6, slow=0.01)


@pytest.mark.parametrize(("kind", "defect"), list(itertools.product(KINDS, RATE_DEFECTS)))
def test_a_defect_of_the_rate_limit_is_found_and_named(kind: str, defect: str) -> None:
    for seed in range(2):
        found = failed(replace(quiet(seed, kind), rate_defect=defect))
        assert found & set(RATE_DEFECTS[defect]), f"seed {seed}: failed {found}"


@pytest.mark.parametrize("defect", ["race", "refusals-counted"])
def test_a_defect_that_a_sliding_window_alone_shows_is_found(defect: str) -> None:
    assert failed(replace(quiet(1), rate_defect=defect)) & {"rate-limit-upper", "rate-limit-lower"}


@pytest.mark.parametrize("defect", CHALLENGE_DEFECTS)
def test_a_defect_of_the_challenge_limit_is_found_and_named(defect: str) -> None:
    count = 6 if defect == "limited-counted" else 30  # requests; the rate should not stand before the challenge limit
    for seed in range(3):
        found = failed(replace(quiet(seed), count=count, challenges=5, challenge_defect=defect))
        assert found & set(CHALLENGE_DEFECTS[defect]), f"seed {seed}: failed {found}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_correct_endpoint_that_is_driven_hard_enough_passes(kind: str) -> None:
    found = verdicts(replace(quiet(3, kind), challenges=5, lost=0.0, slow=0.0, latency=10**6))
    expected = dict.fromkeys(LIMIT_RULES, "pass")
    assert {name: verdict.status for name, verdict in found.items()} == expected, [
        (verdict.rule, verdict.message) for verdict in found.values() if verdict.status != "pass"
    ]
