"""The target disturbed while duplicates are under way: a worker killed or standing still, connections cut, all at once.

Exercises idempotent-after-unknown, ref-retention (over restarts), idempotent-concurrent, challenge-id-unique,
push-at-most-once, stepup-linearisable. Wants some five disturbances of each kind; each costs the requests that were
under way, whose outcomes stay unknown until their refs are asked for again. Only a target with control calls for it can
be disturbed, as the embedded service has.
"""

from itertools import count
from time import monotonic_ns
from typing import Final

from harness.control import ControlClient
from scenarios.load import green
from scenarios.load.session import Token
from scenarios.load.work import Work

RATE: Final = 0.5  # disturbances a second where the plan does not say
SIZES: Final = (3, 6, 10)  # duplicates under way
SPREAD_NS: Final = 4_000_000  # over which they are sent; the disturbance comes somewhere in between
CUTS: Final = 3  # callers that go away where connections are cut
TRIES: Final = 40  # of a retry, until it gets a definite answer
PAUSE_S: Final = 0.25  # between tries; a worker is back within a second or two
OLD: Final = 4  # earlier refs asked for again after each disturbance


def run(work: Work, control: ControlClient) -> None:
    """Disturb the target at the stage's rate until its end, in each way in turn."""
    declared = work.session.profile.control
    ways = [name for name in ("kill", "stall") if getattr(declared, name)] + ["cut"]
    pause_ns = round(1e9 / (work.part.stage.rate or RATE))
    due = work.start_ns
    for number in count():
        due = max(due + pause_ns, monotonic_ns())
        if not work.nap((due - monotonic_ns()) / 1e9):
            return
        _Disturbance(work, control, number).cause(ways[number % len(ways)])


class _Disturbance:
    def __init__(self, work: Work, control: ControlClient, number: int) -> None:
        self.work = work
        self.control = control
        self.rng = work.rng(number)
        self.also = "409" if work.session.conflicts else ""

    def cause(self, way: str) -> None:
        """Send duplicates of a fresh ref, disturb the target meanwhile, and ask until the answer is there."""
        token = self._token()
        if token is None:
            return
        channel, ref = self.rng.choice(token.user.usable), self.work.session.ref()
        call = self.work.call(token, channel, ref, also=self.also)
        many = min(self.rng.choice(SIZES), token.pacer.capacity)
        spread = sorted(self.rng.randrange(SPREAD_NS) for _ in range(many))
        burst = green.spawn(self.work.together, [token] * many, [call] * many, spread)
        green.sleep(self.rng.random() * SPREAD_NS / 1e9)
        if way == "cut":
            green.join([green.spawn(self._cut, token, channel, ref) for _ in range(CUTS)])
        else:
            green.spawn(getattr(self.control, way))
        green.join([burst])
        self.work.done[f"duplicates under way when {SAYS[way]}"] += many
        self._until_definite(token, channel, ref)
        self._old()

    def _token(self) -> Token | None:
        """A token that may ask for a challenge."""
        tokens = [token for token in self.work.tokens if not token.settled]
        self.rng.shuffle(tokens)
        return next((token for token in tokens if self.work.session.may_begin(token)), None)

    def _cut(self, token: Token, channel: str, ref: str) -> None:
        if token.pacer.take(1, self.work.deadline_ns):
            call = self.work.call(token, channel, ref, "replay", self.also)
            lost = self.work.session.desk.cut(call, self.rng.random() * SPREAD_NS / 1e9, reset=self.rng.random() < 0.5)
            self.work.session.remember(lost)

    def _until_definite(self, token: Token, channel: str, ref: str) -> None:
        for _ in range(TRIES):
            exchange = self.work.ask(token, self.work.call(token, channel, ref, "replay", self.also))
            if exchange is None:
                return
            if exchange.outcome == "ok":
                self.work.done["answers found again"] += 1
                return
            self.work.nap(PAUSE_S)

    def _old(self) -> None:
        """Refs of any age, also from before the disturbance."""
        for _ in range(OLD):
            token = self.rng.choice(self.work.tokens)
            if token.made:
                self.work.ask(token, self.work.call(token, *self.rng.choice(token.made), "replay"))
                self.work.done["earlier refs asked for again"] += 1


SAYS: Final = {"kill": "a worker was killed", "stall": "a worker stood still", "cut": "connections were cut"}
