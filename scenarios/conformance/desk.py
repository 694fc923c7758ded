"""Finds for each case a user of the pool who fits, spends limits with care, and says what the pool lacks."""

import time
from collections.abc import Callable
from typing import Final, Literal, NoReturn

import pytest

from harness.pool import User
from scenarios.conformance.draft import draft_for
from scenarios.conformance.stage import Reply, Stage

Role = Literal[
    "plain", "logged_out", "impersonator", "lacking", "unsupported", "pending", "accepted", "declined", "limited"
]
HOW: Final[dict[Role, Literal["accept", "decline"]]] = {"accepted": "accept", "declined": "decline"}
INTENT_OF: Final[dict[Role, str]] = {"limited": "limit-reached", "pending": "pending"}
REFUSED_MOST: Final = 3  # calls that drive a limit may be refused: a token may be settled since before a reset
SHORT_WAIT_S: Final = 1.0  # rather than a reset, which makes the target forget what history rules look at
LONG_WAIT_S: Final = 15.0  # for one case, where the target cannot be reset
ALL_WAITS_S: Final = 60.0  # for the whole stage
MOST_OF_STATE: Final = 20  # users in turn: a rate limit may count what they are refused
LARGEST_LIMIT: Final = 200  # challenges; a larger limit is the load stage's to reach


class Desk:
    """The users of this stage. Every choice is the same again for the same pool and the same order of cases."""

    def __init__(self, stage: Stage, dealt: list[int], needed_later: frozenset[int] = frozenset()) -> None:
        """`dealt` are the indices of the users of this stage, `needed_later` of those whom another one uses next."""
        self.stage = stage
        self._needed_later = needed_later
        pool = stage.profile.pool
        self.users = [pool.users[index] for index in dealt if index < len(pool.users)] or list(pool.users)
        self._turn: dict[int, int] = {}
        self._turns = 0
        self._kept: dict[tuple[Role, str], User] = {}
        self._waited_s = 0.0

    def find(self, role: Role = "plain", channel: str = "", *, need: int = 1) -> User:
        """A user in this role who can use `channel` (any where empty) and be issued `need` challenges.

        Skips the test, with the reason, where the pool has none. With a need of 0, or another role, what stands in the
        way of a challenge does not matter.
        """
        if role in ("logged_out", "impersonator"):
            return self._of_state(role)
        if role == "lacking":
            return self._first(
                lambda user: channel not in (*user.channels, *user.unsupported), f"not enrolled on {channel}"
            )
        if role == "unsupported":
            return self._first(lambda user: channel in user.unsupported, f"whose programme does not offer {channel}")
        if role != "plain":
            return self._in_state(role, channel)
        return self._use(self._unspent(self._enrolled(channel), need))

    def to_settle(self, channel: str = "", *, need: int = 1) -> User:
        """A user to be settled, of a person with no other token if possible: those who have one are few, and needed
        where two tokens are counted together."""
        fits = self._enrolled(channel)
        clear = [user for user in fits if self._logins(user) == 1 and self._clear(user, need)]
        return self._use(self._unspent(clear or fits, need))

    def _enrolled(self, channel: str) -> list[User]:
        fits = [user for user in self.users if self._fits(user, channel)]
        if not fits:
            self._lacks(f"no active user enrolled on {channel or 'a channel'}")
        return fits

    def next(self, channel: str = "") -> User:
        """Any user of a channel, one with nothing in the way where there is one: what may be expected follows."""
        in_turn = sorted(self._enrolled(channel), key=self._last_use)
        clear = next((user for user in in_turn if self._clear(user, 1)), None)
        if clear is None and self.reset():
            clear = next((user for user in in_turn if self._clear(user, 1)), None)
        return self._use(clear or in_turn[0])

    def room(self) -> int:
        """How many challenges can be issued now to users with nothing in the way."""
        now = time.monotonic_ns()
        clear = [user for user in self.users if self._fits(user, "") and self._clear(user, 1)]
        limit = self.stage.profile.challenges
        by_programme = limit is not None and limit.scope == "programme"
        scopes = {user.programme if by_programme else user.person: user for user in clear}
        one_each = self.stage.profile.policy.in_flight == "reject"
        return sum(1 if one_each else self.stage.ledger.left(user, now) for user in scopes.values())

    def everybody(self, most: int) -> list[User]:
        """A token of each person with nothing in the way of a challenge now, of at most so many."""
        clear = {user.person: user for user in self.users if self._fits(user, "") and self._clear(user, 1)}
        return list(clear.values())[:most]

    def key_of_other_programme(self, user: User) -> str:
        """An api-key that is good, but of another programme than the user's."""
        key = next((one.api_key for one in self.stage.profile.pool.users if one.programme != user.programme), None)
        return key if key is not None else self._lacks("users of one programme only")

    def login_beside(self, user: User) -> User:
        """Another token of the same person."""
        pool = self.stage.profile.pool
        found = next((one for one in pool.active if one.person == user.person and one.index != user.index), None)
        return found if found is not None else self._lacks("no person with two tokens")

    def _logins(self, user: User) -> int:
        """How many active tokens of this stage are the person's."""
        return sum(one.state == "active" and one.person == user.person for one in self.users)

    def with_two_logins(self, *, need: int = 2) -> User:
        """A user who has another token of the same person."""
        fits = [user for user in self.users if self._fits(user, "") and self._logins(user) > 1]
        if not fits:
            self._lacks("no person with two tokens")
        return self._use(self._unspent(fits, need))

    def counted_together(self) -> tuple[User, User]:
        """Two tokens whose challenges count for one limit: of one person, or of one programme."""
        fits = [user for user in self.users if self.serves(user)]
        scope = self.stage.ledger.scope
        several = [user for user in fits if sum(scope(one) == scope(user) for one in fits) > 1]
        if not several:
            self._lacks("no two tokens that one limit counts together")
        user = self._use(self._unspent(several, 2))
        return user, next(one for one in fits if scope(one) == scope(user) and one.index != user.index)

    def free(self, user: User, channel: str) -> User:
        """A token of the same person with nothing in the way of a challenge, where only one may be in flight."""
        if self.stage.profile.policy.in_flight == "allow":
            return user
        tokens = [one for one in self.users if one.person == user.person and self._fits(one, channel)]
        return self._use(self._unspent(tokens, 1))

    def on_both(self, *, need: int = 1) -> User:
        """A user who can use every channel."""
        channels = set(self.stage.spec.channels)
        fits = [user for user in self.users if self._fits(user, "") and set(user.usable) == channels]
        if not fits:
            self._lacks("no active user enrolled on every channel")
        return self._use(self._unspent(fits, need))

    def another(self, user: User, channel: str, *, same_programme: bool) -> User:
        """A user of another person, of the same programme or of another one."""
        apart = [one for one in self.users if one.person != user.person and self._fits(one, channel)]
        fits = [one for one in apart if (one.programme == user.programme) == same_programme]
        if not fits:
            self._lacks(f"no second person of {'the same' if same_programme else 'another'} programme on {channel}")
        return self._use(self._unspent(fits, 1))

    def with_whole_limit(self) -> User:
        """A user none of whose scope's challenges has been used up yet."""
        limit = self.stage.profile.challenges
        if limit is None:
            pytest.skip("the profile declares no limit of challenges")
        return self.find(need=limit.count)

    def outside_limit_of(self, user: User) -> User:
        """A user who is counted apart from this one."""
        limit = self.stage.profile.challenges
        by_programme = limit is not None and limit.scope == "programme"
        return self.another(user, "", same_programme=not by_programme)

    def outside_rate_of(self, user: User) -> User | None:
        """A user whom the rate limit counts apart from this one; None where there is none."""
        rate = self.stage.profile.rate
        if rate is None or rate.scope in ("ip", "global"):
            return None
        apart = [one for one in self.users if one.person != user.person and self._fits(one, "")]
        fits = [one for one in apart if rate.scope == "user" or one.key != user.key]
        return self._use(self._unspent(fits, 1)) if fits else None

    def settle(self, user: User, channel: str, how: Literal["accept", "decline"]) -> None:
        """Issue a challenge and have it accepted or declined; skips where the target has no such call."""
        self._can(how, user)
        self.settled(self.stage.check(self.stage.send(draft_for(user, channel))), how)

    def settled(self, issued: Reply, how: Literal["accept", "decline"]) -> None:
        """Have this challenge accepted or declined; skips where the target has no such call."""
        assert issued.user is not None
        self._can(how, issued.user)
        done = getattr(self.stage.control, how)(issued.challenge, issued.user.index)
        self.stage.ledger.settle(issued.user, how, sure=done)
        if not done:
            pytest.skip(f"the control call to {how} a challenge was refused")

    def _can(self, how: str, user: User) -> None:
        if getattr(self.stage.profile.control, how) is None:
            pytest.skip(f"the profile has no control call to {how} a challenge")
        left = [one.index for one in self.users if self.serves(one) and one.index in self._needed_later]
        if left == [user.index]:
            pytest.skip("the last token that nobody has settled is left for the load")

    def _in_state(self, role: Role, channel: str) -> User:
        """A user whose token is in a state; one is made and used for all cases that ask for it."""
        kept = self._kept.get((role, channel))
        if kept is not None and self._is_still(kept, role, channel):
            return kept
        user = self.to_settle(channel) if role in HOW else self.find("plain", channel, need=1)
        if role == "pending":
            self.stage.check(self.stage.send(draft_for(user, channel)))
        elif role == "limited":
            self.drive(user, channel)
        else:
            self.settle(user, channel, HOW[role])
        self._kept[(role, channel)] = user
        return user

    def _is_still(self, user: User, role: Role, channel: str) -> bool:
        """Whether a token is in a state still; where a reset made that open, the token itself is asked."""
        sure, unsure = self.stage.ledger.states(user, time.monotonic_ns())
        wanted = f"after-{HOW[role]}" if role in HOW else INTENT_OF.get(role, role)
        if wanted in sure or role not in HOW or wanted not in unsure:
            return wanted in sure
        reply = self.stage.send(draft_for(user, channel))
        still = reply.status in (400, 409) and not reply.limited
        if still:
            self.stage.ledger.settle(user, HOW[role])
        return still

    def drive(self, user: User, channel: str) -> int:
        """Issue challenges until the user's scope has as many as the limit allows; how many it took."""
        limit = self.stage.profile.challenges
        if limit is None:
            pytest.skip("the profile declares no limit of challenges")
        if limit.count > LARGEST_LIMIT:
            pytest.skip(f"a limit of {limit.count} challenges is the load stage's to reach")
        if limit.window_ns < limit.count * 10**7:
            pytest.skip("the limit's window is too short to reach the limit by one request at a time")
        issued = refused = 0
        while self.stage.ledger.used(user, time.monotonic_ns())[1] < limit.count:
            if refused > REFUSED_MOST:
                pytest.skip("calls were refused before the limit, which its users' state may explain")
            token = self._counted_with(user)
            draft = draft_for(token, channel if token is user else token.usable[0])
            served = self.stage.check(self.stage.send(draft)).status == 200
            issued, refused = issued + served, refused + (not served)
        return issued

    def _counted_with(self, user: User) -> User:
        """A token whose next challenge counts for the same limit as the user's: their own if they can be given one."""
        ledger, now = self.stage.ledger, time.monotonic_ns()
        tokens = [one for one in self.users if ledger.scope(one) == ledger.scope(user) and self._fits(one, "")]
        free = [one for one in tokens if not ledger.settled(one)]
        if self.stage.profile.policy.in_flight == "allow":
            return self._use(min(free, key=self._last_use)) if len({one.person for one in free}) > 1 else user
        found = next((one for one in free if ledger.ends_pending(one) < now), None)
        return found or pytest.skip(f"its {len(tokens)} tokens hold one challenge each, which is less than the limit")

    def serves(self, user: User) -> bool:
        """Whether nothing of what is known of a token keeps it from being answered again."""
        return self._fits(user, "") and not self.stage.ledger.settled(user)

    def _fits(self, user: User, channel: str) -> bool:
        known = user.state == "active" and user.index not in self.stage.expired
        return known and (channel in user.usable if channel else bool(user.usable))

    def _of_state(self, state: str) -> User:
        found = [user for user in self.stage.profile.pool.users if user.state == state]
        if not found:
            self._lacks(f"no user with state '{state}'")
        return self._use(min(found[:MOST_OF_STATE], key=self._last_use))

    def _first(self, fits: Callable[[User], bool], what: str) -> User:
        known = [user for user in self.users if user.state == "active" and user.index not in self.stage.expired]
        found = [user for user in known if fits(user)]
        if not found:
            self._lacks(f"no active user {what}")
        clear = [user for user in found if self._clear(user, 1)]
        return self._use(min(clear or found, key=self._last_use))

    def _unspent(self, fits: list[User], need: int) -> User:
        """The one used longest ago of those with nothing in the way; waits or resets until there is one."""
        in_turn = sorted(fits, key=self._last_use)
        if need == 0:
            return in_turn[0]
        for _ in range(3):
            clear = next((user for user in in_turn if self._clear(user, need)), None)
            if clear is not None:
                return clear
            if not self._make_room(fits, need):
                break
        pytest.skip(self._used_up(need))

    def _used_up(self, need: int) -> str:
        limit = self.stage.profile.challenges
        if limit is not None and need > limit.count:
            return f"it takes {need} challenges, and the limit is {limit.count}"
        if self.stage.profile.control.reset is None:
            return "every fitting user is settled, pending or at the limit, and the target cannot be told to forget"
        return "too few fitting users are neither settled, pending nor at the limit, for one test at least"

    def _clear(self, user: User, need: int) -> bool:
        now = time.monotonic_ns()
        sure, unsure = self.stage.ledger.states(user, now)
        blocking = (sure | unsure) - ({"pending"} if self.stage.profile.policy.in_flight == "allow" else set())
        return not blocking and self.stage.ledger.left(user, now) >= need

    def _make_room(self, fits: list[User], need: int) -> bool:
        """Wait for the limit's window or reset the target; False where neither helps."""
        now = time.monotonic_ns()
        waits = [(self._frees_at(user, need) - now) / 1e9 for user in fits]
        soonest = min((wait for wait in waits if wait > 0), default=float("inf"))
        limit = self.stage.profile.challenges
        hopeless = limit is not None and need > limit.count
        if hopeless or (soonest > SHORT_WAIT_S and self.reset()):
            return not hopeless
        if soonest > min(LONG_WAIT_S, ALL_WAITS_S - self._waited_s):
            return False
        self._waited_s += soonest
        time.sleep(soonest)
        return True

    def _frees_at(self, user: User, need: int) -> float:
        """When waiting alone will have made room for this user; infinite for a settled token."""
        ledger = self.stage.ledger
        pending = 0 if self.stage.profile.policy.in_flight == "allow" else ledger.ends_pending(user)
        return float("inf") if ledger.settled(user) else max(ledger.frees_at(user, need), pending)

    def reset(self) -> bool:
        """Make the target forget, where it can and nothing was sent in this test that it should remember."""
        return not self.stage.sent_in_case and self.reset_now()

    def reset_now(self) -> bool:
        """Make the target forget whatever was sent before, where it can."""
        if not self.stage.control.reset():
            return False
        self.stage.ledger.forget(time.monotonic_ns())
        return True

    def _use(self, user: User) -> User:
        self._turns += 1
        self._turn[user.person] = self._turns
        return user

    def _last_use(self, user: User) -> int:
        return self._turn.get(user.person, 0)

    def _lacks(self, what: str) -> NoReturn:
        pytest.skip(f"the pool has {what}")
