"""A target in miniature that answers simulated calls, right or with a planted defect, and tells the history of it.

Calls overlap at random: each has its effect at some time between sending and receipt, or later where its caller gave
up. What the model does follows the contract; each defect changes one thing about it.
"""

import random
from dataclasses import dataclass
from typing import Any

CHANNELS = ("AUTHY", "BIOMETRIC")
TOKENS = (0, 13, 1, 8)
PERSONS = {13: 0}  # of the default pool: token 13 is another login of person 0
DEFECTS = {
    "race": {"idempotent-concurrent"},
    "no-replay": {"idempotent-replay", "ref-retention", "idempotent-concurrent", "idempotent-after-unknown"},
    "forgets-soon": {"ref-retention"},
    "keeps-few": {"ref-retention"},
    "unknown-not-stored": {"push-at-most-once"},
    "late-effect": {"idempotent-after-unknown"},
    "replay-refused": {"idempotent-replay"},
    "duplicate-refused": {"idempotent-concurrent"},
    "shared-over-users": {"idempotent-scope"},
    "shared-over-channels": {"idempotent-scope"},
    "other-channel-refused": {"idempotent-scope"},
    "case-folded": {"ref-exact"},
    "cut-off": {"ref-exact"},
    "other-case-refused": {"ref-exact"},
    "no-ref-replayed": {"no-ref-no-replay"},
    "ids-repeat": {"challenge-id-unique"},
    "refusal-kept": {"ref-not-spent-by-refusal"},
    "pushed-twice": {"push-at-most-once"},
    "push-left-out": {"push-at-most-once"},
}


@dataclass
class Call:
    """A call: its effect comes at `at`, unless it crashes before; `lost` has no answer, or with `broken` a 5xx."""

    sent: float
    at: float
    received: float
    token: int
    channel: str
    ref: str | None
    wrong_key: bool
    lost: bool
    broken: bool
    crashes: bool


class Model:
    """The target. `defect` is one of DEFECTS, or '' for a correct one."""

    def __init__(self, rng: random.Random, defect: str = "", *, conflict: bool = False) -> None:
        self.rng = rng
        self.defect = defect
        self.conflict = conflict
        self.forgets_refs = rng.random() < 0.5
        self.settled_replays = rng.random() < 0.5
        self.refs: dict[Any, tuple[float, str, float]] = {}
        self.refused: dict[Any, tuple[int, str]] = {}
        self.settled: set[int] = set()
        self.last: dict[int, str] = {}
        self.pushes = 0
        self.number = 0

    def key(self, call: Call) -> Any:
        person = PERSONS.get(call.token, call.token)
        ref, channel = call.ref or "", call.channel
        if self.defect == "case-folded":
            ref = ref.casefold()
        if self.defect == "cut-off":
            ref = ref[:8]
        if self.defect == "shared-over-users":
            person = 0
        if self.defect == "shared-over-channels":
            channel = ""
        return person, channel, ref

    def answer(self, call: Call) -> tuple[int, str, str]:
        """Status, id and error code of a call whose effect comes now."""
        if call.wrong_key:
            if self.defect == "refusal-kept":
                self.refused[self.key(call)] = (403, "")
            return 403, "", ""
        if call.ref is not None and self.key(call) in self.refused:
            return self.refused[self.key(call)][0], "", ""
        known = self.refs.get(self.key(call)) if call.ref is not None else None
        if known is not None and self.remembers(known, call):
            return self.replay(call, known)
        if call.token in self.settled:
            return 409, "", "STATE_INVALID"
        if self.defect == "other-channel-refused" and self.elsewhere(call):
            return 400, "", ""
        if self.defect == "other-case-refused" and self.in_other_case(call):
            return 409, "", ""
        if self.rng.random() < 0.03:
            return (429, "", "") if self.rng.random() < 0.5 else (409, "", "CHALLENGE_LIMIT_EXCEEDED")
        return 200, self.issue(call), ""

    def remembers(self, known: tuple[float, str, float], call: Call) -> bool:
        made, _, _ = known
        if self.defect == "no-replay" or (self.defect == "late-effect" and call.lost):
            return False
        if self.defect == "race" and call.at - made < 1:
            return False
        return not (self.defect == "forgets-soon" and call.at - made > 1500)

    def elsewhere(self, call: Call) -> bool:
        person, channel, ref = self.key(call)
        return call.ref is not None and any((person, other, ref) in self.refs for other in CHANNELS if other != channel)

    def in_other_case(self, call: Call) -> bool:
        person, channel, ref = self.key(call)
        return any(known[:2] == (person, channel) and known[2].casefold() == ref.casefold() for known in self.refs)

    def replay(self, call: Call, known: tuple[float, str, float]) -> tuple[int, str, str]:
        _, given, answered = known
        if call.token in self.settled and not self.settled_replays:
            return 409, "", "STATE_INVALID"
        if self.conflict and call.at < answered and self.rng.random() < 0.8:
            return 409, "", ""
        if self.defect == "duplicate-refused" and call.at < answered:
            return 409, "", ""
        if self.defect == "replay-refused" and call.at >= answered:
            return 409, "", "STATE_INVALID"
        return 200, given, ""

    def issue(self, call: Call) -> str:
        person = PERSONS.get(call.token, call.token)
        if self.defect == "no-ref-replayed" and call.ref is None and person in self.last:
            return self.last[person]
        self.number += 1
        given = f"{self.number % 17 if self.defect == 'ids-repeat' else self.number}"
        self.last[person] = given
        stored = not (self.defect == "unknown-not-stored" and call.lost)
        if call.ref is not None and stored:
            self.refs[self.key(call)] = (call.at, given, call.received)
            if self.defect == "keeps-few" and len(self.refs) > 5:
                del self.refs[next(iter(self.refs))]
        self.pushes += {"pushed-twice": self.rng.choice((1, 2)), "push-left-out": self.rng.choice((0, 1))}.get(
            self.defect, 1
        )
        return given

    def reset(self) -> None:
        self.settled.clear()
        self.refused.clear()
        if self.forgets_refs:
            self.refs.clear()


def simulate(seed: int, defect: str = "", *, size: int = 60, conflict: bool = False) -> list[dict[str, Any]]:
    """The history of about `size` calls in the form of the recorded ones; times in ms, many of them equal."""
    rng = random.Random(seed)
    model = Model(rng, defect, conflict=conflict)
    events: list[tuple[float, Call | str]] = []
    used: list[tuple[int, str, str | None]] = []
    now = 10.0
    while len(events) < size:
        now += rng.choice((0, 0.5, 3, 3, 40, 400))
        used.append(_wanted(rng, used))
        calls = [_made(rng, now, *used[-1]) for _ in range(rng.choice((1, 1, 1, 2, 4)))]
        events += [(call.at, call) for call in calls]
        if rng.random() < 0.03:
            now += 1
            events.append((now, rng.choice(("reset", "accept", "pushes"))))
            now += 1
    events.sort(key=lambda event: event[0])
    rows: list[dict[str, Any]] = [{"op": "pushes", "t": [0, 1], "told": 0}]
    for at, what in events:
        rows.append(_control(model, rng, what, at) if isinstance(what, str) else _answered(model, what))
    end = max(row["t"][1] for row in rows) + 10_000
    return [*rows, {"op": "pushes", "t": [end, end + 1], "told": model.pushes}]


def _wanted(rng: random.Random, used: list[tuple[int, str, str | None]]) -> tuple[int, str, str | None]:
    """Whom to ask for what: often again what was asked for before, or something that shares a part with it."""
    kind = rng.random()
    if used and kind < 0.5:
        token, channel, ref = rng.choice(used)
        if token in (0, 13) and rng.random() < 0.3:
            token = 13 - token
        return token, channel, ref
    token, channel = rng.choice(TOKENS), rng.choice(CHANNELS)
    if used and kind < 0.6:
        return token, channel, rng.choice(used)[2]
    if used and kind < 0.65:
        token, channel, known = rng.choice(used)
        return token, channel, known and known.swapcase()
    if kind < 0.7:
        return token, channel, None
    ref = f"{rng.choice(('ref-a', 'REF-A', 'ref-long-'))}{rng.randrange(20)}"
    return token, channel, ref


def _made(rng: random.Random, now: float, token: int, channel: str, ref: str | None) -> Call:
    sent = now + rng.choice((0, 0, 0.5, 1))
    received = sent + rng.choice((0, 0.5, 1, 2, 5, 30))
    lost = rng.random() < 0.08
    # What was given up may go on for the declared late_effect, or have ended before it did anything.
    at = sent + rng.random() * (received - sent + (3000 if lost else 0))
    at = rng.choice((sent, at, at, received))
    return Call(
        sent, at, received, token, channel, ref, wrong_key=rng.random() < 0.05, lost=lost,
        broken=lost and rng.random() < 0.3, crashes=lost and rng.random() < 0.5,
    )  # fmt: skip


def _answered(model: Model, call: Call) -> dict[str, Any]:
    row: dict[str, Any] = {
        "t": [call.sent, call.received], "user": call.token, "channel": call.channel, "ref": call.ref,
        "intent": "key-foreign" if call.wrong_key else "valid",
    }  # fmt: skip
    if call.wrong_key:
        row["key"] = 2
    if call.lost:
        # Calls that never had their effect would hide those that had it twice.
        if not call.crashes or model.defect == "unknown-not-stored":
            model.answer(call)
        return {**row, "status": 500 if call.broken else 0}
    status, given, code = model.answer(call)
    return {**row, "status": status, "code": code, "id": given}


def _control(model: Model, rng: random.Random, what: str, at: float) -> dict[str, Any]:
    row: dict[str, Any] = {"op": what, "t": [at - 0.5, at + 0.5]}
    if what == "reset":
        model.reset()
    elif what == "accept":
        token = rng.choice(TOKENS)
        model.settled.add(token)
        row["user"] = token
    else:
        row["told"] = model.pushes
    return row
