"""Slow and obvious checkers of the rules on refs and ids, to hold the fast ones to: plain loops over all exchanges."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from harness.history import History
from harness.profile import Profile

DAY, SECOND = 86_400 * 10**9, 10**9
FOREVER = float("inf")


@dataclass
class Push:
    """One exchange of the operation."""

    row: int
    sent: int
    received: int
    token: int
    person: int
    channel: str
    ref: str | None
    status: int
    code: str
    id: str
    outcome: str
    entitled: bool

    @property
    def success(self) -> bool:
        return self.outcome == "ok" and self.id != ""

    @property
    def call(self) -> Any:
        return (self.person, self.channel, self.ref) if self.ref is not None else self.row


class Slow:
    """All exchanges of a history whose calls are clear."""

    def __init__(self, history: History, profile: Profile) -> None:
        self.profile = profile
        frame = history.frame.to_dict("records")
        bound = profile.target.late_effect_ns
        self.resets: list[tuple[float, float]] = []
        self.pushes: list[Push] = []
        self.settles: list[tuple[int, int]] = []
        for row, told in enumerate(frame):
            if told["operation"] == "reset" and told["outcome"] != "refused":
                late = FOREVER if bound is None else told["received"] + bound
                self.resets.append((told["sent"], late if told["outcome"] == "unknown" else told["received"]))
            if told["operation"] == "accept":
                self.settles.append((told["user"], told["sent"]))
            if told["operation"] == "push":
                self.pushes.append(self._push(row, told))

    def _push(self, row: int, told: dict[Any, Any]) -> Push:
        user = self.profile.pool.users[told["user"]]
        entitled = user.state == "active" and user.key == told["key"] and told["channel"] in user.usable
        return Push(
            row, told["sent"], told["received"], told["user"], user.person, told["channel"],
            told["ref"] if isinstance(told["ref"], str) else None, told["status"], told["error_code"],
            told["challenge_id"], told["outcome"], entitled,
        )  # fmt: skip

    def era(self, push: Push) -> int | None:
        """How many resets were over before; None where one may have come in between."""
        if any(start <= push.received and push.sent <= end for start, end in self.resets):
            return None
        return sum(1 for _, end in self.resets if end < push.sent)

    def lives(self) -> list[list[Push]]:
        """The exchanges of each call with a ref in each era."""
        found: dict[Any, list[Push]] = {}
        for push in self.pushes:
            if push.ref is not None and self.era(push) is not None:
                found.setdefault((push.call, self.era(push)), []).append(push)
        return list(found.values())

    def repeats(self) -> tuple[Counter[str], Counter[str]]:
        """For each rule on repeated answers its occasions, and how many answers differ from the first."""
        seen: Counter[str] = Counter()
        broken: Counter[str] = Counter()
        for life in self.lives():
            lost = [push for push in life if not push.success and (push.outcome != "refused")]
            successes = [push for push in life if push.success]
            born = min((push.sent for push in [*lost, *successes]), default=0)
            successes = [push for push in successes if push.received - born < DAY]
            successes.sort(key=lambda push: (push.received, push.row))
            known = {(push.id, push.status) for push in successes[:1]}
            for push in successes[1:]:
                for rule in self._rules_of(push, successes[0], lost):
                    seen[rule] += 1
                    broken[rule] += (push.id, push.status) not in known
                known.add((push.id, push.status))
        return seen, broken

    def _rules_of(self, push: Push, first: Push, lost: list[Push]) -> tuple[str, ...]:
        if push.sent <= first.received:
            return ("idempotent-concurrent",)
        if any(other.sent <= push.received for other in lost):
            return ("idempotent-after-unknown",)
        old = push.sent - first.received >= SECOND
        return ("idempotent-replay", "ref-retention") if old else ("idempotent-replay",)

    def shared(self) -> Counter[str]:
        """For each rule on ids how many operations were given an id that another operation had first."""
        broken: Counter[str] = Counter()
        owners: dict[Any, Push] = {}
        told = set()
        for push in sorted(self.pushes, key=lambda push: (push.received, push.row)):
            if push.success and self.era(push) is not None:
                owner = owners.setdefault((push.id, self.era(push)), push)
                if owner.call != push.call and (owner.row, push.call) not in told:
                    told.add((owner.row, push.call))
                    broken[self._blamed(owner, push)] += 1
        return broken

    def _blamed(self, one: Push, other: Push) -> str:
        same = one.ref is not None and one.ref == other.ref
        if same and one.call != other.call:
            return "idempotent-scope"
        if one.person != other.person:
            return "challenge-id-unique"
        if one.ref is None or other.ref is None:
            return "no-ref-no-replay"
        return "ref-exact" if one.channel == other.channel else "challenge-id-unique"

    def refusals(self) -> Counter[str]:
        """For each rule how many valid calls were refused though nothing but their ref explains it."""
        broken: Counter[str] = Counter()
        for push in self.pushes:
            stands = self._served_later(push) or self._never_settled(push)
            if self._suspicious(push) and stands and not self._worked_on(push):
                rule = self._reason(push)
                broken[rule] += bool(rule)
        return broken

    def _suspicious(self, push: Push) -> bool:
        return (
            push.outcome == "refused"
            and push.entitled
            and push.ref is not None
            and self.era(push) is not None
            and push.status in (400, 401, 403, 409, 422)
            and push.code != "CHALLENGE_LIMIT_EXCEEDED"
        )

    def _served_later(self, refused: Push) -> bool:
        for push in self.pushes:
            same = (
                push.token == refused.token and push.channel == refused.channel and self.era(push) == self.era(refused)
            )
            begun = min(
                (one.sent for one in self.pushes if one.call == push.call and one.outcome != "refused"), default=0
            )
            if same and push.success and push.entitled and begun > refused.received:
                return True
        return False

    def _never_settled(self, refused: Push) -> bool:
        """Whether the token had a challenge and was not settled since, where it was refused as if it had been."""
        settled = any(token == refused.token and sent <= refused.received for token, sent in self.settles)
        served = any(
            (push.token, push.channel, self.era(push)) == (refused.token, refused.channel, self.era(refused))
            and push.success
            and push.entitled
            and push.received < refused.sent
            for push in self.pushes
        )
        return refused.status in (400, 409) and served and not settled

    def _worked_on(self, refused: Push) -> bool:
        if self.profile.policy.concurrent_duplicate != "conflict" or refused.status != 409:
            return False
        bound = self.profile.target.late_effect_ns
        for push in self.pushes:
            late = FOREVER if bound is None else push.received + bound
            over = late if push.outcome == "unknown" else push.received
            alike = push.call == refused.call and self.era(push) == self.era(refused) and push is not refused
            if alike and push.sent <= refused.received and refused.sent <= over:
                return True
        return False

    def _reason(self, refused: Push) -> str:
        era = self.era(refused)
        alike = [push for push in self.pushes if push.call == refused.call and self.era(push) == era]
        for push in self.pushes:
            same = push.ref == refused.ref and push.channel == refused.channel and push.received < refused.sent
            if same and (push.status in (401, 403, 429) or push.status >= 500):
                return "ref-not-spent-by-refusal"
        if any(push.success and push.received < refused.sent for push in alike):
            return "idempotent-replay"
        if any(push.success and push.sent <= refused.received for push in alike):
            return "idempotent-concurrent"
        if any(push.outcome == "unknown" and push.status == 0 and push.received < refused.sent for push in alike):
            return "idempotent-after-unknown"
        others = [
            push for push in self.pushes if push.success and push.ref == refused.ref and self.era(push) is not None
        ]
        first = min(others, key=lambda push: (push.sent, push.row), default=None)
        if first is not None and first.sent <= refused.received and first.call != refused.call:
            return "idempotent-scope"
        for push in self.pushes:
            known = push.success and push.ref is not None and self.era(push) is not None
            same = (push.person, push.channel) == (refused.person, refused.channel) and push.sent <= refused.received
            if known and same and _bare(push.ref) == _bare(refused.ref):
                return "ref-exact"
        return ""


def _bare(ref: str | None) -> str:
    return "".join(letter for letter in (ref or "").casefold() if letter.isalnum())[:32]
