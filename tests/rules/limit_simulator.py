"""Simulates an endpoint with limits, correct or with one defect, and records what its callers see."""

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from harness.history import SCHEMA, History, Tally, history_of
from harness.pool import Pool, pool_of
from harness.profile import ChallengeLimit, Control, Profile, RateLimit, Target

MS: Final = 10**6
SECOND: Final = 10**9


@dataclass(frozen=True)
class World:
    """What is simulated; times in ns. `kind` is how the rate is counted, `phase` where its fixed windows begin."""

    seed: int
    kind: str = "sliding-window"
    phase: str = "shared"
    count: int = 6
    window: int = SECOND
    challenges: int = 5
    challenge_window: int = 4 * SECOND
    challenge_kind: str = "sliding-window"
    users: int = 4
    rate_scope: str = "user"
    challenge_scope: str = "user"
    counts_refusals: bool = False
    counts_replays: bool = True
    declared: bool = True
    step: int = MS
    latency: int = 8 * MS
    slow: float = 0.03
    lost: float = 0.03
    resets: int = 0
    length: int = 30 * SECOND
    rate_defect: str = "none"
    challenge_defect: str = "none"


class Counter:
    """A limiter at its own clock: `take` counts one at `now` and says whether it passed."""

    def __init__(self, kind: str, count: int, window: int, phase: int | None, *, counts_refusals: bool) -> None:
        self.kind, self.count, self.window, self.phase = kind, count, window, phase
        self.counts_refusals = counts_refusals
        self.log: deque[int] = deque()
        self.opened, self.used, self.full = -(1 << 62), 0, 0
        self.before = 0  # the count of the window before, where that is weighed in

    def take(self, now: int, *, look: int | None = None) -> bool:
        """Count one at `now`; `look`: decide by how things were then."""
        if self.kind == "token-bucket":
            return self._bucket(now)
        if self.kind == "fixed-window":
            return self._fixed(now)
        if self.kind == "sliding-window-counter":
            return self._weighted(now)
        return self._sliding(now, now if look is None else look)

    def _sliding(self, now: int, look: int) -> bool:
        while self.log and self.log[0] <= now - self.window:
            self.log.popleft()
        passed = sum(at <= look for at in self.log) < self.count
        if passed or self.counts_refusals:
            self.log.append(now)
        return passed

    def _fixed(self, now: int) -> bool:
        if self.phase is None:
            if now >= self.opened + self.window:
                self.opened, self.used = now, 0
        elif (now - self.phase) // self.window != (self.opened - self.phase) // self.window:
            self.opened, self.used = now, 0
        passed = self.used < self.count
        self.used += passed or self.counts_refusals
        return passed

    def _weighted(self, now: int) -> bool:
        phase = self.phase or 0
        turn, left = divmod(now - phase, self.window)
        since = turn - (self.opened - phase) // self.window
        if since:
            self.before, self.used = self.used if since == 1 else 0, 0
        self.opened = now
        passed = self.before * (self.window - left) + self.used * self.window < self.count * self.window
        self.used += passed or self.counts_refusals
        return passed

    def _bucket(self, now: int) -> bool:
        gap = -(-self.window // self.count)
        full = max(self.full, now)
        passed = full - now <= (self.count - 1) * gap
        if passed:
            self.full = full + gap
        elif self.counts_refusals:
            self.full = min(full + gap, now + self.count * gap)
        return passed

    def wait(self, now: int) -> int:
        """How many ns until one more passes, if nothing else comes."""
        if self.kind == "token-bucket":
            return max(max(self.full, now) - now - (self.count - 1) * -(-self.window // self.count), 0)
        if self.kind == "fixed-window":
            begun = self.opened if self.phase is None else now - (now - self.phase) % self.window
            return begun + self.window - now if self.used >= self.count else 0
        if self.kind == "sliding-window-counter":
            left = (now - (self.phase or 0)) % self.window
            if self.used >= self.count:
                return 2 * self.window - left - self.count * self.window // self.used + 1
            room = (self.count - self.used) * self.window // max(self.before, 1)
            return max(self.window - left - room + 1, 0)
        return self.log[-self.count] + self.window - now if len(self.log) >= self.count else 0


@dataclass
class _Call:
    sent: int
    effect: int
    received: int
    user: int
    ref: str | None
    lost: bool
    answer: tuple[int, str, str, str | None] = (0, "", "", None)
    early: bool = field(default=False)


class Endpoint:
    """Answers calls in the order of their effects: the rate first, then the ref, then the challenge limit."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world, self.rng = world, rng
        self.skew = rng.uniform(-1e-4, 1e-4)
        self.offset = rng.randrange(10 * SECOND)
        self.origin = rng.randrange(world.window)
        self.reset()

    def reset(self) -> None:
        self.rates: dict[Any, Counter] = {}
        self.limits: dict[Any, Counter] = {}
        self.refs: dict[Any, str] = {}
        self.kept: set[Any] = set()
        self.ids = getattr(self, "ids", 0)

    def clock(self, time: int) -> int:
        moved = time + int(time * self.skew) + self.offset
        return moved - moved % self.world.step

    def answer(self, call: _Call) -> tuple[int, str, str, str | None]:
        """Status, error code, id and Retry-After."""
        world, now = self.world, self.clock(call.effect)
        key = (call.user, call.ref)
        replay = call.ref is not None and key in self.refs
        if key in self.kept or (not (replay and not world.counts_replays) and not self._pass_rate(call, now)):
            if world.rate_defect == "ref-kept" and call.ref is not None:
                self.kept.add(key)
            if world.challenge_defect == "limited-counted" and not replay:
                self._limit(call).take(now)
            return 429, "", "", self._retry(call, now)
        if replay:
            if world.challenge_defect == "replays-counted":
                self._limit(call).take(now)
            return 200, "", self.refs[key], None
        look = now - 2 * MS if world.challenge_defect == "race" else None
        if not self._limit(call).take(now, look=look):
            return 409, "CHALLENGE_LIMIT_EXCEEDED", "", None
        self.ids += 1
        made = f"id-{self.ids}"
        if call.ref is not None:
            self.refs[key] = made
        return 200, "", made, None

    def _retry(self, call: _Call, now: int) -> str:
        wait = self._rate(call).wait(now)
        if self.world.rate_defect == "early-retry":
            return str(wait // SECOND)
        return str(-(-wait // SECOND))

    def _pass_rate(self, call: _Call, now: int) -> bool:
        look = now - 2 * MS if self.world.rate_defect == "race" else None
        return self._rate(call).take(now, look=look)

    def _rate(self, call: _Call) -> Counter:
        world, defect = self.world, self.world.rate_defect
        scope: Any = call.user if world.rate_scope == "user" and defect != "shared" else 0
        if defect == "per-worker":
            scope = (scope, self.rng.randrange(2))
        if scope not in self.rates:
            phase = None if world.phase == "first-request" else self.origin
            count, window = _off(world.count, world.window, defect)
            counts = world.counts_refusals or defect == "refusals-counted"
            self.rates[scope] = Counter(world.kind, count, window, phase, counts_refusals=counts)
        return self.rates[scope]

    def _limit(self, call: _Call) -> Counter:
        world, defect = self.world, self.world.challenge_defect
        scope: Any = call.user if world.challenge_scope == "user" and defect != "shared" else call.user % 2
        scope = 0 if defect == "shared" else scope
        if defect == "per-worker":
            scope = (scope, self.rng.randrange(2))
        if scope not in self.limits:
            count, window = _off(world.challenges, world.challenge_window, defect)
            counts = defect == "refusals-counted"
            self.limits[scope] = Counter(world.challenge_kind, count, window, 0, counts_refusals=counts)
        return self.limits[scope]


def _off(count: int, window: int, defect: str) -> tuple[int, int]:
    return {
        "off-by-one": (count + 1, window), "too-few": (count - 1, window), "short-window": (count, window * 7 // 10),
        "long-window": (count, window * 3 // 2), "never-reset": (count, 1 << 50),
        "wrong-clock": (count, window // 1000),
    }.get(defect, (count, window))  # fmt: skip


def _arrivals(world: World, rng: random.Random) -> list[tuple[int, int]]:
    """When which user sends: bursts, steady stretches and pauses for each."""
    made = []
    for user in range(world.users):
        time = rng.randrange(SECOND)
        while time < world.length:
            shape = rng.random()
            if shape < 0.4:
                many = rng.choice((world.count - 1, world.count + 1, 2 * world.count, 3 * world.count))
                made += [(time + rng.randrange(5 * MS), user) for _ in range(many)]
                time += rng.randrange(world.window // 2, 3 * world.window)
            elif shape < 0.7:
                gap = round(world.window / world.count / rng.choice((0.6, 0.95, 1.5, 2.0)))
                for _ in range(rng.randrange(3 * world.count)):
                    made.append((time, user))
                    time += gap
            elif shape < 0.9:
                for _ in range(rng.randrange(1, 8)):
                    made.append((time, user))
                    time += rng.randrange(20 * MS, 100 * MS)
            else:
                time += rng.randrange(world.window, 3 * world.window)
    return made


def simulate(world: World) -> tuple[History, Profile]:
    """One run in the world: its history, and the profile that declares what the endpoint ought to be."""
    rng = random.Random(world.seed)
    calls = [_call(world, rng, time, user) for time, user in _arrivals(world, rng)]
    _repeat(calls, world, rng)
    endpoint = Endpoint(world, rng)
    resets = sorted(rng.randrange(world.length) for _ in range(world.resets))
    spans = [(at - rng.randrange(5 * MS), at, at + rng.randrange(5 * MS)) for at in resets]
    events = sorted([(call.effect, 1, n) for n, call in enumerate(calls)] + [(at, 0, n) for n, at in enumerate(resets)])
    for _, kind, n in events:
        if kind == 0:
            endpoint.reset()
            continue
        call = calls[n]
        happened = not call.lost or rng.random() < 0.5
        answer = endpoint.answer(call) if happened else (0, "", "", None)
        call.answer = (0, "", "", None) if call.lost else answer
    return _history(calls, spans, rng, world), _profile(world)


def _call(world: World, rng: random.Random, time: int, user: int) -> _Call:
    took = int(rng.expovariate(1 / world.latency)) + 50_000
    if rng.random() < world.slow:
        took = rng.randrange(3 * SECOND)
    effect = time + rng.randrange(took + 1)
    ref = f"ref-{rng.randrange(1 << 40):x}" if rng.random() < 0.8 else None
    lost = rng.random() < world.lost
    received = time + took
    if lost and rng.random() < 0.5:
        received = rng.randrange(time, effect + 1)  # given up before the effect, which then comes late
    return _Call(time, effect, received, user, ref, lost)


def _repeat(calls: list[_Call], world: World, rng: random.Random) -> None:
    """Some calls are made again, at once or later: replays, and retries of what was lost or refused."""
    for call in list(calls):
        if call.ref is not None and rng.random() < 0.25:
            again = _call(
                world, rng, call.sent + rng.choice((0, rng.randrange(5 * MS), rng.randrange(SECOND))), call.user
            )
            again.ref = call.ref
            calls.append(again)


POOL_ROWS: Final = [
    {"token": f"t{n}", "api_key": f"k{n % 2}", "channels": ["AUTHY", "BIOMETRIC"], "user": f"u{n}"} for n in range(64)
]


def _profile(world: World) -> Profile:
    pool: Pool = pool_of([dict(row) for row in POOL_ROWS])
    kind: Any = world.kind
    phase: Any = world.phase if world.kind == "fixed-window" and world.phase != "unknown" else None
    scope: Any = world.rate_scope
    told = world.declared
    rate = RateLimit(
        world.count, world.window, kind, scope, retry_after=True, phase=phase,
        counts_refusals=world.counts_refusals if told else None, counts_replays=world.counts_replays if told else None,
    )  # fmt: skip
    scoped: Any = world.challenge_scope
    target = Target("http://127.0.0.1:1", exclusive=True, clock_step_ns=world.step, late_effect_ns=4 * SECOND)
    limit = ChallengeLimit(world.challenges, world.challenge_window, scoped)
    return Profile(target, pool, challenges=limit, rate=rate, control=Control(reset="POST /reset"))


def _history(calls: list[_Call], resets: list[tuple[int, int, int]], rng: random.Random, world: World) -> History:
    rows = len(calls) + len(resets)
    pushes = len(calls)
    filler: dict[str, Any] = {
        "stage": "load", "worker": "w0", "scenario": "sim", "case": "valid", "operation": "push", "intent": "valid",
        "allowed": "200", "method": "POST", "channel": "AUTHY", "body_fault": "", "error": "", "connection": 0,
        "headers": None, "body": None, "told": 0,
    }  # fmt: skip
    columns: dict[str, Any] = {name: [value] * rows for name, value in filler.items()}
    columns["operation"] = ["push"] * pushes + ["reset"] * len(resets)
    columns["intent"] = ["valid"] * pushes + ["control"] * len(resets)
    columns["seq"] = list(range(rows))
    columns["user"] = [call.user for call in calls] + [-1] * len(resets)
    columns["key"] = [call.user % 2 for call in calls] + [-1] * len(resets)
    columns["ref"] = [call.ref for call in calls] + [None] * len(resets)
    columns["sent"] = [call.sent for call in calls] + [span[0] for span in resets]
    columns["received"] = [call.received for call in calls] + [span[2] for span in resets]
    columns["intended"] = columns["sent"]
    columns["status"] = [call.answer[0] for call in calls] + [200] * len(resets)
    columns["outcome"] = [
        "ok" if call.answer[0] == 200 else "unknown" if call.lost else "refused" for call in calls
    ] + ["ok"] * len(resets)
    columns["error_code"] = [call.answer[1] for call in calls] + [""] * len(resets)
    columns["challenge_id"] = [call.answer[2] for call in calls] + [""] * len(resets)
    columns["retry_after"] = [call.answer[3] for call in calls] + [None] * len(resets)
    arrays = [pa.array(columns[name], SCHEMA.field(name).type) for name in SCHEMA.names]
    table = pa.Table.from_arrays(arrays, schema=SCHEMA)
    tally = Tally("load", "w0", "here", 1, sent=rows, recorded=rows, clean=True)
    return history_of(table, (tally,), (), rng.randrange(1 << 40))


def any_world(seed: int) -> World:
    """A correct world of random kind."""
    rng = random.Random(f"world {seed}")
    kind = rng.choice(("sliding-window", "fixed-window", "token-bucket"))
    step = rng.choice((MS, MS, 10 * MS, 1000, SECOND))
    return World(
        seed, kind, rng.choice(("shared", "first-request", "unknown")), count=rng.choice((2, 6, 20)),
        window=rng.choice((SECOND, 2 * SECOND)), challenges=rng.choice((2, 5, 15)),
        challenge_window=rng.choice((2, 4, 60)) * SECOND, rate_scope=rng.choice(("user", "user", "global")),
        challenge_scope=rng.choice(("user", "programme")), counts_refusals=rng.random() < 0.3,
        counts_replays=rng.random() < 0.7, declared=rng.random() < 0.7, step=step,
        latency=rng.choice((1, 8, 60)) * MS, lost=rng.choice((0.0, 0.03, 0.1)), resets=rng.choice((0, 0, 1, 3)),
    )  # fmt: skip
