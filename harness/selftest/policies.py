"""The policies under which the correct service is tried: every two settings of different kinds meet in one of them."""

import random
from itertools import combinations
from typing import Final

Options = dict[str, tuple[str, ...]]  # by name the `--policy` settings of the embedded service that it stands for

# Of each kind one holds at a time. A name of "" is what the service does by itself.
KINDS: Final[tuple[Options, ...]] = (
    {"": (), "reject": ("in_flight=reject", "in_flight_for=3"), "reject-for-ever": ("in_flight=reject",)},
    {"": (), "conflict": ("concurrent_duplicate=conflict",)},
    {
        "": (),
        "by-programme": ("challenge_scope=programme", "challenge_count=400"),
        "few-challenges": ("challenge_count=5", "challenge_window=4"),
        "no-challenge-limit": ("challenge_count=none",),
    },
    {
        "": (),
        "fixed-window": ("rate_algorithm=fixed-window",),
        "window-from-first": ("rate_algorithm=fixed-window", "rate_phase=first-request"),
        "window-of-clock": ("rate_algorithm=fixed-window", "rate_phase=epoch"),
        "token-bucket": ("rate_algorithm=token-bucket", "rate_burst=20"),
    },
    {
        "": (),
        "by-key": ("rate_scope=api-key", "rate_count=400"),
        "by-address": ("rate_scope=ip", "rate_count=1500"),
        "for-all": ("rate_scope=global", "rate_count=1500"),
        "no-rate-limit": ("rate_count=none",),
    },
    {"": (), "refusals-count": ("counts_refusals=true",)},
    {"": (), "replays-free": ("counts_replays=false",)},
    {"": (), "no-retry-after": ("retry_after=false",)},
    {"": (), "small-pool": ("users=3",)},
)
# Settings that no service can keep at once, or that would make a run of minutes: five windows of a second each for all.
APART: Final = ({"no-rate-limit", "refusals-count"}, {"no-rate-limit", "no-retry-after"})

Policy = tuple[str, ...]  # a name of each kind


def policies(seed: int) -> dict[str, tuple[str, ...]]:
    """By name the settings of each policy, the service as it is first; which meet in which, the seed decides."""
    rng = random.Random(seed)  # noqa: S311  (a draw that can be repeated)
    missing = _pairs()
    chosen: list[Policy] = [("",) * len(KINDS)]
    missing -= _met(chosen[0])
    while missing:
        tries = [_filled(rng, min(missing), missing) for _ in range(30)]
        best = max(tries, key=lambda policy: len(_met(policy) & missing))
        chosen.append(best)
        missing -= _met(best)
    return {_name(policy): _settings(policy) for policy in chosen}


Pair = tuple[tuple[int, str], tuple[int, str]]


def _pairs() -> set[Pair]:
    places = [[(kind, name) for name in options] for kind, options in enumerate(KINDS)]
    return {
        (one, two) for some, others in combinations(places, 2) for one in some for two in others if _possible(one, two)
    }


def _possible(one: tuple[int, str], two: tuple[int, str]) -> bool:
    return {one[1], two[1]} not in APART


def _met(policy: Policy) -> set[Pair]:
    return set(combinations(enumerate(policy), 2))


def _filled(rng: random.Random, pair: Pair, missing: set[Pair]) -> Policy:
    """A policy with this pair in it, each other kind in turn as it lets the most missing pairs meet."""
    chosen = dict(pair)
    for kind in rng.sample(range(len(KINDS)), len(KINDS)):
        if kind not in chosen:
            names = [name for name in KINDS[kind] if all(_possible((kind, name), one) for one in chosen.items())]
            rng.shuffle(names)
            chosen[kind] = max(names, key=lambda name: _new(kind, name, chosen, missing))
    return tuple(chosen[kind] for kind in range(len(KINDS)))


def _new(kind: int, name: str, chosen: dict[int, str], missing: set[Pair]) -> int:
    """How many missing pairs a name would make with those that are chosen."""
    made = {tuple(sorted(((kind, name), one))) for one in chosen.items()}
    return len(made & missing)


def _name(policy: Policy) -> str:
    return "+".join(name for name in policy if name) or "default"


def _settings(policy: Policy) -> tuple[str, ...]:
    return tuple(setting for kind, name in enumerate(policy) for setting in KINDS[kind][name])
