"""What a token may do while its challenge is pending, and once it is accepted or declined, while requests race with it.

Exercises in-flight, settled-token, stepup-linearisable. Each token is settled once and is then of no further use; wants
some ten tokens settled with requests under way.
"""

from collections import Counter
from time import monotonic_ns
from typing import Final

from harness.control import ControlClient
from harness.history import Exchange
from scenarios.load import green
from scenarios.load.session import Token
from scenarios.load.work import Work

LANES: Final = 3
RACING: Final = 4  # requests under way while a challenge is settled
AT_ONCE: Final = 6  # requests of which one may win, where one challenge may be in flight


def run(work: Work, control: ControlClient) -> None:
    """Take tokens through their lives, one after another in each lane, until they or the time run out."""
    # Second tokens of a person come last: they are the new login when the first one has been settled.
    logins: Counter[int] = Counter()
    places = []
    for token in work.tokens:
        places.append(logins[token.user.person])
        logins[token.user.person] += 1
    waiting = [work.tokens[at] for at in sorted(range(len(places)), key=places.__getitem__)]

    def lane(number: int) -> None:
        life = _Life(work, control, number)
        while waiting and not work.over:
            life.live(waiting.pop(0))

    green.join([green.spawn(lane, number) for number in range(LANES)])


class _Life:
    def __init__(self, work: Work, control: ControlClient, number: int) -> None:
        self.work = work
        self.control = control
        self.rng = work.rng(number)
        calls = work.session.profile.control
        self.ways = [name for name in ("accept", "decline") if getattr(calls, name)]
        self.refusals = "400,409:STATE_INVALID"

    def live(self, token: Token) -> None:
        """Ask, ask again while it is pending, settle while more requests are under way, and ask once more."""
        if not self.work.session.may_begin(token):
            return
        first = self._first(token)
        if first is None or not first.challenge_id:
            return
        self._while_pending(token)
        if self.ways and not self.work.over:
            self._settle(token, first)
            self._afterwards(token)

    def _first(self, token: Token) -> Exchange | None:
        """The first challenge; where only one may be in flight, several ask for it at once and one may win."""
        if not self.work.session.rejects:
            return self._ask(token, "valid")
        many = min(AT_ONCE, token.pacer.capacity)
        calls = [
            self.work.call(token, self._channel(token), self.work.session.ref(), "valid", "409:STATE_INVALID")
            for _ in range(many)
        ]
        exchanges = self.work.together([token] * many, calls)
        self.work.done["races for one challenge"] += bool(exchanges)
        return next((exchange for exchange in exchanges if exchange.challenge_id), None)

    def _while_pending(self, token: Token) -> None:
        if self.work.session.rejects:
            lasts = self.work.session.profile.policy.in_flight_for_ns
            # Close to the expiry either answer may be right; the rules know the times.
            self._ask(token, "pending", "" if lasts is None or lasts > 10**10 else "200,409:STATE_INVALID")
            self.work.done["asked while pending"] += 1
        elif self.work.session.may_begin(token):
            self._ask(token, "pending")
            self.work.done["asked while pending"] += 1

    def _settle(self, token: Token, first: Exchange) -> None:
        """Accept or decline while fresh requests and a replay race with it."""
        way = self.rng.choice(self.ways)
        began = monotonic_ns()
        settling = green.spawn(getattr(self.control, way), first.challenge_id, token.index)
        token.settled = True
        many = min(RACING, token.pacer.capacity, max(token.ledger.left(), 1))
        token.ledger.take(min(many, token.ledger.left()))
        calls = [
            self.work.call(token, self._channel(token), self.work.session.ref(), "valid", self.refusals)
            for _ in range(many)
        ]
        spread = sorted(self.rng.randrange(8_000_000) for _ in calls)  # ns; about as long as the control call takes
        self.work.together([token] * many, calls, spread)
        green.join([settling], max((self.work.deadline_ns - began) / 1e9, 1.0))
        self.work.done[f"tokens settled by {way}"] += 1
        self.way = way

    def _afterwards(self, token: Token) -> None:
        """Refused from now on, on every channel, at once and again; the same person's other token is not."""
        intent = f"after-{self.way}"
        for channel in token.user.usable:
            call = self.work.call(token, channel, self.work.session.ref(), intent)
            if self.work.ask(token, call) is None:
                return
        if token.pacer.capacity >= 2:
            call = self.work.call(token, self._channel(token), self.work.session.ref(), intent)
            self.work.together([token] * 2, [call] * 2)
        others = [one for one in self.work.tokens if one.user.person == token.user.person and not one.settled]
        if others and self.work.session.may_begin(others[0]):
            self._ask(others[0], "new-login")

    def _ask(self, token: Token, intent: str, also: str = "") -> Exchange | None:
        return self.work.ask(token, self.work.call(token, self._channel(token), self.work.session.ref(), intent, also))

    def _channel(self, token: Token) -> str:
        return self.rng.choice(token.user.usable)
