"""The lives of tokens in columns: what each asked for and was given, and when it may have been settled."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np

from harness.case import allowed_for, allows
from harness.history import History
from harness.profile import Profile
from harness.rules.reading.duplicates import may_meet_another
from harness.rules.reading.operations import (
    FOREVER,
    NONE,
    Flags,
    Ints,
    Pushes,
    Resets,
    apart_ns,
    everyone_of,
    late,
    once_a_history,
    resets_of,
)
from harness.rules.reading.timeline import Timeline

DRIFT: Final = 2e-4  # of a window: how far the clocks of target and harness may run apart within it
ISSUED, UNKNOWN, LIMIT, STATE = range(4)  # what an answer says, see `Lives.kind`
SETTLING: Final = ("accept", "decline")
# Only of these is it sure that nothing but the token's state and limits decides, and that no earlier run sent the ref.
DELIBERATE: Final = ("valid", "replay", "pending", "new-login", "after-accept", "after-decline", "limit-reached")


@dataclass(frozen=True)
class Promises:
    """What a profile says of pending and settled challenges. `lasts` in ns, None: until it is settled.

    `must_refuse` and `may_refuse` hold the reasons (`pending`, `accept`, `decline`) for which another challenge has to
    be refused, or may be. `slack` in ns is the step of the target's clock.
    """

    must_refuse: frozenset[str]
    may_refuse: frozenset[str]
    lasts: int | None
    slack: int

    @property
    def open_ended(self) -> bool:
        """Whether a settled token may either be refused or get another challenge."""
        return bool(self.may_refuse - self.must_refuse - {"pending"})

    def surely(self, window: int) -> int:
        """Two effects less than this many ns apart are within one window of the target's clock."""
        return window - self.slack - round(window * DRIFT)

    def possibly(self, window: int) -> int:
        """Two effects at least this many ns apart are not within one window of the target's clock."""
        return window + self.slack + round(window * DRIFT)


def promises_of(profile: Profile) -> Promises:
    """The promises in a profile's policy and outcomes."""
    intents = {"pending": "pending", "accept": "after-accept", "decline": "after-decline"}
    allowed = {reason: allowed_for(intent, profile) for reason, intent in intents.items()}
    may = {why for why, outcomes in allowed.items() if any(allows(outcomes, *one) for one in _REFUSALS)}
    must = {why for why, outcomes in allowed.items() if not allows(outcomes, 200)}
    policy = profile.policy
    return Promises(frozenset(must), frozenset(may), policy.in_flight_for_ns, profile.target.clock_step_ns)


_REFUSALS: Final = ((409, "STATE_INVALID"), (400, ""))


@dataclass(frozen=True)
class Operations:
    """Operations that may have issued a challenge, by number; the effect lies in `[start, end]` (ns), ends included.

    `sure`: a 200 shows that it had its effect. `token`: who asked (-1: nobody or several). `row`: its first 200 (-1:
    none). `several`: it was given more than one id, which other rules blame.
    """

    start: Ints
    end: Ints
    sure: Flags
    token: Ints
    row: Ints
    several: Flags

    @cached_property
    def fresh(self) -> Ints:
        """The operations of one token that surely issued one challenge."""
        return np.flatnonzero(self.sure & ~self.several & (self.token >= 0))

    @cached_property
    def begun(self) -> Timeline:
        """When the fresh ones may have had their effect at the earliest, by token; its places are those in `fresh`."""
        return Timeline(self.token[self.fresh], self.start[self.fresh])

    @cached_property
    def given(self) -> Timeline:
        """When the fresh ones had had their effect, by token; its places are those in `fresh`."""
        return Timeline(self.token[self.fresh], self.end[self.fresh])


@dataclass(frozen=True)
class Settles:
    """Accepts and declines that had or may have had their effect in `[start, end]`, a line for each token it may be of.

    `reason` is 0 for accept, 1 for decline. `sure`: it surely settled a pending challenge of this token. `op`: the
    operation that issued the challenge (-1: not seen).
    """

    row: Ints
    token: Ints
    reason: Ints
    start: Ints
    end: Ints
    sure: Flags
    op: Ints

    def where(self, chosen: Ints) -> "Settles":
        """The lines at these places."""
        return Settles(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    def because(self, reasons: frozenset[str]) -> Flags:
        """Which were made for one of these reasons."""
        return np.array([name in reasons for name in SETTLING])[self.reason]


@dataclass(frozen=True)
class Lives:
    """A history seen as the lives of its tokens.

    `pushes` holds the exchanges of tokens of the pool that had or may have had an effect, or were refused for their
    state or limit though nothing else can be wrong with them; `kind` says which: ISSUED (a 200 with an id), UNKNOWN,
    LIMIT, STATE. `until` is the latest moment of an effect. `forgot` holds when each reset that was answered was over.
    From `stray` on any token may have been settled, by a call of which nobody knows whose it was.
    """

    pushes: Pushes
    kind: Ints
    until: Ints
    operations: Operations
    settles: Settles
    resets: Resets
    forgot: Ints
    promises: Promises
    stray: int

    def part(self, number: int, parts: int) -> "Lives":
        """The lives of every `parts`-th person, from the one of this number on."""
        mine = self.pushes.person % parts == number
        tokens = np.unique(self.pushes.token[mine])
        settles = self.settles.where(np.flatnonzero(np.isin(self.settles.token, tokens)))
        return replace(
            self, pushes=self.pushes.where(mine), kind=self.kind[mine], until=self.until[mine], settles=settles
        )

    def may_reset(self, after: Ints, before: Ints) -> Flags:
        """Whether a reset may have come in between effects that are not before `after` and not after `before`."""
        found = np.zeros(len(after), dtype=bool)
        for start, end in zip(self.resets.start, self.resets.end, strict=True):
            found |= (end >= after) & (start <= before)
        return found


@once_a_history
def lives_of(history: History, profile: Profile) -> Lives:
    """The lives of the pool's tokens in a history."""
    pushes, apart = everyone_of(history, profile), apart_ns(history) // 2
    # Each clock may be wrong by half of what two may be apart; so nothing surely came before what another machine saw.
    pushes = replace(pushes, sent=pushes.sent - apart, received=pushes.received + apart)
    kind = _kinds(pushes, len(profile.pool.users))
    answered = pushes.success | (pushes.refused & ~pushes.refused_in_front()) | (pushes.status == 200)
    until = np.where(answered, pushes.received, late(pushes.received, profile))
    if profile.policy.concurrent_duplicate == "conflict":
        refused = np.flatnonzero(kind == STATE)
        kind[refused[may_meet_another(pushes, refused, until)]] = NONE
    chosen = kind >= 0
    pushes, kind, until = pushes.where(chosen), kind[chosen], until[chosen]
    operations, resets = _operations(pushes, kind, until), resets_of(history, profile)
    settles, stray = _settles(history, profile, pushes, kind)
    settles, stray = replace(settles, start=settles.start - apart, end=settles.end + apart), stray - apart
    control = history.control
    resetting = ((control["operation"] == "reset") & (control["outcome"] == "ok")).to_numpy()
    forgot = control["received"].to_numpy(np.int64)[resetting] + 2 * apart
    if history.guests is not None:  # they say whose a challenge is, and are judged elsewhere themselves
        own = ~history.guest(pushes.row)
        others = np.ones(pushes.ops, np.bool_)
        others[pushes.op[own]] = False
        operations.token[others] = NONE
        pushes, kind, until = pushes.where(own), kind[own], until[own]
    lives = Lives(pushes, kind, until, operations, settles, resets, forgot, promises_of(profile), stray)
    settles.sure[:] &= ~_moot(lives)
    return lives


def _kinds(pushes: Pushes, users: int) -> Ints:
    """What each answer says, -1 where it says nothing of a token's life."""
    plain = pushes.entitled & ~pushes.vague & pushes.has_intent(*DELIBERATE)
    effect = pushes.success | pushes.unknown | pushes.refused_in_front()
    refused = pushes.refused & (pushes.state_invalid | (pushes.status == 400))
    kind = np.select(
        [plain & pushes.success, effect, plain & pushes.exhausted, plain & refused],
        [ISSUED, UNKNOWN, LIMIT, STATE],
        default=NONE,
    ).astype(np.int64)
    return np.where((pushes.token >= 0) & (pushes.token < users), kind, NONE)


def _operations(pushes: Pushes, kind: Ints, until: Ints) -> Operations:
    acting, issued = kind <= UNKNOWN, kind == ISSUED
    answered = _least(pushes, pushes.received, issued)
    sure = answered < FOREVER
    low, high = _least(pushes, pushes.token, acting), _most(pushes, pushes.token, acting)
    first = issued & (pushes.received == answered[pushes.op])
    return Operations(
        start=_least(pushes, pushes.sent, acting),
        end=np.where(sure, answered, _most(pushes, until, acting)),
        sure=sure,
        token=np.where(low == high, low, NONE),
        row=np.where(sure, _least(pushes, pushes.row, first), NONE),
        several=sure & (_least(pushes, pushes.id, issued) != _most(pushes, pushes.id, issued)),
    )


def _least(pushes: Pushes, values: Ints, chosen: Flags) -> Ints:
    """The least value among the chosen exchanges of each operation, FOREVER where there are none."""
    least = np.full(pushes.ops, FOREVER, np.int64)
    np.minimum.at(least, pushes.op[chosen], values[chosen])
    return least


def _most(pushes: Pushes, values: Ints, chosen: Flags) -> Ints:
    """The greatest value among the chosen exchanges of each operation, -1 where there are none."""
    most = np.full(pushes.ops, NONE, np.int64)
    np.maximum.at(most, pushes.op[chosen], values[chosen])
    return most


def _settles(history: History, profile: Profile, pushes: Pushes, kind: Ints) -> tuple[Settles, int]:
    """The accepts and declines, and when the first was sent of which nobody knows whose it was."""
    frame = history.control
    calls = frame[(frame["operation"].isin(SETTLING) & (frame["outcome"] != "refused")).to_numpy()]
    owners = _owners(pushes, kind, set(calls["challenge_id"]))
    lines: list[tuple[int, int, int, int, int, bool, int]] = []
    stray = FOREVER
    ends = np.where(calls["outcome"] == "ok", calls["received"], late(calls["received"].to_numpy(np.int64), profile))
    names = ["operation", "user", "challenge_id", "outcome", "sent"]
    for row, end, (name, user, challenge, outcome, sent) in zip(
        calls.index, ends, calls[names].itertuples(index=False, name=None), strict=True
    ):
        seen = owners.get(challenge, set())
        tokens = {token for token, _ in seen} | ({user} if user >= 0 else set())
        if not tokens:
            stray = min(stray, sent)
        sure = outcome == "ok" and len(seen) == len(tokens) == 1
        ops = {op for _, op in seen}
        op = next(iter(ops)) if len(ops) == 1 else NONE
        lines.extend((row, token, SETTLING.index(name), sent, end, sure, op) for token in sorted(tokens))
    table = np.array(lines, np.int64).reshape(-1, 7)
    row_, token_, reason, start, end_, sure_, op_ = (np.ascontiguousarray(table[:, n]) for n in range(7))
    return Settles(row_, token_, reason, start, end_, sure_.astype(bool), op_), stray


def _owners(pushes: Pushes, kind: Ints, challenges: set[str]) -> dict[str, set[tuple[int, int]]]:
    """For each of these ids the tokens and operations that may have been given it first.

    What a token of a person is given may be a replay of what another one, whose answer was lost, had asked for; but
    who asked after the first answer was there has been given a replay.
    """
    given = np.flatnonzero((kind == ISSUED) & np.append(pushes.ids.isin(challenges), False)[pushes.id])
    ops: dict[str, set[int]] = {}
    told: dict[str, int] = {}
    for place in given:
        challenge, received = str(pushes.ids[pushes.id[place]]), int(pushes.received[place])
        ops.setdefault(challenge, set()).add(int(pushes.op[place]))
        told[challenge] = min(received, told.get(challenge, received))
    asked: dict[int, list[tuple[int, int]]] = {}
    for place in np.flatnonzero((kind <= UNKNOWN) & np.isin(pushes.op, pushes.op[given])):
        asked.setdefault(int(pushes.op[place]), []).append((int(pushes.token[place]), int(pushes.sent[place])))
    return {
        one: {(token, op) for op in mine for token, sent in asked[op] if sent <= told[one]} for one, mine in ops.items()
    }


def _moot(lives: Lives) -> Flags:
    """Settles of a challenge that may have expired or been forgotten by then: what they do is the target's affair."""
    settles = lives.settles
    issued = np.append(lives.operations.start, 0)[settles.op]
    moot = lives.may_reset(issued, settles.end)
    if lives.promises.lasts is not None:
        moot |= settles.end - issued > lives.promises.surely(lives.promises.lasts)
    return moot
