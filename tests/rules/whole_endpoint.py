"""The endpoint of a simulated world: correct under its policy, or with one defect."""

import random
from collections import Counter as Counts
from dataclasses import dataclass
from typing import Any, Final

from harness.profile import Profile
from tests.rules.limit_simulator import Counter
from tests.rules.whole_world import MS, NEVER, SECOND, World

LIMIT: Final = (409, "CHALLENGE_LIMIT_EXCEEDED")
STATE: Final = (409, "STATE_INVALID")


@dataclass
class Call:
    """A request: when it was sent, has its effect and was answered or given up; `sent` and `received` as recorded."""

    token: int
    key: int
    channel: str
    ref: str | None
    intent: str
    sent: int
    arrived: int
    effect: int
    received: int
    lost: bool = False
    crashes: bool = False
    broken: bool = False
    answer: tuple[int, str, str, str | None] = (0, "", "", None)
    what: str = "push"
    challenge: str = ""
    told: int = 0


class Endpoint:
    """What answers, by credentials, rate, form, an earlier answer, channel, state and limit, in this order."""

    def __init__(self, world: World, profile: Profile, rng: random.Random) -> None:
        self.world, self.rng, self.defect = world, rng, world.defect
        self.users = profile.pool.users
        self.skew, self.offset = rng.uniform(-1e-4, 1e-4), rng.randrange(10 * SECOND)
        if (world.rate or {}).get("phase") == "epoch":  # its clock is right
            self.skew, self.offset = 0.0, 0
        self.rates: dict[Any, Counter] = {}
        self.counts: dict[Any, Counter] = {}
        self.refs: dict[Any, tuple[str, int]] = {}
        self.working: Counts[Any] = Counts()
        self.pending: dict[int, tuple[str, int]] = {}
        self.settled: dict[int, str] = {}
        self.kept: set[Any] = set()
        self.owner: dict[str, int] = {}
        self.done: dict[str, str] = {}
        self.last: dict[int, str] = {}
        self.pushes: list[int] = []

    def clock(self, time: int) -> int:
        moved = time + int(time * self.skew) + self.offset
        return moved - moved % self.world.step

    def op(self, call: Call) -> Any:
        person, channel, ref = self.users[call.token].person, call.channel, call.ref
        if self.defect == "refs-of-programme":
            person = -self.users[call.token].programme
        if self.defect == "refs-of-both-channels":
            channel = ""
        return person, channel, ref.lower() if ref and self.defect == "refs-case-folded" else ref

    def answer(self, call: Call) -> tuple[int, str, str, str | None]:
        """Status, error code, challenge id and Retry-After."""
        refused = self._credentials(call)
        if refused:
            return refused, "", "", None
        now, op = self.clock(call.effect), self.op(call)
        known = self._known(call, op, now)
        rate = self.world.rate
        if rate is not None and (
            op in self.kept or ((known is None or rate["counts_replays"]) and self._limited(call, now))
        ):
            if self.defect == "refusal-kept" and call.ref is not None:
                self.kept.add(op)
            return 429, "", "", self._retry(call, now)
        if call.channel == "SMS" and self.defect != "sms-served":
            return 400, "", "", None
        return *self._asked(call, op, known, now), None

    def _credentials(self, call: Call) -> int:
        user = self.users[call.token]
        if user.state == "logged_out" and self.defect != "logged-out-served":
            return 401
        if call.key < 0 and self.defect != "unknown-key-served":
            return 401
        foreign = call.key != user.key and call.key >= 0 and self.defect != "foreign-key-served"
        return 403 if foreign or (user.state == "impersonator" and self.defect != "impersonator-served") else 0

    def _known(self, call: Call, op: Any, now: int) -> str | None:
        if call.ref is None:
            return self.last.get(self.users[call.token].person) if self.defect == "no-ref-replayed" else None
        given, at = self.refs.get(op, ("", 0))
        race = self.defect == "lookup-race" and now - at < 3 * MS
        forgotten = self.defect == "refs-forgotten" and now - at > 300 * MS
        return None if not given or race or forgotten else given

    def _asked(self, call: Call, op: Any, known: str | None, now: int) -> tuple[int, str, str]:
        world = self.world
        settled = self._settled(call.token)
        if known and settled and world.settled_first:
            return self._invalid(settled)
        if known:
            if self.defect == "challenges-count-replays" and world.challenges:
                self._count(call).take(now)
            return 200, "", known
        if world.conflict and call.ref is not None and self.working[op] > 1 and not known:
            return *STATE, ""
        if call.channel not in (*self.users[call.token].channels, "SMS") and self.defect != "unregistered-served":
            return 409, "CHANNEL_NOT_REGISTERED", ""
        state = settled or self._in_flight(call, now)
        if state and not world.limit_first:
            return self._invalid(settled)
        if world.challenges and not self._count(call).take(now):
            return *LIMIT, ""
        if state:  # what was counted is given back: it is one transaction
            if world.challenges:
                self._count(call).log.pop()
            return self._invalid(settled)
        return 200, "", self._issue(call, op, now)

    def _invalid(self, settled: bool) -> tuple[int, str, str]:
        plain = settled and not self.world.tables["outcomes"] and self.rng.random() < 0.5
        return (400, "", "") if plain else (*STATE, "")

    def _settled(self, token: int) -> bool:
        if self.defect == "settled-served":
            return False
        tokens = [token]
        if self.defect == "settled-for-person":
            tokens = [user.index for user in self.users if user.person == self.users[token].person]
        ways = [self.settled[one] for one in tokens if one in self.settled]
        return any(self.rng.random() < self.world.after[way] for way in ways)

    def _in_flight(self, call: Call, now: int) -> bool:
        if self.defect == "pending-ignored" or not (self.world.reject or self.defect == "pending-refused"):
            return False
        challenge, at = self.pending.get(call.token, ("", -NEVER))
        if self.defect == "pending-race" and now - at < 3 * MS:
            return False
        return bool(challenge) and now < at + self.world.lasts

    def _issue(self, call: Call, op: Any, now: int) -> str:
        bits = len(self.owner) % 7 if self.defect == "ids-repeat" else self.rng.getrandbits(100)
        given = f"{bits:025x}"
        self.owner[given] = call.token
        if call.ref is not None and not (self.defect == "retry-issues-again" and call.lost):
            self.refs[op] = given, now
        self.pending[call.token] = given, now
        self.last[self.users[call.token].person] = given
        late = 0 if self.rng.random() < 0.9 else self.rng.randrange(min(self.world.late, SECOND))
        self.pushes += [call.effect + late] * (2 if self.defect == "pushed-twice" and self.rng.random() < 0.2 else 1)
        return given

    def _limited(self, call: Call, now: int) -> bool:
        return not self._rate(call).take(now)

    def _rate(self, call: Call) -> Counter:
        told, user = self.world.rate, self.users[call.token]
        assert told is not None
        scope: Any = {"user": user.person, "api-key": call.key}.get(told["scope"])
        scope = None if self.defect == "rate-of-all" else scope
        if scope not in self.rates:
            phase = {"epoch": 0, "first-request": None}.get(told.get("phase", "shared"), 77 * MS)
            many = told["count"] + {"rate-one-more": 1, "rate-one-fewer": -1}.get(self.defect, 0)
            counter = Counter(told["algorithm"], many, told["window"], phase, counts_refusals=told["counts_refusals"])
            self.rates[scope] = counter
        return self.rates[scope]

    def _retry(self, call: Call, now: int) -> str | None:
        if not (self.world.rate or {})["retry_after"]:
            return None
        wait = self._rate(call).wait(now)
        return str(wait // SECOND if self.defect == "retry-after-early" else -(-wait // SECOND))

    def _count(self, call: Call) -> Counter:
        assert self.world.challenges is not None
        many, window, scope = self.world.challenges
        whose: Any = self.users[call.token].person if scope == "user" else ("all", self.users[call.token].programme)
        whose = None if self.defect == "challenges-of-all" else whose
        if whose not in self.counts:
            more = {"challenges-one-more": 1, "challenges-one-fewer": -1}.get(self.defect, 0)
            self.counts[whose] = Counter("sliding-window", many + more, window, None, counts_refusals=False)
        return self.counts[whose]

    def control(self, call: Call) -> int:
        """Accept, decline, count or reset; the status."""
        if call.what == "pushes":
            call.told = sum(at <= call.effect for at in self.pushes)
        elif call.what == "reset":
            self._reset()
        else:
            return self._settle(call)
        return 200

    def _settle(self, call: Call) -> int:
        token = self.owner.get(call.challenge)
        if token is None:
            return 404
        if call.challenge in self.done:
            return 200 if self.done[call.challenge] == call.what else 409
        challenge, at = self.pending.get(token, ("", 0))
        if self.clock(call.effect) >= at + self.world.lasts or (token in self.settled and challenge != call.challenge):
            return 409
        self.done[call.challenge] = call.what
        if challenge == call.challenge:
            del self.pending[token]
        before = self.settled.get(token)
        if self.world.after[call.what] and (before is None or self.world.after[before] < self.world.after[call.what]):
            self.settled[token] = call.what
        return 200

    def _reset(self) -> None:
        self.rates.clear()
        self.counts.clear()
        self.pending.clear()
        if "refs" in self.world.forgets:
            self.refs.clear()
            self.owner.clear()
        if "settled" in self.world.forgets:
            self.settled.clear()
