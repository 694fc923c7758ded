"""A simulated endpoint with users, lost answers and resets, correct or with one defect, and the history it leaves."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, Final

MS: Final = 1.0
NEVER: Final = float("inf")
DEFECTS: Final = (
    "settled-ignored",
    "settled-late",
    "settled-by-channel",
    "settled-for-person",
    "pending-race",
    "pending-by-channel",
    "pending-for-person",
    "pending-for-ever",
    "pending-refused",
    "random-refusal",
    "replay-limited",
    "limit-race",
)


@dataclass
class Settings:
    """What a target declares, and what it does where either way is right."""

    profile: dict[str, Any]
    rejects: bool
    lasts: float
    conflict: bool
    limit: int
    window: float
    settled_refused: dict[str, float]  # chance to refuse, by what settled the token: 0, 1 or in between
    refuses_replays: bool
    keeps: dict[str, bool]  # what a reset leaves
    late: float
    used: float  # how many tokens have a life before the run


def settings_of(rng: random.Random) -> Settings:
    rejects, lasts = rng.random() < 0.5, rng.choice([NEVER, 120.0, 400.0])
    limit, window = rng.choice([0, 3, 6]), rng.choice([300.0, 60_000.0])
    late = rng.choice([NEVER, 40.0])
    outcomes: dict[str, list[str]] = {}
    refused = {"accept": 1.0, "decline": 1.0}
    for reason in refused:
        declared = rng.choice([None, None, None, ["200"], ["409:STATE_INVALID"], ["200", "409:STATE_INVALID"]])
        if declared is not None:
            outcomes[f"after-{reason}"] = declared
            refused[reason] = 0.5 if len(declared) > 1 else float("200" not in declared)
    conflict = rng.random() < 0.3
    policy: dict[str, Any] = {"in_flight": "reject" if rejects else "allow"}
    policy |= {"concurrent_duplicate": "conflict"} if conflict else {}
    policy |= {"in_flight_for": f"{lasts:.0f}ms"} if lasts < NEVER else {}
    target = {"exclusive": rng.random() < 0.7} | ({"late_effect": f"{late:.0f}ms"} if late < NEVER else {})
    control = {"accept": "POST /a/{challenge_id}", "decline": "POST /d/{challenge_id}", "reset": "POST /r"}
    profile = {"target": target, "policy": policy, "control": control, "outcomes": outcomes}
    if limit:
        profile["limits"] = {"challenges": {"count": limit, "window": f"{window:.0f}ms"}}
    return Settings(
        profile=profile, rejects=rejects, lasts=lasts, conflict=conflict, limit=limit, window=window,
        settled_refused=refused, refuses_replays=rng.random() < 0.5,
        keeps={what: rng.random() < 0.5 for what in ("refs", "settled", "pending")}, late=late,
        used=rng.choice([0.0, 0.2]),
    )  # fmt: skip


@dataclass
class Target:
    """The endpoint. Times in ms; `defect` is one of DEFECTS or empty."""

    settings: Settings
    rng: random.Random
    person: list[int]
    defect: str = ""
    refs: dict[Any, str] = field(default_factory=dict)
    working: dict[Any, int] = field(default_factory=dict)
    issued: dict[int, list[float]] = field(default_factory=dict)
    pending: dict[int, tuple[str, float]] = field(default_factory=dict)
    settled: dict[int, tuple[str, float, str]] = field(default_factory=dict)
    owner: dict[str, tuple[int, str]] = field(default_factory=dict)
    numbers: Any = field(default_factory=count)

    def ask(self, now: float, arrived: float, token: int, op: Any, channel: str) -> tuple[int, str, str]:
        """Status, error code and challenge id of a request that arrived and is worked on now."""
        settings, defect = self.settings, self.defect
        refused = self._settled(now, token, channel)
        if op in self.refs and not (refused and settings.refuses_replays):
            if defect == "replay-limited" and self._full(now, token):
                return 409, "CHALLENGE_LIMIT_EXCEEDED", ""
            return 200, "", self.refs[op]
        if settings.conflict and self.working.get(op, 0) > 1 and op not in self.refs:
            return 409, "STATE_INVALID", ""
        if refused or (defect == "random-refusal" and self.rng.random() < 0.05):
            strict = settings.profile["outcomes"] or defect
            return (409, "STATE_INVALID", "") if strict or self.rng.random() < 0.5 else (400, "", "")
        if self._full(arrived if defect == "limit-race" else now, token):
            return 409, "CHALLENGE_LIMIT_EXCEEDED", ""
        if self._pending(arrived if defect == "pending-race" else now, token, channel):
            return 409, "STATE_INVALID", ""
        challenge = f"id-{next(self.numbers)}"
        self.refs[op] = challenge
        self.owner[challenge] = token, channel
        self.pending[token] = challenge, now
        self.issued.setdefault(self.person[token], []).append(now)
        return 200, "", challenge

    def settle(self, now: float, reason: str, challenge: str) -> int:
        token, channel = self.owner.get(challenge, (-1, ""))
        if token < 0:
            return 404
        if self.pending.get(token, ("", 0))[0] == challenge:
            del self.pending[token]
        chance = self.settings.settled_refused
        before = self.settled.get(token)
        if chance[reason] and (before is None or chance[before[0]] < chance[reason]):
            self.settled[token] = reason, now, channel
        return 200

    def reset(self) -> None:
        keeps = self.settings.keeps
        self.issued.clear()
        if not keeps["refs"]:
            self.refs.clear()
            self.owner.clear()
        if not keeps["settled"]:
            self.settled.clear()
        if not keeps["pending"]:
            self.pending.clear()

    def _full(self, now: float, token: int) -> bool:
        limit, window = self.settings.limit, self.settings.window
        counted = [one for one in self.issued.get(self.person[token], []) if now - window < one <= now]
        return bool(limit) and len(counted) >= limit

    def _settled(self, now: float, token: int, channel: str) -> bool:
        if self.defect == "settled-ignored":
            return False
        tokens = [token]
        if self.defect == "settled-for-person":
            tokens = [one for one, person in enumerate(self.person) if person == self.person[token]]
        for one in tokens:
            if one not in self.settled:
                continue
            reason, since, where = self.settled[one]
            if self.defect == "settled-late" and now - since < 150:
                continue
            if self.defect == "settled-by-channel" and where != channel:
                continue
            if self.rng.random() < self.settings.settled_refused[reason]:
                return True
        return False

    def _pending(self, now: float, token: int, channel: str) -> bool:
        if not self.settings.rejects and self.defect != "pending-refused":
            return False
        tokens = [token]
        if self.defect == "pending-for-person":
            tokens = [one for one, person in enumerate(self.person) if person == self.person[token]]
        lasts = NEVER if self.defect == "pending-for-ever" else self.settings.lasts
        for one in tokens:
            challenge, since = self.pending.get(one, ("", NEVER))
            here = self.defect != "pending-by-channel" or self.owner.get(challenge, (0, channel))[1] == channel
            if here and since <= now < since + lasts:
                return True
        return False


class Run:
    """One run against a target: users with several lanes each, in simulated time."""

    def __init__(self, seed: int, defect: str = "", settings: Settings | None = None) -> None:
        self.rng = random.Random(seed)
        self.settings = settings or settings_of(self.rng)
        self.people = 8
        self.pool = [
            {"token": f"token-{n}", "api_key": "key", "channels": ["AUTHY", "BIOMETRIC"], "user": f"p{n % self.people}"}
            for n in range(self.people + 4)
        ]
        persons = [n % self.people for n in range(len(self.pool))]
        self.target = Target(self.settings, self.rng, persons, defect)
        self.rows: list[dict[str, Any]] = []
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = count()
        self._given: dict[int, list[str]] = {}
        self._sent: dict[int, list[tuple[str, str]]] = {}
        self._refs = count()

    def play(self, until: float = 1_000.0) -> list[dict[str, Any]]:
        """The exchanges of a run of `until` ms."""
        self._before_the_run()
        for token in range(len(self.pool)):
            for _ in range(self.rng.choice([1, 2, 3])):
                self._at(self.rng.random() * until / 2, partial(self._act, token=token, until=until))
        for _ in range(self.rng.choice([0, 0, 1, 2])):
            self._at(self.rng.random() * until, self._reset)
        while self._events:
            now, _, event = heapq.heappop(self._events)
            event(now)
        return self.rows

    def _before_the_run(self) -> None:
        for token in range(len(self.pool)):
            if self.rng.random() < self.settings.used:
                self.target.ask(-10.0, -10.0, token, ("before", token), "AUTHY")
                if self.rng.random() < 0.5 and ("before", token) in self.target.refs:
                    self.target.settle(-5.0, "accept", self.target.refs["before", token])
        self.target.numbers = count(1_000)

    def _at(self, when: float, event: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), event))

    def _act(self, now: float, *, token: int, until: float) -> None:
        if now > until:
            return
        given = self._given.get(token, [])
        if given and self.rng.random() < 0.06:
            self._settle(now, token, self.rng.choice(given))
        else:
            self._push(now, token)
        pause = self.rng.choice([1.0, 10.0, 60.0]) * self.rng.expovariate(1)
        self._at(now + 12 * self.rng.random() + pause, partial(self._act, token=token, until=until))

    def _times(self, now: float) -> tuple[float, float, float, bool]:
        """Arrival, effect and receipt of a request sent now, and whether its answer is lost."""
        took = 1 + self.rng.expovariate(1 / 8) * self.rng.choice([1, 1, 1, 1, 20])
        arrived = now + took * self.rng.random() * 0.5
        effect = arrived + (now + took - arrived) * self.rng.random()
        lost = self.rng.random() < 0.05
        if lost and self.rng.random() < 0.5:
            effect = now + took + self.rng.random() * min(self.settings.late, 300.0) * 0.9
        return arrived, effect, now + took, lost

    def _push(self, now: float, token: int) -> None:
        channel = self.rng.choice(["AUTHY", "BIOMETRIC"])
        old = self._sent.setdefault(self.target.person[token], [])
        ref: str | None = None
        if old and self.rng.random() < 0.35:
            channel, ref = self.rng.choice(old[-4:])
        elif self.rng.random() < 0.7:
            ref = f"ref-{next(self._refs)}"
            old.append((channel, ref))
        op = (self.target.person[token], channel, ref if ref is not None else object())
        arrived, effect, received, lost = self._times(now)
        row: dict[str, Any] = {"t": [now, received], "user": token, "channel": channel, "ref": ref}
        dropped, limited = self.rng.random() < 0.3, self.rng.random() < 0.03

        def arrive(_: float) -> None:
            self.target.working[op] = self.target.working.get(op, 0) + 1

        def work(when: float) -> None:
            status, code, challenge = (429, "", "") if limited else (0, "", "")
            if not limited and not (lost and dropped):
                status, code, challenge = self.target.ask(when, arrived, token, op, channel)
            self.target.working[op] -= 1
            row.update({"status": status, "code": code, "id": challenge})
            if lost:
                row.update({"status": self.rng.choice([0, 503]), "code": "", "id": ""})

        def receive(_: float) -> None:
            if row.get("status") == 200:
                self._given.setdefault(token, []).append(row["id"])

        self._at(arrived, arrive)
        self._at(effect, work)
        self._at(max(received, effect), receive)
        self.rows.append(row)

    def _settle(self, now: float, token: int, challenge: str) -> None:
        reason = self.rng.choice(["accept", "decline"])
        _, effect, received, lost = self._times(now)
        row: dict[str, Any] = {"t": [now, received], "op": reason, "user": token, "id": challenge}
        dropped = self.rng.random() < 0.3

        def work(when: float) -> None:
            row["status"] = 0 if lost and dropped else self.target.settle(when, reason, challenge)
            if lost:
                row["status"] = self.rng.choice([0, 503])

        self._at(effect, work)
        self.rows.append(row)

    def _reset(self, now: float) -> None:
        _, effect, received, lost = self._times(now)
        self._at(effect, lambda _: self.target.reset())
        self.rows.append({"t": [now, received], "op": "reset", "status": 503 if lost else 200})
