"""What is declared of a simulated endpoint and what it does where either way is right; drawn at random."""

import random
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

MS: Final = 10**6
SECOND: Final = 10**9
NEVER: Final = 1 << 60
# Each defect with the rules of which one has to find it, and what has to be declared for it to show.
DEFECTS: Final[dict[str, tuple[tuple[str, ...], dict[str, Any]]]] = {
    "lookup-race": (("idempotent-concurrent",), {}),
    "refs-forgotten": (("idempotent-replay", "ref-retention"), {}),
    "retry-issues-again": (
        ("idempotent-after-unknown", "push-at-most-once"),
        {"rate": False, "challenges": False, "reject": False},
    ),
    "refs-of-programme": (("idempotent-scope",), {}),
    "refs-of-both-channels": (("idempotent-scope",), {}),
    "refs-case-folded": (("ref-exact",), {}),
    "no-ref-replayed": (("no-ref-no-replay",), {}),
    "ids-repeat": (("challenge-id-unique",), {}),
    "refusal-kept": (("ref-not-spent-by-refusal", "rate-limit-no-effect"), {"rate": True}),
    "pushed-twice": (("push-at-most-once",), {}),
    "settled-served": (("settled-token",), {"strict": True}),
    "settled-for-person": (("settled-token", "stepup-linearisable"), {"strict": True}),
    "pending-race": (("in-flight",), {"reject": True}),
    "pending-ignored": (("in-flight",), {"reject": True}),
    "pending-refused": (("in-flight",), {"reject": False}),
    "challenges-one-more": (("challenge-limit-upper",), {"challenges": True}),
    "challenges-one-fewer": (("challenge-limit-lower", "stepup-linearisable"), {"challenges": True}),
    "challenges-of-all": (("challenge-limit-isolated", "challenge-limit-lower"), {"challenges": True}),
    "challenges-count-replays": (("challenge-limit-replay-free", "challenge-limit-lower"), {"challenges": True}),
    "rate-one-more": (("rate-limit-upper",), {"rate": True}),
    "rate-one-fewer": (("rate-limit-lower",), {"rate": True}),
    "rate-of-all": (("rate-limit-isolated", "rate-limit-lower"), {"rate": True}),
    "retry-after-early": (("rate-limit-retry-after",), {"rate": True}),
    "foreign-key-served": (("tenant-isolation",), {}),
    "logged-out-served": (("logged-out-refused",), {}),
    "impersonator-served": (("impersonator-refused",), {}),
    "unknown-key-served": (("auth-required",), {}),
    "unregistered-served": (("channel-registered",), {}),
    "sms-served": (("channel-enum",), {}),
}


@dataclass
class World:
    """What is declared, and what the endpoint does where either way is right. Times in ns."""

    seed: int
    tables: dict[str, Any]  # of the profile
    programmes: int = 12
    reject: bool = False
    lasts: int = NEVER
    conflict: bool = False
    challenges: tuple[int, int, str] | None = None  # count, window, scope
    rate: dict[str, Any] | None = None
    after: dict[str, float] = field(default_factory=lambda: {"accept": 1.0, "decline": 1.0})  # chance to be refused
    settled_first: bool = True  # a settled token is refused a replay, too
    limit_first: bool = False  # the challenge limit is looked at before the token's state
    forgets: frozenset[str] = frozenset()  # what else a reset forgets
    late: int = NEVER
    step: int = MS
    machines: int = 1
    resets: int = 0
    restarts: int = 0
    lost: float = 0.04
    defect: str = ""


def any_world(seed: int, programmes: int = 12) -> World:
    """A correct world of any policy."""
    rng = random.Random(f"whole {seed}")
    reject, conflict = rng.random() < 0.4, rng.random() < 0.3
    lasts = rng.choice((NEVER, 150 * MS, 600 * MS)) if reject else NEVER
    late = rng.choice((NEVER, 200 * MS))
    step = rng.choice((MS, MS, 10 * MS))
    world = World(
        seed, {}, programmes, reject=reject, lasts=lasts, conflict=conflict, late=late, step=step,
        settled_first=rng.random() < 0.5, limit_first=rng.random() < 0.5, machines=rng.choice((1, 1, 1, 2)),
        forgets=frozenset(what for what in ("refs", "settled") if rng.random() < 0.3),
        resets=rng.choice((0, 0, 1, 2)), restarts=rng.choice((0, 0, 1)), lost=rng.choice((0.0, 0.04, 0.1)),
    )  # fmt: skip
    policy = {"in_flight": "reject" if reject else "allow", "concurrent_duplicate": "conflict" if conflict else "wait"}
    if lasts < NEVER:
        policy["in_flight_for"] = f"{lasts // MS}ms"
    target: dict[str, Any] = {"exclusive": rng.random() < 0.8, "clock_step": f"{step // MS}ms"}
    if late < NEVER:
        target["late_effect"] = f"{late // MS}ms"
    control = {"accept": "POST /a/{challenge_id}", "decline": "POST /d/{challenge_id}", "reset": "POST /r"}
    control |= {"pushes": "GET /p"}
    world.tables = {"target": target, "policy": policy, "control": control, "outcomes": _outcomes(world, rng)}
    limits = {"challenges": _challenges(world, rng), "rate": _rate(world, rng)}
    world.tables["limits"] = {name: told for name, told in limits.items() if told}
    return world


def _outcomes(world: World, rng: random.Random) -> dict[str, list[str]]:
    """What the profile says of settled tokens, and of overload."""
    outcomes = {}
    for way in ("accept", "decline"):
        declared = rng.choice([None, None, None, ["200"], ["409:STATE_INVALID"], ["200", "409:STATE_INVALID"]])
        if declared is not None:
            outcomes[f"after-{way}"] = declared
            world.after[way] = 0.5 if len(declared) > 1 else float("200" not in declared)
    if rng.random() < 0.3:
        outcomes["valid"] = ["200", "503"]
    return outcomes


def _challenges(world: World, rng: random.Random) -> dict[str, Any]:
    if rng.random() < 0.25:
        return {}
    scope = rng.choice(("user", "user", "programme"))
    many, window = rng.choice((2, 5)) * (4 if scope == "programme" else 1), rng.choice((300, 900, 60_000)) * MS
    world.challenges = many, window, scope
    return {"count": many, "window": f"{window // MS}ms", "scope": scope}


def _rate(world: World, rng: random.Random) -> dict[str, Any]:
    if rng.random() < 0.25:
        return {}
    scope = rng.choice(("user", "user", "api-key", "ip", "global"))
    many = rng.choice((3, 6)) * {"user": 1, "api-key": 3}.get(scope, 3 * world.programmes)
    algorithm = rng.choice(("sliding-window", "fixed-window", "token-bucket"))
    told = {"count": many, "window": "250ms", "algorithm": algorithm, "scope": scope, "retry_after": rng.random() < 0.8}
    world.rate = told | {
        "counts_refusals": rng.random() < 0.3,
        "counts_replays": rng.random() < 0.7,
        "window": 250 * MS,
    }
    if algorithm == "fixed-window":
        world.rate["phase"] = rng.choice(("shared", "epoch", "first-request"))
        told["phase"] = world.rate["phase"]
    for name in ("counts_refusals", "counts_replays"):
        if rng.random() < 0.7:
            told[name] = world.rate[name]
    return told


def defective_world(seed: int, defect: str, programmes: int = 12) -> World:
    """A world in which the defect can show, and little else is in its way."""
    needs = DEFECTS[defect][1]
    for n in count(seed * 1_000):
        world = any_world(n, programmes)
        strict = world.after == {"accept": 1.0, "decline": 1.0}
        fits = {"reject": world.reject, "strict": strict, "rate": world.rate is not None}
        fits["challenges"] = world.challenges is not None and world.challenges[2] == "user"
        told = world.tables["target"]
        if told["exclusive"] and "late_effect" in told and all(fits[name] == needs[name] for name in needs):
            world.defect, world.lost, world.resets = defect, min(world.lost, 0.04), 0
            return world
    raise AssertionError
