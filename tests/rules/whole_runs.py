"""Simulates whole runs against an endpoint, correct under any policy or with one defect, for all rules at once.

An endpoint of one policy serves many programmes; the calls of each overlap, are lost, come twice, drive limits and
settle tokens, from one load machine or two whose clocks differ.
"""

import heapq
import random
from collections import Counter as Counts
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any, Final

import pyarrow as pa

from harness.case import allowed_for
from harness.history import SCHEMA, History, Tally, history_of, outcome_of
from harness.judge import judge
from harness.profile import Profile
from tests.history_files import BOTH, make_profile
from tests.rules.whole_endpoint import LIMIT, Call, Endpoint
from tests.rules.whole_world import DEFECTS, MS, NEVER, SECOND, World, any_world, defective_world

__all__ = ["DEFECTS", "Run", "World", "any_world", "blamed", "defective_world"]

TOKENS: Final = 8  # of a programme, as `_pool` makes them
STATES: Final = ("409:STATE_INVALID",)
FIELD: Final = (
    '{"syntaxErrors":{"invalidFields":[{"fieldName":"channel","error":"IN","params":["AUTHY","BIOMETRIC"]}]}}'
)


class Run:
    """One run: the calls of each programme's tokens, in simulated time, and the history they leave."""

    def __init__(self, world: World) -> None:
        self.world, self.rng = world, random.Random(f"run {world.seed}")
        self.pool = [row for number in range(world.programmes) for row in _pool(number)]
        self.profile = make_profile(world.tables, self.pool)
        self.endpoint = Endpoint(world, self.profile, random.Random(f"endpoint {world.seed}"))
        self.calls: list[Call] = []
        self.shift = [0, self.rng.randrange(-40 * MS, 40 * MS)]
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()
        self._given: dict[int, list[str]] = {}  # by token the ids it is known to have been given
        self._sent: dict[int, list[tuple[str, str]]] = {}  # by programme the channels and refs that were asked for
        self._touched: dict[int, list[tuple[int, str]]] = {}  # by token when and how its challenges may be settled
        self._sure: dict[int, str] = {}  # by token how it was surely settled
        self.now, self.until = 0, 1_500 * MS

    def history(self) -> tuple[History, Profile]:
        self._control(-30 * MS, "pushes")
        for programme in range(self.world.programmes):
            self._at(self.rng.randrange(400 * MS), partial(self._act, programme))
        for _ in range(self.world.resets):
            at = self.rng.randrange(self.until)
            self._at(at, partial(self._control, at, "reset"))
        self._play()
        end = max(call.received for call in self.calls) + min(self.world.late, SECOND) + 10 * MS
        self._control(end, "pushes")
        self._play()
        return _history(self.calls, self.profile, self.shift, self.world, self._also), self.profile

    def _play(self) -> None:
        while self._events:
            self.now, _, event = heapq.heappop(self._events)
            event()

    def _at(self, when: int, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), event))

    def _act(self, programme: int) -> None:
        """One thing that a programme's callers do, and when they do the next."""
        now = self.now
        if now > self.until:
            return
        rng = self.rng
        token = programme * TOKENS + rng.choice((0, 0, 0, 1, 2, 2, 3))
        kind = rng.random()
        if kind < 0.04 and self._given.get(token):
            self._control(now, rng.choice(("accept", "decline")), token, rng.choice(self._given[token]))
        elif kind < 0.14:
            self._odd(now, programme, token)
        elif kind < 0.22:
            many = rng.choice((4, 8))
            for _ in range(many):
                self._ask(now + rng.randrange(2 * MS), token, *self._fresh(programme))
        elif kind < 0.32:
            wanted = self._fresh(programme)
            for _ in range(rng.choice((2, 2, 4))):
                self._ask(now + rng.randrange(MS), token, *wanted)
        else:
            self._ask(now, token, *self._wanted(programme))
        self._at(now + rng.choice((2, 15, 60)) * round(MS * rng.expovariate(1)), partial(self._act, programme))

    def _fresh(self, programme: int) -> tuple[str, str]:
        wanted = self.rng.choice(BOTH), f"Ref-{programme}-{self.rng.getrandbits(40):x}"
        self._sent.setdefault(programme, []).append(wanted)
        return wanted

    def _wanted(self, programme: int) -> tuple[str, str | None]:
        """A call of an operation: new, without a ref, repeated, or nearly one that was made before."""
        kind, old = self.rng.random(), self._sent.get(programme, [])
        if kind < 0.45 or not old:
            return self._fresh(programme)
        if kind < 0.6:
            return self.rng.choice(BOTH), None
        channel, ref = self.rng.choice(old[-6:])
        if kind < 0.85:
            return channel, ref
        wanted = (channel, ref.swapcase()) if kind < 0.9 else (self.rng.choice(BOTH), ref)
        old.append(wanted)
        return wanted

    def _odd(self, now: int, programme: int, token: int) -> None:
        """A request that is to be refused whatever the token's state is."""
        rng, first = self.rng, programme * TOKENS
        foreign = (programme + 1) % self.world.programmes
        one = rng.choice(("foreign", "unknown", "out", "back", "channel", "sms"))
        key = {"foreign": foreign, "unknown": -1}.get(one, programme)
        token = {"out": first + 5, "back": first + 6, "channel": first + 4}.get(one, token)
        channel = {"channel": "BIOMETRIC", "sms": "SMS"}.get(one, "AUTHY")
        intent = {
            "foreign": "key-foreign", "unknown": "key-unknown", "out": "token-logged-out",
            "back": "token-impersonator", "channel": "unregistered", "sms": "channel-unknown",
        }[one]  # fmt: skip
        self._send(now, token, channel, self._fresh(programme)[1], intent, key=key)

    def _ask(self, now: int, token: int, channel: str, ref: str | None) -> None:
        if channel not in self.profile.pool.users[token].channels:
            channel = "AUTHY"
        sure = self._sure.get(token)
        fresh = ref is None or self.rng.random() < 0.3
        if sure and fresh:
            ref = None if ref is None else self._fresh(token // TOKENS)[1]
            self._send(now, token, channel, ref, f"after-{sure}")
        else:
            self._send(now, token, channel, ref, "valid")

    def _send(self, now: int, token: int, channel: str, ref: str | None, intent: str, key: int | None = None) -> None:
        call = self._made(now, token, channel, ref, intent)
        call.key = token // TOKENS if key is None else key
        op = self.endpoint.op(call)
        self._at(call.arrived, partial(self.endpoint.working.update, [op]))
        self._at(call.effect, partial(self._work, call, op))
        self._at(max(call.received, call.effect), partial(self._heard, call))

    def _made(self, now: int, token: int, channel: str, ref: str | None, intent: str) -> Call:
        rng, world = self.rng, self.world
        took = MS // 2 + round(MS * rng.expovariate(1 / 5) * rng.choice((1, 1, 1, 1, 20)))
        arrived = now + rng.randrange(took) // 2
        effect = arrived + rng.randrange(now + took - arrived)
        lost = rng.random() < world.lost
        if lost and rng.random() < 0.5:
            effect = now + took + rng.randrange(min(world.late, 300 * MS) * 9 // 10)
        broken = lost and "503" in allowed_for("valid", self.profile) and intent == "valid"
        call = Call(token, -1, channel, ref, intent, now, arrived, effect, now + took, lost, broken=broken)
        # Calls that never had their effect would hide those that had it twice.
        call.crashes = lost and rng.random() < 0.4 and world.defect != "retry-issues-again"
        self.calls.append(call)
        return call

    def _work(self, call: Call, op: Any) -> None:
        answer = (0, "", "", None) if call.crashes else self.endpoint.answer(call)
        self.endpoint.working[op] -= 1
        call.answer = (503 if call.broken else 0, "", "", None) if call.lost else answer

    def _heard(self, call: Call) -> None:
        if call.answer[0] == 200 and call.intent == "valid":
            self._given.setdefault(call.token, []).append(call.answer[2])
        if call.lost and call.ref is not None and call.intent == "valid" and self.rng.random() < 0.6:
            self._ask(self.now, call.token, call.channel, call.ref)

    def _control(self, now: int, what: str, token: int = -1, challenge: str = "") -> None:
        call = self._made(now, token, "", None, "control")
        call.what, call.challenge = what, challenge
        call.lost = call.lost and what != "pushes"
        call.crashes = call.crashes and call.lost
        call.effect = call.effect if call.lost else min(call.effect, call.received)
        if token >= 0:
            self._touched.setdefault(token, []).append((now, what))
        self._at(call.effect, partial(self._steered, call))
        self._at(max(call.received, call.effect), partial(self._settled, call, token))

    def _steered(self, call: Call) -> None:
        status = 0 if call.crashes else self.endpoint.control(call)
        call.answer = (0 if call.lost else status, "", "", None)

    def _settled(self, call: Call, token: int) -> None:
        sure = (
            call.answer[0] == 200
            and self.world.lasts == NEVER
            and not self.world.resets
            and not self._touched_twice(token)
        )
        if token >= 0 and sure:
            self._sure.setdefault(token, call.what)

    def _touched_twice(self, token: int) -> bool:
        return len({way for _, way in self._touched.get(token, ())}) > 1

    def _also(self, call: Call) -> list[str]:
        """What a plain call's circumstances allow besides: the sender knows of settles that are under way."""
        if call.intent != "valid":
            return []
        users = self.profile.pool.users
        alike = [token for token in self._touched if users[token].person == users[call.token].person]
        ended = max(call.received, call.effect)
        ways = {way for token in alike for at, way in self._touched[token] if at <= ended}
        if self.world.reject or self.world.conflict:
            ways.add("")
        settled = [
            one for way in sorted(ways) for one in (allowed_for(f"after-{way}", self.profile) if way else STATES)
        ]
        return [*settled, "429", ":".join(map(str, LIMIT))]


def _pool(programme: int) -> list[dict[str, Any]]:
    """Persons with two tokens, with one, on one channel only; somebody logged out, and an impersonator."""
    rows = [
        ("0", BOTH),
        ("0", BOTH),
        ("1", BOTH),
        ("2", ["AUTHY"]),
        ("3", ["AUTHY"]),
        ("4", BOTH),
        ("5", BOTH),
        ("6", BOTH),
    ]
    made = [
        {
            "token": f"t-{programme}-{n}",
            "api_key": f"key-{programme}",
            "channels": channels,
            "user": f"{programme}-{who}",
        }
        for n, (who, channels) in enumerate(rows)
    ]
    return [*made[:5], {**made[5], "state": "logged_out"}, {**made[6], "state": "impersonator"}, made[7]]


def _history(
    calls: list[Call], profile: Profile, shift: list[int], world: World, also: Callable[[Call], list[str]]
) -> History:
    def machine(call: Call) -> int:
        # Control calls come from the machine that leads; a token is at work on one machine.
        return call.token % 2 if world.machines > 1 and call.what == "push" else 0

    rows = []
    for seq, call in enumerate(calls):
        status, code, given, retry = call.answer
        on = machine(call)
        outcomes = [*allowed_for(call.intent, profile), *also(call)]
        rows.append({
            "stage": "load", "worker": f"w{on}", "seq": seq, "scenario": "made", "case": call.intent,
            "operation": call.what, "intent": call.intent, "allowed": ",".join(outcomes),
            "method": "POST", "user": call.token, "key": call.key, "channel": call.channel, "ref": call.ref,
            "intended": call.sent + shift[on], "sent": call.sent + shift[on], "received": call.received + shift[on],
            "status": status, "outcome": outcome_of(status), "error_code": code,
            "challenge_id": given or call.challenge, "retry_after": retry, "body_fault": "", "error": "",
            "connection": 0, "headers": '{"www-authenticate": "Bearer"}' if status == 401 else None,
            "body": FIELD if status == 400 and call.channel == "SMS" else None, "told": call.told,
        })  # fmt: skip
    table = pa.Table.from_arrays(
        [pa.array([row[name] for row in rows], SCHEMA.field(name).type) for name in SCHEMA.names], schema=SCHEMA
    )
    on_each = Counts(machine(call) for call in calls)
    tallies = [
        Tally("load", f"w{on}", f"host-{on}", 1, sent=many, recorded=many, clean=True) for on, many in on_each.items()
    ]
    return history_of(table, tuple(tallies))


def blamed(world: World) -> dict[str, str]:
    """What the rules that fail a run in the world say, by rule; a check that breaks down counts too."""
    verdicts = judge(*Run(world).history())
    broken = [verdict for verdict in verdicts if verdict.status == "fail" or "broke down" in verdict.message]
    return {verdict.rule: verdict.message for verdict in broken}
