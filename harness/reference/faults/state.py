"""The step-up's state: settled tokens that are served, pending challenges that are overlooked or never end."""

# ruff: noqa: ARG002  (what a fault overrides looks at more than the fault does)

from harness.reference.answers import Refused
from harness.reference.faults.catalogue import fault
from harness.reference.limits import ns
from harness.reference.service import Call, Service
from harness.reference.store import Meter

REJECT = {"in_flight": "reject", "in_flight_for": 3.0}


@fault("settled-served", "a token that was stepped up can be stepped up again", "settled-token")
class SettledServed(Service):
    def check_state(self, call: Call) -> None:
        if self.in_flight(call):
            raise Refused(409, "STATE_INVALID")


@fault("declined-served", "only acceptance ends a step-up, so that an attacker may ask until somebody gives in",
       "settled-token")  # fmt: skip
class DeclinedServed(Service):
    def check_state(self, call: Call) -> None:
        row = self.store.row("SELECT outcome FROM settled WHERE token = ?", call.login.token)
        if row != ("declined",):
            super().check_state(call)


@fault("settled-by-channel", "the state is kept for each channel, so the other one still works", "settled-token")
class SettledByChannel(Service):
    def record(self, call: Call, challenge: str) -> str:
        self.store.keep_meter(f"channel of {challenge}", Meter(0, int(call.channel == "AUTHY")))
        return super().record(call, challenge)

    def settle(self, challenge_id: str, outcome: str) -> bool | None:
        done = super().settle(challenge_id, outcome)
        with self.store.transaction():
            challenge = self.store.challenge(challenge_id)
            if done and challenge is not None:
                used = self.store.meter(f"channel of {challenge_id}").used
                self.store.keep_meter(f"settled {challenge.token} {used}", Meter(1, 1))
        return done

    def check_state(self, call: Call) -> None:
        if self.store.meter(f"settled {call.login.token} {int(call.channel == 'AUTHY')}").used:
            raise Refused(409, "STATE_INVALID")


@fault("settled-late", "acceptance comes over a queue, and is known a second later", "settled-token")
class SettledLate(Service):
    late = ns(1)

    def settle(self, challenge_id: str, outcome: str) -> bool | None:
        done = super().settle(challenge_id, outcome)
        with self.store.transaction():
            challenge = self.store.challenge(challenge_id)
            if done and challenge is not None:
                self.store.keep_meter(f"known {challenge.token}", Meter(self.clock.now() + self.late, 0))
        return done

    def check_state(self, call: Call) -> None:
        if self.store.meter(f"known {call.login.token}").at <= self.clock.now():
            super().check_state(call)


@fault("settled-for-the-person", "the state is kept for the user, so that a new login cannot be stepped up",
       "settled-token", "documented-status", "stepup-linearisable")  # fmt: skip
class SettledForThePerson(Service):
    def check_state(self, call: Call) -> None:
        logins = self.access.people.logins.values()
        for token in [login.token for login in logins if login.person == call.login.person]:
            if self.store.is_settled(token):
                raise Refused(409, "STATE_INVALID")
        super().check_state(call)


@fault("settled-where-last-asked", "the session to step up is the one that the person asked from last", "settled-token")
class SettledWhereLastAsked(Service):
    def settle(self, challenge_id: str, outcome: str) -> bool | None:
        with self.store.transaction():
            challenge = self.store.challenge(challenge_id)
        if challenge is None:
            return None
        logins = self.access.people.logins
        person = logins[challenge.token].person
        with self.store.transaction():
            since = {token: self.store.pending_since(token) for token in logins if logins[token].person == person}
        latest = max(since, key=lambda token: (since[token] or 0, token == challenge.token))
        with self.store.transaction():
            self.store.settle(challenge._replace(token=latest), outcome)
        return True


@fault("in-flight-ignored", "the check is there, and its result is not used", "in-flight", **REJECT)
class InFlightIgnored(Service):
    def in_flight(self, call: Call) -> bool:
        return False


@fault("in-flight-refused", "a second challenge is refused where it is declared to be allowed", "in-flight")
class InFlightRefused(Service):
    def in_flight(self, call: Call) -> bool:
        return self.store.pending_since(call.login.token) is not None


@fault("in-flight-by-channel", "one challenge may be pending on each channel, where one is declared", "in-flight",
       **REJECT)  # fmt: skip
class InFlightByChannel(Service):
    def in_flight(self, call: Call) -> bool:
        at = self.store.meter(f"pending {call.login.token} {call.channel}").at
        return at > 0 and self.clock.now() < at + ns(self.settings.in_flight_for or 0) and super().in_flight(call)

    def record(self, call: Call, challenge: str) -> str:
        self.store.keep_meter(f"pending {call.login.token} {call.channel}", Meter(self.clock.now(), 1))
        return super().record(call, challenge)


@fault("in-flight-by-person", "what is pending is looked up by its owner, so that another login has to wait for it",
       "in-flight", "documented-status", "stepup-linearisable", **REJECT)  # fmt: skip
class InFlightByPerson(Service):
    def in_flight(self, call: Call) -> bool:
        logins = self.access.people.logins.values()
        tokens = [login.token for login in logins if login.person == call.login.person]
        since = max(self.store.pending_since(token) or 0 for token in tokens)
        return self.clock.now() < since + ns(self.settings.in_flight_for or 0)


@fault("in-flight-for-all", "the pending challenge of any user of a programme stands in everybody's way", "in-flight",
       "stepup-linearisable", **REJECT)  # fmt: skip
class InFlightForAll(Service):
    def in_flight(self, call: Call) -> bool:
        at = self.store.meter(f"pending {call.login.programme}").at
        return self.clock.now() < at + ns(0.2) or super().in_flight(call)

    def record(self, call: Call, challenge: str) -> str:
        self.store.keep_meter(f"pending {call.login.programme}", Meter(self.clock.now(), 1))
        return super().record(call, challenge)


@fault("in-flight-for-ever", "nothing ends a challenge that nobody answers", "in-flight", **REJECT)
class InFlightForEver(Service):
    def in_flight(self, call: Call) -> bool:
        return self.store.pending_since(call.login.token) is not None


@fault("in-flight-too-short", "a challenge expires after a third of its time", "in-flight", **REJECT)
class InFlightTooShort(Service):
    def in_flight(self, call: Call) -> bool:
        since = self.store.pending_since(call.login.token)
        return since is not None and self.clock.now() < since + ns((self.settings.in_flight_for or 0) / 3)


@fault("claim-left-behind", "the lock of a ref outlives its request, so that a replay meets it", "idempotent-replay",
       concurrent_duplicate="conflict")  # fmt: skip
class ClaimLeftBehind(Service):
    def known(self, call: Call) -> str | None:
        owned = call.ref is not None and self.store.row(
            "SELECT 1 FROM refs WHERE person = ? AND channel = ? AND ref = ? AND at > ?",
            *self.key(call), self.clock.now() - ns(0.5),
        )  # fmt: skip
        if owned:
            raise Refused(409, "STATE_INVALID")
        return super().known(call)
