"""What a token may do while its challenge is pending, and once it is accepted or declined, while requests race with it.

Exercises in-flight, settled-token, stepup-linearisable, and challenge-limit-upper and -lower over two tokens of one
person, the first of which is settled: what it was given still counts. Each token is settled once and is then of no
further use; wants some ten tokens settled with requests under way.
"""

from collections import Counter
from time import monotonic_ns
from typing import Final

from harness.control import ControlClient
from harness.history import Exchange
from scenarios.load import green
from scenarios.load.rows import Call
from scenarios.load.session import Token
from scenarios.load.work import Work

LANES: Final = 3
RACING: Final = 4  # requests under way while a challenge is settled
AT_ONCE: Final = 6  # requests of which one may win, where one challenge may be in flight
NEAR: Final = 40  # challenges left of a limit that is near enough to be reached with one token
BEYOND: Final = 3  # requests beyond what is left


def run(work: Work, control: ControlClient) -> None:
    """Take tokens through their lives, one after another in each lane, until they or the time run out."""
    # Second tokens of a person come last: they are the new login when the first one has been settled.
    logins: Counter[int] = Counter()
    places = []
    for token in work.tokens:
        places.append(logins[token.user.person])
        logins[token.user.person] += 1
    waiting = [work.tokens[at] for at in sorted(range(len(places)), key=places.__getitem__)]

    several = [person for person, tokens in logins.items() if tokens > 1]

    def lane(number: int) -> None:
        life = _Life(work, control, number, several)
        while waiting and not work.over:
            life.live(waiting.pop(0))

    green.join([green.spawn(lane, number) for number in range(LANES)])


class _Life:
    def __init__(self, work: Work, control: ControlClient, number: int, several: list[int]) -> None:
        self.work = work
        self.control = control
        self.rng = work.rng(number)
        calls = work.session.profile.control
        self.ways = [name for name in ("accept", "decline") if getattr(calls, name)]
        self.several = several
        self.refusals = "400,409:STATE_INVALID"

    def live(self, token: Token) -> None:
        """Ask, ask again while it is pending, settle while more requests are under way, and ask once more."""
        if not self.work.session.may_begin(token):
            return
        first = self._first(token)
        if first is None or not first.challenge_id:
            return
        self._while_pending(token)
        if not self.work.session.rejects:
            self._other_served(token)
        if self.ways and not self.work.over and self._settle(token, first):
            self._afterwards(token, first)

    def _first(self, token: Token) -> Exchange | None:
        """The first challenge; where only one may be in flight, several ask for it at once and one may win."""
        if not self.work.session.rejects:
            return self._ask(token, "valid")
        many = min(AT_ONCE, token.pacer.capacity)
        exchanges = self.work.together([token] * many, self._fresh(token, many, "409:STATE_INVALID"))
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

    def _settle(self, token: Token, first: Exchange) -> bool:
        """Accept or decline while fresh requests race with it; whether that was done for sure."""
        way = self._way(token.user.person)
        began = monotonic_ns()
        done: list[bool] = []
        settling = green.spawn(lambda: done.append(getattr(self.control, way)(first.challenge_id, token.index)))
        token.settled = True
        many = min(RACING, token.pacer.capacity, max(token.ledger.left(), 1))
        token.ledger.take(min(many, token.ledger.left()))
        calls = self._fresh(token, many, self.refusals)
        spread = sorted(self.rng.randrange(8_000_000) for _ in calls)  # ns; about as long as the control call takes
        self.work.together([token] * many, calls, spread)
        green.join([settling], max((self.work.deadline_ns - began) / 1e9, 1.0))
        self.work.done[f"tokens settled by {way}"] += 1
        self.way = way
        return any(done)

    def _way(self, person: int) -> str:
        """In turns for the few persons who have a token left for what comes afterwards, else by chance."""
        if person in self.several:
            return self.ways[self.several.index(person) % len(self.ways)]
        return self.rng.choice(self.ways)

    def _other(self, token: Token) -> Token | None:
        """Another token of the same person that is not settled."""
        others = (one for one in self.work.tokens if one.user.person == token.user.person and one is not token)
        return next((one for one in others if not one.settled), None)

    def _other_served(self, token: Token) -> None:
        """The same person's other token is served before: a refusal later cannot be for what was before the run."""
        other = self._other(token)
        if other and self.work.session.may_begin(other):
            self._ask(other, "valid")

    def _afterwards(self, token: Token, first: Exchange) -> None:
        """Refused from now on, on every channel, at once and again; the same person's other token is not."""
        intent = f"after-{self.way}"
        for channel in token.user.usable:
            call = self.work.call(token, channel, self.work.session.ref(), intent)
            if self.work.ask(token, call) is None:
                return
        if token.pacer.capacity >= 2:
            call = self.work.call(token, self._channel(token), self.work.session.ref(), intent)
            self.work.together([token] * 2, [call] * 2)
        other = self._other(token)
        if other and self.work.session.may_begin(other):
            self._ask(other, "new-login")
            self.work.ask(other, self.work.call(other, first.channel, first.ref, "replay"))
            if not self.work.session.rejects:
                self._to_the_limit(other)

    def _to_the_limit(self, token: Token) -> None:
        """Some more than may be served, all at once if the rate allows it: settling gave nothing back of the limit."""
        left = token.ledger.left()
        asked = left + BEYOND if left <= NEAR else 0
        while asked and not self.work.over:
            many = min(asked, token.pacer.capacity)
            token.ledger.take(min(many, token.ledger.left()))
            if not self.work.together([token] * many, self._fresh(token, many)):
                return
            asked -= many
            self.work.done["limits reached after a settled token"] += not asked

    def _fresh(self, token: Token, many: int, also: str = "") -> list[Call]:
        """Calls with refs of their own, over the token's channels."""
        return [self.work.call(token, self._channel(token), self.work.session.ref(), also=also) for _ in range(many)]

    def _ask(self, token: Token, intent: str, also: str = "") -> Exchange | None:
        return self.work.ask(token, self.work.call(token, self._channel(token), self.work.session.ref(), intent, also))

    def _channel(self, token: Token) -> str:
        return self.rng.choice(token.user.usable)
