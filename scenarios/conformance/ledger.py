"""What the stage has done to each user so far, and so what may be expected of the next request."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Final, Literal

from harness.history import Exchange
from harness.pool import User
from harness.profile import Profile

MARGIN_NS: Final = 500 * 10**6  # how late a request may be decided on, for what is expected of it to be sure
UNSAID_LATE_NS: Final = 10 * 10**9  # how late a lost call may still have its effect, where no profile says it
BLANKS: Final = " \t"  # around a value they are none of it, which not every parser knows; RFC 9110, section 5.5
Operation = tuple[int, str, str]  # person, channel, ref


@dataclass(frozen=True)
class Spent:
    """One challenge, issued at some time between sending and receiving. `sure`: it was answered with its id."""

    sent: int
    received: int
    sure: bool


class Ledger:
    """Challenges issued, tokens settled and refs used, by what was sent and answered. Times as in `Exchange`."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self.ids: dict[str, Operation | None] = {}
        self.known: dict[Operation, str] = {}
        self.perhaps: set[Operation] = set()  # operations that may be remembered: unanswered, or from before a reset
        self._spent: dict[int, list[Spent]] = defaultdict(list)
        self._settled: dict[int, str] = {}
        self._doubtful: set[int] = set()
        self._served: set[int] = set()
        self._pending: dict[int, list[Spent]] = defaultdict(list)

    def forget(self, now: int) -> None:
        """The target was told to forget limits and challenges; whether settled tokens are settled still is open.

        What was lost shortly before may come when the target has forgotten all else.
        """
        self._doubtful |= set(self._settled)
        self.perhaps |= set(self.known)
        self.known.clear()
        self._settled.clear()
        for kept in (*self._spent.values(), *self._pending.values()):
            kept[:] = [one for one in kept if self._may_come(one, now)]

    def anything_lost(self, now: int) -> bool:
        """Whether the effect of a call without an answer may still come."""
        return any(self._may_come(one, now) for kept in self._pending.values() for one in kept)

    def _may_come(self, one: Spent, now: int) -> bool:
        late = self._profile.target.late_effect_ns
        return not one.sure and one.received + (UNSAID_LATE_NS if late is None else late) > now

    def note(self, exchange: Exchange, user: User | None) -> None:
        """Remember what an exchange of the operation did."""
        if user is None or exchange.outcome == "refused":
            return
        operation = (user.person, exchange.channel, exchange.ref) if exchange.ref is not None else None
        if operation in self.known or exchange.challenge_id in self.ids:
            return
        spent = Spent(exchange.sent, exchange.received, exchange.outcome == "ok")
        if spent.sure and user.index not in self._settled:
            self._served.add(user.index)
            self._doubtful.discard(user.index)
        self._spent[self.scope(user)].append(spent)
        if operation and not spent.sure:
            self.perhaps.add(operation)
        self._pending[user.index].append(spent)
        if exchange.challenge_id:
            self.ids[exchange.challenge_id] = operation
            if operation:
                self.known[operation] = exchange.challenge_id
                self.perhaps.update({(*operation[:2], operation[2].strip(BLANKS))} - {operation})

    def may_know(self, user: User, channel: str, ref: str | None) -> bool:
        """Whether the target may take a call for one that it was sent before, though that is not sure."""
        if ref is None:
            return False
        raw, bare = (user.person, channel, ref), (user.person, channel, ref.strip(BLANKS))
        return bool({raw, bare} & self.perhaps) or (bare in self.known and (bare != raw or not ref))

    def settle(self, user: User, how: Literal["accept", "decline"], *, sure: bool = True) -> None:
        """A challenge of this token was accepted or declined."""
        if sure:
            self._settled[user.index] = f"after-{how}"
        else:
            self._doubtful.add(user.index)

    def known_state(self, user: User) -> bool:
        """Whether this run has seen in which state the token is, or made it so."""
        return user.index in self._served | self._doubtful | set(self._settled)

    def doubt(self, user: User) -> None:
        """This token turned out to be in another state than it was left in, as by an earlier run."""
        self._doubtful.add(user.index)

    def states(self, user: User, now: int) -> tuple[set[str], frozenset[str]]:
        """Intents that follow from the token's and the person's state for a new operation: the sure, and the unsure."""
        sure: set[str] = set()
        unsure: set[str] = set()
        if user.index in self._settled:
            sure.add(self._settled[user.index])
        if user.index in self._doubtful:
            unsure |= {"after-accept", "after-decline"}
        (sure if self._surely_pending(user, now) else unsure).update(self._if_pending(user, now))
        least, most = self.used(user, now)
        limit = self._profile.challenges
        if limit is not None and most >= limit.count:
            (sure if least >= limit.count else unsure).add("limit-reached")
        return sure, frozenset(unsure)

    def used(self, user: User, now: int) -> tuple[int, int]:
        """How many challenges of this user's scope surely, and at most, count in the limit's window from now on."""
        limit = self._profile.challenges
        if limit is None:
            return 0, 0
        slack = self._profile.target.clock_step_ns + limit.window_ns // 5000
        spent = self._spent[self.scope(user)]
        least = sum(one.sure and one.sent > now + MARGIN_NS - limit.window_ns + slack for one in spent)
        return least, sum(one.received > now - limit.window_ns - slack for one in spent)

    def left(self, user: User, now: int) -> int:
        """How many challenges this user can surely still be issued, as far as is known; many where none is declared."""
        limit = self._profile.challenges
        return 10**6 if limit is None else limit.count - self.used(user, now)[1]

    def frees_at(self, user: User, need: int) -> int:
        """When so many challenges of this user's scope have left the window that `need` more can be issued."""
        limit = self._profile.challenges
        received = sorted(one.received for one in self._spent[self.scope(user)])
        if limit is None or not 0 < need <= limit.count or len(received) + need <= limit.count:
            return 0
        last = received[len(received) + need - limit.count - 1]
        return last + limit.window_ns + limit.window_ns // 5000 + 2 * self._profile.target.clock_step_ns

    def ends_pending(self, user: User) -> float:
        """When nothing of this token can be pending any more; infinite where only settling ends it."""
        lasts = self._profile.policy.in_flight_for_ns
        latest = max((one.received for one in self._pending[user.index]), default=None)
        if latest is None:
            return 0
        return (
            float("inf") if lasts is None else latest + lasts + lasts // 2500 + 2 * self._profile.target.clock_step_ns
        )

    def _if_pending(self, user: User, now: int) -> set[str]:
        return {"pending"} if self._still_pending(user, now, slack=1) else set()

    def _surely_pending(self, user: User, now: int) -> bool:
        return any(one.sure for one in self._still_pending(user, now + MARGIN_NS, slack=-1))

    def _still_pending(self, user: User, now: int, slack: int) -> list[Spent]:
        lasts = self._profile.policy.in_flight_for_ns
        if lasts is None:
            return self._pending[user.index]
        lasts += slack * (self._profile.target.clock_step_ns + lasts // 5000)
        return [one for one in self._pending[user.index] if (one.sent if slack < 0 else one.received) + lasts > now]

    def settled(self, user: User) -> bool:
        """Whether the token is settled, or may be."""
        return user.index in self._settled or user.index in self._doubtful

    def scope(self, user: User) -> int:
        """Whose challenges are counted together with this user's."""
        limit = self._profile.challenges
        return user.programme if limit is not None and limit.scope == "programme" else user.person
