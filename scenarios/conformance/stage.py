"""The stage's one sender: every request, whoever thought of it, is paced, sent, read, recorded and held to its case."""

import hashlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from harness.answer import Answer as Read
from harness.answer import read_answer
from harness.case import INTENTS, allowed_for, allows, in_words, overload_declared, own_form
from harness.control import ControlClient
from harness.errors import ExitCode
from harness.history import Exchange, Recorder, outcome_of
from harness.pool import User
from harness.profile import Profile
from harness.redact import Redactor
from harness.run_folder import open_run
from harness.spec import load_spec
from scenarios.conformance import OURS
from scenarios.conformance.classify import intents_of, key_number, token_user
from scenarios.conformance.draft import Draft, draft_for
from scenarios.conformance.evidence import Evidence, answered
from scenarios.conformance.ledger import Ledger
from scenarios.conformance.pace import Pace
from scenarios.conformance.precedence import BEHIND_CREDENTIALS, judged_as
from scenarios.conformance.wire import IDLE, Answer, Wire

KEPT_BODY: Final = 2048  # bytes; what matters of a body stands at its beginning
CONNECT_TRIES: Final = 30  # 0.1 s apart: a target that is being started anew is waited for
DEAD_AFTER: Final = 3  # requests in a row that end in a timeout
GARBAGE_AFTER: Final = 20  # requests in a row that are answered by no HTTP, or by a closed connection
HOPELESS_AFTER: Final = 40  # cases that all failed before the first one passed
# Of the time for waiting, what is spent once these begin; the rest is for what comes after them.
SHARES: Final = {"refs": 0.25, "effects": 0.4, "credentials": 0.5, "gateways": 0.55, "matrix": 0.7, "http": 0.75,
                 "generated": 0.8}  # fmt: skip
RETRIES_LIMITED: Final = 3
LONGEST_RETRY_S: Final = 10.0
# A gateway may answer these before the service sees them, in a form of its own.
GATEWAY: Final = (
    "http-broken", "path-missed", "path-odd", "channel-empty", "channel-encoded", "channel-slash", "method-unknown",
    "http-legal",
)  # fmt: skip


class CaseFailed(AssertionError):  # noqa: N818  (what pytest prints reads better so)
    """A case was answered otherwise than it allows."""


class UsedBefore(pytest.skip.Exception):  # type: ignore[name-defined, misc]
    """A token was refused as a settled one is before it was ever served: the pool was used before; ask another one."""


@dataclass(frozen=True)
class Asked:
    """A request that is about to be sent; `fixed`: its scenario, and not what it says, decides what is allowed."""

    draft: Draft
    user: User | None
    key: int
    intent: str
    allowed: tuple[str, ...]
    fixed: bool


@dataclass(frozen=True)
class Reply:
    """One request and what came of it."""

    draft: Draft
    answer: Answer
    read: Read
    intent: str
    allowed: tuple[str, ...]
    user: User | None
    case: str
    used_before: bool = False

    @property
    def status(self) -> int:
        return self.answer.status

    @property
    def challenge(self) -> str:
        return self.read.challenge_id

    @property
    def limited(self) -> bool:
        """Whether a limit refused that the case did not ask for."""
        by_limit = self.status == 429 or self.read.error_code == "CHALLENGE_LIMIT_EXCEEDED"
        return by_limit and not allows(self.allowed, self.status, self.read.error_code)


@dataclass
class Counts:
    """What the stage has sent, for progress and conformance.json."""

    sent: int = 0
    statuses: dict[str, dict[str, int]] = field(default_factory=dict)  # intent -> status -> how often
    timeouts: int = 0
    garbage: int = 0
    checked: int = 0
    hopeful: bool = False


class Stage:
    """A target under test, with the record of everything that was sent to it, by up to `usable` users."""

    def __init__(self, profile: Profile, run: Path, worker: str, seed: int, usable: int) -> None:
        self.profile = profile
        self.run = run
        self.seed = seed
        # A target remembers refs for a day: no other run may have sent the same ones, with whatever seed.
        self.nonce = hashlib.sha256(str(open_run(run).facts.get("started")).encode()).hexdigest()[:8]
        self.usable = usable
        self.spec = load_spec()
        self.redactor = Redactor(profile.secrets())
        self.recorder = Recorder(run / "history", "conformance", worker, self.redactor)
        self.control = ControlClient(profile, self.recorder)
        self.wire = Wire(profile.target.base_url, profile.target.ca_file)
        self.evidence = Evidence(profile, self.wire.host, self.wire.prefix)
        self.ledger = Ledger(profile)
        self.pace = Pace(profile)
        self.counts = Counts()
        self.case = self.scenario = ""
        self.sent_in_case = 0
        self.share = 1.0
        self.expired: dict[int, str] = {}
        self.last: Reply | None = None

    def begin(self, scenario: str, case: str) -> None:
        """A test begins; its exchanges carry its name, in the form that `-k` takes."""
        self.scenario, self.case, self.sent_in_case = scenario, case, 0
        self.share = SHARES.get(scenario, 1.0)

    def ref(self, name: str) -> str:
        """A reference of 16 hexadecimal letters for this test and name, which no other run sends."""
        text = f"{self.nonce} {self.seed} {self.case} {name}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def send(
        self, draft: Draft, *, allowed: tuple[str, ...] | None = None, over: bool = False, operation: str = "push"
    ) -> Reply:
        """Send a request and record it. `allowed` replaces what follows from the request and its user.

        `over`: go over the rate limit, which is allowed to refuse then. Otherwise a rate limit that refuses although
        the stage kept under what is declared, or a target that may shed load, is given the time that it asks for.
        `operation` is what it is recorded as.
        """
        user = token_user(draft, self.profile)
        for _ in range(RETRIES_LIMITED):
            reply = self._once(draft, user, allowed, over, operation)
            if reply.answer.error == IDLE:
                continue  # recorded as lost, which it may be; no fault of the target's
            if not self._shed(reply) and (reply.status != 429 or not reply.limited):
                break
            time.sleep(_wait_s(reply.answer))
        return reply

    def _shed(self, reply: Reply) -> bool:
        return reply.status == 503 and overload_declared(self.profile)

    def together(self, drafts: list[Draft]) -> list[Reply]:
        """Send POST requests of different persons in one write; an answer to each, in order, as far as any came."""
        users = [token_user(draft, self.profile) for draft in drafts]
        asked = [self._ask(draft, user, None, False) for draft, user in zip(drafts, users, strict=True)]
        answers = self.wire.together([self._bytes(draft) for draft in drafts])
        return [self._answered(*one, "push") for one in zip(asked, answers, strict=True)]

    def _once(
        self, draft: Draft, user: User | None, allowed: tuple[str, ...] | None, over: bool, operation: str
    ) -> Reply:
        asked = self._ask(draft, user, allowed, over)
        return self._answered(asked, self._reach(draft), operation)

    def _ask(self, draft: Draft, user: User | None, allowed: tuple[str, ...] | None, over: bool) -> Asked:
        """What may be expected of a request, once the rate limit allows it."""
        person, key = user.person if user else -1, key_number(draft, self.profile)
        if not over and not self.pace.hold(person, key, self.share):
            pytest.skip("the declared rate limit leaves no time for this case")
        intent, outcomes = self._expected(draft, user)
        if over:
            outcomes = (*outcomes, "429")
        return Asked(draft, user, key, intent, allowed or outcomes, bool(allowed))

    def _answered(self, asked: Asked, answer: Answer, operation: str) -> Reply:
        """Record what came of it."""
        draft, user, intent, outcomes = asked.draft, asked.user, asked.intent, asked.allowed
        self.pace.note(user.person if user else -1, asked.key, answer.received)
        read = read_answer(answer.status, answer.header("content-type") or "", answer.body)
        read = read if draft.method != "HEAD" and answer.status else Read("", "", "")
        used_before = not asked.fixed and self._used_before(user, outcomes, answer.status, read.error_code)
        if used_before:
            intent, outcomes = self._expected(draft, user)
        reply = Reply(draft, answer, read, intent, outcomes, user, self.case, used_before)
        self._record(reply, asked.key, operation)
        self.last = reply
        return reply

    def _expected(self, draft: Draft, user: User | None) -> tuple[str, tuple[str, ...]]:
        """Intent and allowed outcomes of a request, from what it says and from what its user has done."""
        intents = intents_of(draft, self.profile)
        sure: set[str] = set()
        unsure: frozenset[str] = frozenset()
        if user is not None and intents <= BEHIND_CREDENTIALS | {"body-sent", "accept-odd", "query-sent", "http-legal"}:
            operation = (user.person, draft.channel, draft.ref or "")
            if draft.ref and operation in self.ledger.known:
                sure = {"replay"}
            else:
                sure, unsure = self.ledger.states(user, time.monotonic_ns())
            if self.ledger.may_know(user, draft.channel, draft.ref):
                sure, unsure = set(), unsure | sure
        return judged_as(intents | sure, self.profile, unsure)

    def _used_before(self, user: User | None, outcomes: tuple[str, ...], status: int, code: str) -> bool:
        """Whether a token that was never served in this run is refused as if settled; it counts as doubtful then."""
        if user is None or user.state != "active" or self.ledger.known_state(user):
            return False
        as_settled = (*allowed_for("after-accept", self.profile), *allowed_for("after-decline", self.profile))
        served = allows(outcomes, 200) and not allows(outcomes, status, code)
        if not served or not allows(as_settled, status, code):
            return False
        self.ledger.doubt(user)
        return True

    def _reach(self, draft: Draft) -> Answer:
        """Send it, waiting for a target that is away for a moment; end the stage where it is away for good."""
        data = self._bytes(draft)
        for _ in range(CONNECT_TRIES):
            answer = self.wire.exchange(data, method=draft.method, half_close=draft.half_closed)
            if answer.error != "connect":
                break
            time.sleep(0.1)
        self._alive(answer)
        return answer

    def _bytes(self, draft: Draft) -> bytes:
        return draft.data(self.wire.host, self.wire.prefix, self.profile.target.base_url.partition(":")[0])

    def _alive(self, answer: Answer) -> None:
        base = self.profile.target.base_url
        self.counts.timeouts = self.counts.timeouts + 1 if answer.error == "timeout" else 0
        spoke = answer.status or answer.error in ("timeout", "connect")
        self.counts.garbage = 0 if spoke else self.counts.garbage + 1
        if answer.error == "connect":
            self.end(f"the target at {base} can no longer be reached", ExitCode.UNREACHABLE)
        if self.counts.timeouts >= DEAD_AFTER:
            self.end(
                f"the target at {base} left {DEAD_AFTER} requests in a row without an answer", ExitCode.UNREACHABLE
            )
        if self.counts.garbage >= GARBAGE_AFTER:
            told = f"{GARBAGE_AFTER} requests in a row got no HTTP answer ({answer.error})"
            self.end(f"the target at {base} does not speak HTTP: {told}", ExitCode.UNREACHABLE)

    def end(self, message: str, code: ExitCode) -> None:
        """End the whole stage with a message that its reader can act on."""
        pytest.exit(message, returncode=OURS + int(code))

    def _record(self, reply: Reply, key: int, operation: str) -> None:
        draft, answer, read = reply.draft, reply.answer, reply.read
        told = self.counts.statuses.setdefault(reply.intent, {})
        told[str(answer.status)] = told.get(str(answer.status), 0) + 1
        self.counts.sent += 1
        self.sent_in_case += 1
        exchange = Exchange(
            scenario=self.scenario, case=reply.case, operation=operation, intent=reply.intent,
            allowed=",".join(reply.allowed), method=draft.method, user=reply.user.index if reply.user else -1, key=key,
            channel=draft.channel, ref=draft.ref, intended=answer.sent, sent=answer.sent, received=answer.received,
            status=answer.status, outcome=outcome_of(answer.status, was_sent=answer.error != "connect"),
            error_code=read.error_code, challenge_id=read.challenge_id, retry_after=answer.header("retry-after"),
            body_fault=read.fault, error=answer.error, connection=self.wire.connection,
            headers=json.dumps([list(line) for line in answer.headers]),
            body=answer.body[:KEPT_BODY].decode("utf-8", "replace"), told=0,
        )  # fmt: skip
        self.recorder.add(exchange)
        self.ledger.note(exchange, reply.user)

    def check(self, reply: Reply) -> Reply:
        """Fail where the answer is not among those that its case allows, or not in the form that its status has."""
        __tracebackhide__ = True
        if reply.limited:
            pytest.skip(f"a limit refused first ({reply.status} {reply.read.error_code}); its rules look at that")
        if self._shed(reply):
            pytest.skip("the target shed load, as the profile says it may")
        if reply.used_before:
            raise UsedBefore("each fitting token is refused as a settled one is: the pool was used before")
        self._lost(reply)
        problem = self.problem(reply)
        if problem:
            self._give_up(reply)
            raise CaseFailed(self.failure(reply, problem))
        self.counts.hopeful = True
        return reply

    def _give_up(self, reply: Reply) -> None:
        """End the stage where nothing at all is answered as it should: thousands of failures would say no more."""
        self.counts.checked += 1
        if not self.counts.hopeful and self.counts.checked >= HOPELESS_AFTER:
            told = f"the last one was answered {answered(reply.answer)[:200]}"
            self.end(
                f"each of the first {HOPELESS_AFTER} cases failed, so the rest was not tried; {told}", ExitCode.FAILED
            )

    def problem(self, reply: Reply) -> str:
        """What is wrong about an answer to its case; empty where nothing is."""
        status, code = reply.status, reply.read.error_code
        if not status and "4xx" in reply.allowed and reply.answer.error in ("closed", "timeout"):
            return ""  # to close the connection is an answer too, and so is to wait for the rest of a head or a body
        if not status:
            return "no answer came"
        if not allows(reply.allowed, status, code):
            return "another answer than the case allows"
        any_form = reply.intent in GATEWAY or own_form(reply.intent, reply.allowed, status)
        return "" if not reply.read.fault or (any_form and status >= 300) else reply.read.fault

    def _lost(self, reply: Reply) -> None:
        """Skip where good credentials got 401 and a plain request of the same user gets it too: the token expired."""
        user = reply.user
        if reply.status != 401 or allows(reply.allowed, 401) or user is None or user.state != "active":
            return
        if self._plain(user).status != 401:
            return
        self.expired.setdefault(user.index, reply.case)
        if len(self.expired) >= self.usable:
            told = f"the tokens of all {self.usable} users are no longer accepted"
            self.end(f"{told}: have they expired?", ExitCode.UNREACHABLE)
        pytest.skip(f"the token of user {user.index} is no longer accepted: has it expired?")

    def _plain(self, user: User) -> Reply:
        return self.send(draft_for(user, (user.usable or self.spec.channels)[0]))

    def recheck(self) -> None:
        """Ask once more with each token that seemed to have expired: one that is served again had not."""
        self.begin("recheck", "recheck")
        for user in [one for one in self.profile.pool.users if one.index in self.expired]:
            self._plain(user)

    def failure(self, reply: Reply, problem: str) -> str:
        """The message of a failed case."""
        says = INTENTS[reply.intent].says if reply.intent in INTENTS else reply.intent
        return "\n".join(
            (
                f"{problem}: {says}",
                f"  allowed: {in_words(reply.allowed)}",
                f"  came:    {answered(reply.answer)}",
                f"  curl:    {self.evidence.curl(reply.draft)}",
                f"  again:   stepup conformance -- -k '{reply.case}'",
            )
        )

    def close(self) -> None:
        self.wire.close()
        self.control.close()
        self.recorder.close(sent=self.counts.sent + self.control.calls)

    def facts(self) -> dict[str, Any]:
        """What of the contract was reached: how often each kind of request was answered by each status."""
        return {"sent": self.counts.sent, "statuses": self.counts.statuses, "expired": list(self.expired)}


def _wait_s(answer: Answer) -> float:
    told = answer.header("retry-after") or ""
    asked = float(told) if told.isascii() and told.isdigit() and len(told) < 6 else 0.5
    return min(max(asked, 0.05), LONGEST_RETRY_S)
