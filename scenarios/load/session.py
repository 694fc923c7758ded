"""What the scenarios of one process share: tokens with what is left of their limits, calls ready to send, the desk."""

import base64
import hashlib
import random
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Final

from harness.case import allowed_for, push_path
from harness.history import Exchange
from harness.pool import User
from harness.profile import Profile
from harness.spec import load_spec
from scenarios.load.desk import Desk
from scenarios.load.limits import LATE_NS, Ledger, Pacer
from scenarios.load.rows import Call
from scenarios.load.scopes import challenge_scope, rate_scope
from scenarios.load.usage import Usage
from scenarios.load.wire import Dialler

PLAIN_REF: Final = 36  # characters; what a UUID takes, so any target serves it
EXPIRY_NS: Final = 200_000_000  # after a challenge should have expired, before it is counted on
KEPT: Final = (
    20_000  # refs that all tokens together remember, so that an hour's load takes no more memory than a minute's
)
LONG_REF: Final = 255  # the longest that older versions of the platform documented


@dataclass(eq=False)
class Token:
    """A token of the pool under load. `made` are the (channel, ref) that it was given a challenge for in this stage."""

    user: User
    pacer: Pacer
    ledger: Ledger
    made: list[tuple[str, str]] = field(default_factory=list)
    known: set[tuple[str, str]] = field(default_factory=set)
    replays: dict[tuple[str, str], Call] = field(default_factory=dict)
    free_at: int = 0  # where one challenge may be in flight: when the pending one has expired
    settled: bool = False

    @property
    def index(self) -> int:
        return self.user.index


class Session:
    """Tokens, calls and connections of one process. `prefix` makes its refs unlike those of any other run."""

    def __init__(self, profile: Profile, dialler: Dialler, desk: Desk, usage: Usage, prefix: str) -> None:
        self.profile = profile
        self.desk = desk
        self.prefix = prefix
        self.rejects = profile.policy.in_flight == "reject"
        self.conflicts = profile.policy.concurrent_duplicate == "conflict"
        self.tokens: dict[int, Token] = {}
        self.late: list[int] = []  # by how many ns arrivals were dealt with late since somebody last asked
        self.enough = False  # whether the load may end, as what it looks for is found
        self._dialler = dialler
        self._usage = usage
        self._pacers: dict[int, Pacer] = {}
        self._ledgers: dict[int, Ledger] = {}
        self._heads: dict[tuple[int, str], bytes] = {}
        self._allowed: dict[tuple[str, ...], str] = {}
        self._numbers = 0
        self._kept = min(max(KEPT // len(profile.pool.users), 20), 2000)
        self._choose = self.rng("what is kept")

    def token(self, index: int) -> Token:
        """The token with this index in the pool."""
        if index not in self.tokens:
            user = self.profile.pool.users[index]
            self.tokens[index] = Token(
                user, self.pacer_of(user), self.ledger_of(user), free_at=self._usage.pending.get(index, 0)
            )
        return self.tokens[index]

    def pacer_of(self, user: User) -> Pacer:
        scope = rate_scope(self.profile, user)
        if scope not in self._pacers:
            self._pacers[scope] = Pacer(self.profile.rate, self._usage.requests.get(scope, 0))
        return self._pacers[scope]

    def ledger_of(self, user: User) -> Ledger:
        scope = challenge_scope(self.profile, user)
        if scope not in self._ledgers:
            self._ledgers[scope] = Ledger(self.profile.challenges, self._usage.challenges.get(scope, 0))
        return self._ledgers[scope]

    def forget(self) -> None:
        """The target was reset: challenges and what is pending are gone, and earlier refs may be."""
        for ledger in self._ledgers.values():
            ledger.reset()
        for token in self.tokens.values():
            token.made.clear()
            token.known.clear()
            token.replays.clear()
            token.free_at = 0

    def rng(self, *names: object) -> random.Random:
        """Numbers that are the same again for the same seed and names."""
        return random.Random(":".join(map(str, (self.prefix, *names))))  # noqa: S311

    def ref(self, tail: str = "") -> str:
        """A ref that no other call has, of at most 36 characters, fewer where the target takes fewer."""
        self._numbers += 1
        longest = min(self.profile.policy.longest_ref or PLAIN_REF, PLAIN_REF)
        return f"{self.prefix}{base36(self._numbers)}{tail}"[-longest:]

    def may_begin(self, token: Token, keep: int = 0, many: int = 1) -> bool:
        """Whether a challenge that this token asks for now should be given; takes it from what is left if so."""
        if token.settled or (self.rejects and monotonic_ns() < token.free_at):
            return False
        if not token.ledger.take(many, keep):
            return False
        if self.rejects:
            lasts = self.profile.policy.in_flight_for_ns
            token.free_at = monotonic_ns() + round(lasts * 1.05) + 10**9 if lasts else 1 << 62
        return True

    def call(
        self, token: Token, channel: str, ref: str | None, scenario: str, intent: str = "valid", also: str = ""
    ) -> Call:
        """The bytes of one request. `also` lists outcomes that its circumstances allow besides those of its intent."""
        user = token.user
        head = self._heads.get((user.index, channel)) or self._head(user, channel)
        wire = head + (b"\r\n\r\n" if ref is None else b"\r\nidempotency-ref: " + ref.encode("latin-1") + b"\r\n\r\n")
        allowed = self._allowed.get((intent, also)) or self._allow(intent, also)
        return Call(
            scenario, "load", "push", intent, allowed, "POST", user.index, user.key, channel, ref, wire,
        )  # fmt: skip

    def _head(self, user: User, channel: str) -> bytes:
        spec = load_spec()
        lines = (
            f"{spec.method} {self._dialler.prefix}{push_path(channel)} HTTP/1.1",
            f"Host: {self._dialler.authority}",
            f"Authorization: Bearer {user.token}",
            f"{spec.key_header}: {user.api_key}",
            "Accept: application/json",
            "User-Agent: stepup-harness",
            "Content-Length: 0",
        )
        self._heads[user.index, channel] = head = "\r\n".join(lines).encode("latin-1")
        return head

    def _allow(self, intent: str, also: str) -> str:
        """A declared or an undeclared limit may refuse any request; whether it did so rightly is for the rules."""
        outcomes = [*allowed_for(intent, self.profile), *also.split(","), "429", "409:CHALLENGE_LIMIT_EXCEEDED"]
        self._allowed[intent, also] = told = ",".join(dict.fromkeys(filter(None, outcomes)))
        return told

    def remember(self, exchange: Exchange) -> None:
        """Keep what later calls build on: a ref that got a challenge, a limit that somebody else has used up."""
        token = self.tokens[exchange.user]
        made = (exchange.channel, exchange.ref or "")
        if self.rejects and exchange.outcome != "refused" and made not in token.known:
            self._hold(token, exchange)
        if exchange.outcome == "ok" and exchange.ref is not None and made not in token.known:
            self._keep(token, made)
        elif exchange.error_code == "CHALLENGE_LIMIT_EXCEEDED":
            token.ledger.exhausted()

    def _keep(self, token: Token, made: tuple[str, str]) -> None:
        """Remember what a token was given, up to a number: then one of the later half makes way for it."""
        token.known.add(made)
        if len(token.made) < self._kept:
            token.made.append(made)
            return
        place = self._choose.randrange(self._kept // 2, self._kept)
        gone, token.made[place] = token.made[place], made
        token.known.discard(gone)
        token.replays.pop(gone, None)

    def _hold(self, token: Token, exchange: Exchange) -> None:
        """A challenge may have begun as late as with this answer, or later where none came; until it has expired no
        other one may be asked for."""
        lasts = self.profile.policy.in_flight_for_ns
        late = LATE_NS if exchange.outcome == "unknown" else 0
        until = exchange.received + late + round(lasts * 1.05) + EXPIRY_NS if lasts else 1 << 62
        token.free_at = max(token.free_at, until)


def run_prefix(run: str, seed: int, process: int, turn: int) -> str:
    """Eight characters that begin every ref of a process, and that another run does not repeat."""
    digest = hashlib.sha256(f"{run}:{seed}:{process}:{turn}".encode()).digest()
    return base64.b32encode(digest)[:8].decode().lower()


def base36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    told = digits[number % 36]
    while number := number // 36:
        told = digits[number % 36] + told
    return told
