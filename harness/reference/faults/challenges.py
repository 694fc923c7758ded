"""Challenge limits that count the wrong things, or the wrong people's, or for the wrong time."""

# ruff: noqa: ARG002  (what a fault overrides looks at more than the fault does)

from dataclasses import replace

from harness.reference.answers import Refused
from harness.reference.faults.catalogue import fault
from harness.reference.limits import FixedWindow, Limit, challenge_limit, ns
from harness.reference.service import Call, Service

BY_PROGRAMME = {"challenge_scope": "programme", "challenge_count": 400}
LIMIT = "CHALLENGE_LIMIT_EXCEEDED"


class _OtherLimit(Service):
    """A limit like the declared one, but for its count and a factor of its window."""

    more = 0
    longer = 1.0

    def make_challenge_limit(self) -> Limit | None:
        settings = self.settings
        changed = replace(
            settings,
            challenge_count=(settings.challenge_count or 0) + self.more,
            challenge_window=settings.challenge_window * self.longer,
        )
        return challenge_limit(changed, self.store)


@fault("challenges-off-by-one", "`>` where `>=` was meant: one challenge more", "challenge-limit-upper")
class ChallengesOffByOne(_OtherLimit):
    more = 1


@fault("challenges-one-short", "the new challenge is counted before the comparison", "challenge-limit-lower")
class ChallengesOneShort(_OtherLimit):
    more = -1


@fault("challenges-window-short", "the window ends a third too early", "challenge-limit-upper")
class ChallengesWindowShort(_OtherLimit):
    longer = 0.6


@fault("challenges-window-long", "a window in minutes, set in seconds: what has left it still counts",
       "challenge-limit-reset", "challenge-limit-lower")  # fmt: skip
class ChallengesWindowLong(_OtherLimit):
    longer = 60.0


@fault("challenges-unlimited", "the limit is in the configuration, which nobody reads", "challenge-limit-upper")
class ChallengesUnlimited(Service):
    def make_challenge_limit(self) -> Limit | None:
        return None


@fault("challenges-fixed-window", "a counter that begins anew with each window of the clock", "challenge-limit-upper",
       challenge_window=4.0)  # fmt: skip
class ChallengesFixedWindow(Service):
    def make_challenge_limit(self) -> Limit | None:
        return FixedWindow(self.store, self.settings.challenge_count or 1, ns(self.settings.challenge_window), 0)


@fault("challenges-shared", "one counter for all users of a programme, where each has their own",
       "challenge-limit-isolated", "challenge-limit-lower")  # fmt: skip
class ChallengesShared(Service):
    def challenge_scope(self, call: Call) -> str:
        return f"challenges {call.login.programme}"


@fault("challenges-by-channel", "a counter for each channel: twice as many as declared", "challenge-limit-upper")
class ChallengesByChannel(Service):
    def challenge_scope(self, call: Call) -> str:
        return f"{super().challenge_scope(call)} {call.channel}"


@fault("challenges-per-token", "a counter for each session, so that logging in again is a way around it",
       "challenge-limit-upper")  # fmt: skip
class ChallengesPerToken(Service):
    def challenge_scope(self, call: Call) -> str:
        return f"{super().challenge_scope(call)} {call.login.token}"


@fault("challenges-count-replays", "the counter stands in front of the idempotency filter",
       "challenge-limit-replay-free", "challenge-limit-lower")  # fmt: skip
class ChallengesCountReplays(Service):
    def known(self, call: Call) -> str | None:
        known = super().known(call)
        if known and self.challenges is not None:
            self.challenges.spend(self.challenge_scope(call), self.clock.now())
        return known


@fault("challenges-count-refusals", "the counter stands in front of the checks that may still refuse",
       "challenge-limit-refusal-free", "challenge-limit-lower")  # fmt: skip
class ChallengesCountRefusals(Service):
    def issue(self, call: Call) -> str:
        self.check_challenges(call)
        self.check_channel(call)
        self.check_state(call)
        return self.record(call, self.new_id(call))


@fault("challenges-prolonged", "asking at the limit begins the window anew",
       "challenge-limit-refusal-free", "challenge-limit-reset", "challenge-limit-lower")  # fmt: skip
class ChallengesProlonged(Service):
    def check_challenges(self, call: Call) -> None:
        try:
            super().check_challenges(call)
        except Refused:
            if self.challenges is not None:
                self.challenges.punish(self.challenge_scope(call), self.clock.now())
            raise


@fault("challenges-refuse-replays", "at the limit a repeated call is refused as if it were a new one",
       "challenge-limit-replay-free", "idempotent-replay", "challenge-limit-lower")  # fmt: skip
class ChallengesRefuseReplays(Service):
    def known(self, call: Call) -> str | None:
        known = super().known(call)
        if known and self.challenges is not None:
            scope, now = self.challenge_scope(call), self.clock.now()
            oldest = self.store.hit(scope, self.store.meter(scope).used % self.challenges.count)
            if oldest is not None and oldest + self.challenges.window > now:
                raise Refused(409, LIMIT)
        return known


@fault("challenges-told-as-429", "one kind of exception for every limit there is",
       "rate-limit-lower", "rate-limit-isolated", "rate-limit-retry-after")  # fmt: skip
class ChallengesToldAs429(Service):
    def check_challenges(self, call: Call) -> None:
        try:
            super().check_challenges(call)
        except Refused:
            raise Refused(429, wait=ns(1)) from None


@fault("challenges-told-as-state", "the limit is checked by the state machine, which has one error for everything",
       "settled-token", "in-flight", "stepup-linearisable")  # fmt: skip
class ChallengesToldAsState(Service):
    def check_challenges(self, call: Call) -> None:
        try:
            super().check_challenges(call)
        except Refused:
            raise Refused(409, "STATE_INVALID") from None


@fault("challenges-random-refusals", "one request in two hundred is refused, as a count of another shard is read",
       "challenge-limit-lower", "challenge-limit-isolated")  # fmt: skip
class ChallengesRandomRefusals(Service):
    turn = 0

    def check_challenges(self, call: Call) -> None:
        self.turn += 1
        if self.turn % 200 == 0:
            raise Refused(409, LIMIT)
        super().check_challenges(call)


@fault("programme-limit-by-user", "the limit of a programme is kept for each of its users", "challenge-limit-upper",
       **BY_PROGRAMME)  # fmt: skip
class ProgrammeLimitByUser(Service):
    def challenge_scope(self, call: Call) -> str:
        return f"{super().challenge_scope(call)} {call.login.person}"


@fault("programme-limit-for-all", "one counter for all programmes", "challenge-limit-isolated",
       "challenge-limit-lower", **BY_PROGRAMME)  # fmt: skip
class ProgrammeLimitForAll(Service):
    def challenge_scope(self, call: Call) -> str:
        return "challenges"
