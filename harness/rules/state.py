"""Rules about a token's state: what it may ask for while a challenge is pending, and after one was settled."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, cast

import numpy as np

from harness.case import INTENTS, allows
from harness.history import History
from harness.profile import Profile
from harness.rules.reading.operations import Flags, Ints
from harness.rules.reading.timeline import Timeline
from harness.rules.registry import Finding, Violation, rule
from harness.rules.tokens.lives import SETTLING, STATE, Lives, Settles, lives_of
from harness.rules.tokens.refusals import Refusals, may_be_over_from, refusals_of, settles_of_others

SHOWN: Final = 100  # violations that are spelt out; the rest are counted


@rule(
    "in-flight",
    family="state",
    severity="must",
    scope="history",
    statement="While a challenge of a token is pending, another one is given or refused as the deployment declares.",
    source="openapi.yaml: only to be started when no step-up of the token is in flight; profile: policy.in_flight",
    advice="Look at how a pending challenge is looked up: by token, over all channels, and in the transaction that "
    "writes the new one.",
    least=3,
)
def in_flight(history: History, profile: Profile) -> Finding:
    """Occasions: requests of a token that came while a challenge of it was, or may have been, pending."""
    lives = lives_of(history, profile)
    refusals = refusals_of(history, profile)
    found = _misanswered(history, ("pending",))
    if not history.gaps:  # a settle that was not recorded would explain a refusal
        found.add(_unexplained(lives, refusals))
    occasions = int(refusals.pending.sum()) + _served_while_pending(lives) + found.total
    races = 1  # where others may be given meanwhile, none needs to be seen
    if "pending" in lives.promises.must_refuse:
        pairs = _pairs(lives)
        found.add(pairs)
        occasions += pairs.total
        races = int(refusals.at_once.sum())
    lacks = "Wants a stage that asks for another challenge while one is pending."
    note = "requests while a challenge of the token was pending"
    return replace(found.finding(occasions, note, lacks), facts={"races": races}, conclude=_raced)


def _raced(finding: Finding) -> Finding:
    if finding.facts["races"] or not finding.examined:
        return finding
    told = "no two requests for a challenge of one token were under way at once, so no race was seen"
    return replace(finding, shortfall=told)


@rule(
    "settled-token",
    family="state",
    severity="must",
    scope="history",
    statement="A token whose challenge was accepted or declined gets no other; no other token is refused for it.",
    source="openapi.yaml: 409 STATE_INVALID; the platform's public acceptance tests",
    advice="Look at whether the token's state is read in the transaction that issues the challenge, and whether it is "
    "kept for the token rather than for its user.",
    least=3,
)
def settled_token(history: History, profile: Profile) -> Finding:
    """Occasions: requests of a token after its challenge was settled, and of the same person's other tokens."""
    lives = lives_of(history, profile)
    refusals = refusals_of(history, profile)
    found = _misanswered(history, ("after-accept", "after-decline"))
    found.add(_served_after_settling(lives))
    if not history.gaps:
        found.add(_refused_for_another(lives, refusals))
    occasions = found.total + _refused_after_settling(lives) + _others_served(lives)
    lacks = "Wants a stage that settles challenges and asks again."
    if profile.control.accept is None and profile.control.decline is None:
        lacks = "The profile names no call that settles a challenge: control.accept, control.decline."
    return found.finding(occasions, "requests after a challenge was settled", lacks)


@dataclass
class Found:
    """Violations, of which the first ones are spelt out, and how many there are."""

    shown: list[Violation]
    total: int

    def add(self, other: "Found") -> None:
        self.shown += other.shown
        self.total += other.total

    def finding(self, occasions: int, note: str, lacks: str) -> Finding:
        ordered = sorted(self.shown, key=lambda violation: violation.order)
        return Finding(occasions, tuple(ordered[:SHOWN]), self.total, "", note, lacks)


def _found(columns: tuple[Ints, ...], say: Callable[[int], str]) -> Found:
    """Violations with a row of each of the columns; `say` is given the place in them."""
    first = np.argsort(np.max(columns, axis=0), kind="stable")[:SHOWN].tolist()
    shown = [Violation(tuple(sorted({int(column[n]) for column in columns})), say(n)) for n in first]
    return Found(shown, len(columns[0]))


def _misanswered(history: History, intents: tuple[str, ...]) -> Found:
    """Definite answers that no state of the token explains, such as 404 for a token that was settled."""
    frame = history.frame
    asked = frame["intent"].isin(intents) & (frame["operation"] == "push") & (frame["outcome"] == "refused")
    asked &= ~history.guest(frame.index.to_numpy())
    rows = frame[asked & (frame["status"] >= 300) & (frame["status"] != 429)]
    by_answer = rows.groupby(["allowed", "status", "error_code"], observed=True, sort=False)
    wrong = [rows_of.index for answer, rows_of in by_answer if _is_wrong(*cast(tuple[str, int, str], answer))]
    places = np.sort(np.concatenate(wrong)).astype(np.int64) if wrong else np.zeros(0, np.int64)
    return _found((places,), lambda n: _told(history, int(places[n])))


def _is_wrong(allowed: str, status: int, code: str) -> bool:
    outcomes = tuple(allowed.split(","))
    if code in ("STATE_INVALID", "CHALLENGE_LIMIT_EXCEEDED") or allows(outcomes, status, code):
        return False
    # Where a refusal for the state is not expected at all, a 400 is judged with the times of what may explain it.
    return status != 400 or allows(outcomes, 409, "STATE_INVALID")


def _told(history: History, row: int) -> str:
    seen = history.frame.loc[row]
    code = f" {seen['error_code']}" if seen["error_code"] else ""
    what = INTENTS[str(seen["intent"])].says
    return f"user {seen['user']}: {what}, and the answer is {seen['status']}{code}; allowed: {seen['allowed']}"


def _unexplained(lives: Lives, refusals: Refusals) -> Found:
    """Refusals for a state that the token cannot have been in, through no fault of the person's other tokens."""
    pushes = lives.pushes.where(lives.kind == STATE)
    chosen = refusals.wrong & (refusals.cause < 0) & (pushes.state_invalid | pushes.has_intent("pending"))
    proof, row = lives.operations.row[refusals.proof[chosen]], pushes.row[chosen]
    token, status = pushes.token[chosen], pushes.status[chosen]
    allowed = "pending" not in lives.promises.may_refuse
    why = "a pending challenge is no obstacle here" if allowed else "no challenge of it can have been pending"

    def say(n: int) -> str:
        return f"user {token[n]} was refused a challenge with {status[n]}, but {why}, and none had been settled"

    return _found((proof, row), say)


def _refused_for_another(lives: Lives, refusals: Refusals) -> Found:
    chosen = refusals.wrong & (refusals.cause >= 0)
    pushes = lives.pushes.where(lives.kind == STATE).where(chosen)
    cause = refusals.causes.where(refusals.cause[chosen])
    proof = lives.operations.row[refusals.proof[chosen]]
    own = lives.settles.where(np.flatnonzero(np.isin(lives.settles.row, cause.row)))

    def say(n: int) -> str:
        whose = own.token[own.row == cause.row[n]]
        if pushes.token[n] in whose:
            return f"user {pushes.token[n]} was refused after its {SETTLING[cause.reason[n]]}, but is to be served then"
        settled = f"{SETTLING[cause.reason[n]]} of a challenge of user {whose[0]}, another token of the same person"
        return f"user {pushes.token[n]} was refused a challenge after the {settled}; none of its own was settled"

    return _found((proof, cause.row, pushes.row), say)


def _pairs(lives: Lives) -> Found:
    """Two challenges of one token of which neither can have come after the other was over."""
    ops, fresh = lives.operations, lives.operations.fresh
    one, two = _neighbours(ops.token[fresh], ops.start[fresh], ops.end[fresh])
    one, two = fresh[one], fresh[two]
    over = may_be_over_from(lives)

    def may_follow(a: Ints, b: Ints) -> Flags:
        over_by_then = (over[a] <= ops.end[b]) | lives.may_reset(ops.start[a], ops.end[b])
        if lives.promises.lasts is not None:
            over_by_then |= ops.end[b] - ops.start[a] >= lives.promises.surely(lives.promises.lasts)
        return over_by_then & (ops.start[a] <= ops.end[b])

    wrong = ~may_follow(one, two) & ~may_follow(two, one)
    one, two = one[wrong], two[wrong]
    return _found(
        (ops.row[one], ops.row[two]),
        lambda n: f"user {ops.token[one[n]]} was given a second challenge while the first one was pending",
    )


def _neighbours(token: Ints, start: Ints, end: Ints) -> tuple[Ints, Ints]:
    """Pairs of the same token that stand next to each other by start or by end."""
    pairs = []
    for when in (start, end):
        order = np.lexsort((when, token))
        same = np.flatnonzero(token[order[1:]] == token[order[:-1]])
        pairs.append(np.sort(np.stack([order[same], order[same + 1]]), axis=0))
    both = np.unique(np.concatenate(pairs, axis=1), axis=1)
    return both[0], both[1]


def _served_while_pending(lives: Lives) -> int:
    """Challenges given, as they may be, while an earlier one of the token was surely pending."""
    if "pending" in lives.promises.must_refuse:
        return 0
    ops, fresh = lives.operations, lives.operations.fresh
    token, start, end = ops.token[fresh], ops.start[fresh], ops.end[fresh]
    before = ops.given.last(token, start)
    held = (before >= 0) & (Timeline(lives.settles.token, lives.settles.start).last_until(token, end) < 0)
    if lives.promises.lasts is not None:
        held &= end - start[before] < lives.promises.surely(lives.promises.lasts)
    return int(held.sum())


def _sure(lives: Lives) -> Settles:
    """The settles after which a token has to be refused."""
    return lives.settles.where(np.flatnonzero(lives.settles.sure & lives.settles.because(lives.promises.must_refuse)))


def _served_after_settling(lives: Lives) -> Found:
    ops, fresh, sure = lives.operations, lives.operations.fresh, _sure(lives)
    after = Timeline(sure.token, sure.end).last(ops.token[fresh], ops.start[fresh])
    fresh, after = fresh[after >= 0], after[after >= 0]
    wrong = ~lives.may_reset(sure.start[after], ops.end[fresh])
    fresh, sure = fresh[wrong], sure.where(after[wrong])

    def say(n: int) -> str:
        settled = f"the {SETTLING[sure.reason[n]]} of an earlier one"
        return f"user {ops.token[fresh[n]]} was given another challenge after {settled}"

    return _found((ops.row[sure.op], sure.row, ops.row[fresh]), say)


def _refused_after_settling(lives: Lives) -> int:
    pushes, sure = lives.pushes.where(lives.kind == STATE), _sure(lives)
    return int((Timeline(sure.token, sure.end).last(pushes.token, pushes.sent) >= 0).sum())


def _others_served(lives: Lives) -> int:
    """Challenges given to a token after one of the same person's other tokens was settled."""
    ops, fresh, others = lives.operations, lives.operations.fresh, settles_of_others(lives)
    others = others.where(np.flatnonzero(others.sure))
    return int((Timeline(others.token, others.end).last(ops.token[fresh], ops.start[fresh]) >= 0).sum())
