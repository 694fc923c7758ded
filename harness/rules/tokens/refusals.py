"""Refusals for the state of a token, and what could explain each: a settle, or a challenge that is pending."""

from dataclasses import dataclass

import numpy as np

from harness.history import History
from harness.profile import Profile
from harness.rules.reading.operations import FOREVER, NONE, Flags, Ints, once_a_history
from harness.rules.reading.timeline import Timeline
from harness.rules.tokens.lives import STATE, UNKNOWN, Lives, Settles, lives_of


@dataclass(frozen=True)
class Refusals:
    """The refusals for the state of a token, in the order in which `lives.pushes` has them.

    `wrong`: no state that the token can have been in explains it. `proof`: the operation that shows that the token was
    not settled before the run (-1: none, and then nothing is wrong). `cause`: the line of `causes` to which the target
    may have given way, though it must not (-1: none). `pending`: it was refused for a challenge that may have been
    pending, as it may be. `at_once`: a challenge of the token was issued by a request that overlapped.
    """

    wrong: Flags
    proof: Ints
    cause: Ints
    causes: Settles
    pending: Flags
    at_once: Flags


@once_a_history
def refusals_of(history: History, profile: Profile) -> Refusals:
    """The refusals in a history, each with what could explain it."""
    lives = lives_of(history, profile)
    places = np.flatnonzero(lives.kind == STATE).astype(np.int64)
    token, sent, received = (
        column[places] for column in (lives.pushes.token, lives.pushes.sent, lives.pushes.received)
    )
    settled = _may_be_settled(lives, token, received)
    pending = _may_be_pending(lives, token, sent, received)
    proof = _proof(lives, token, sent, received)
    causes = _causes(lives)
    ops = lives.operations
    at_once = ops.begun.most_until(ops.end[ops.fresh], token, received) >= sent
    return Refusals(
        wrong=~settled & ~pending & (proof >= 0),
        proof=proof,
        cause=_cause(lives, causes, token, sent, received),
        causes=causes,
        pending=pending & ~settled,
        at_once=at_once,
    )


def settles_of_others(lives: Lives) -> Settles:
    """The settles, a line for each other token of the person whose challenge was settled."""
    known, first = np.unique(lives.pushes.token, return_index=True)
    person = dict(zip(known.tolist(), lives.pushes.person[first].tolist(), strict=True))
    tokens: dict[int, set[int]] = {}
    for token, whose in person.items():
        tokens.setdefault(whose, set()).add(token)
    settles = lives.settles
    lines, others = [], []
    for line, token in enumerate(settles.token.tolist()):
        for other in sorted(tokens.get(person.get(token, NONE), set()) - {token}):
            lines.append(line)
            others.append(other)
    found = settles.where(np.array(lines, np.int64))
    return Settles(found.row, np.array(others, np.int64), found.reason, found.start, found.end, found.sure, found.op)


def may_be_over_from(lives: Lives) -> Ints:
    """For each operation the first moment at which its challenge may have been settled, FOREVER without one."""
    ops, settles = lives.operations, lives.settles
    over = np.full(len(ops.start), min(FOREVER, lives.stray), np.int64)
    seen = settles.op >= 0
    np.minimum.at(over, settles.op[seen], settles.start[seen])
    unseen = Timeline(settles.token[~seen], settles.start[~seen])
    earliest = unseen.first(ops.token, np.full(len(over), NONE, np.int64))
    np.minimum(over, np.append(settles.start[~seen], FOREVER)[earliest], out=over)
    return over


def _may_be_settled(lives: Lives, token: Ints, received: Ints) -> Flags:
    """Whether the token may have been settled by then, in a way for which it may be refused."""
    settles = lives.settles.where(np.flatnonzero(lives.settles.because(lives.promises.may_refuse)))
    return (Timeline(settles.token, settles.start).last_until(token, received) >= 0) | (received >= lives.stray)


def _may_be_pending(lives: Lives, token: Ints, sent: Ints, received: Ints) -> Flags:
    """Whether a challenge for which the token may be refused may be pending, one from before the run included."""
    if "pending" not in lives.promises.may_refuse:
        return np.zeros(len(token), dtype=bool)
    ops, asked = lives.operations, np.zeros(int(lives.pushes.token.max(initial=NONE)) + 1, np.bool_)
    asked[token] = True
    acting = (lives.kind <= UNKNOWN) & asked[lives.pushes.token]
    pushes, until = lives.pushes.where(acting), lives.until[acting]
    # A replay issues nothing, unless the target may have forgotten the challenge in the meantime.
    replayed = ops.sure & ~ops.several
    known = replayed[pushes.op] & ~lives.may_reset(ops.start[pushes.op], until)
    until = np.where(known, np.minimum(until, ops.end[pushes.op]), until)
    lasts = lives.promises.lasts
    ends = (
        np.full(len(until), FOREVER) if lasts is None else np.minimum(until + lives.promises.possibly(lasts), FOREVER)
    )
    ends = np.minimum(ends, _over(lives)[pushes.op])
    own: Flags = Timeline(pushes.token, pushes.sent).most_until(ends, token, received) >= sent
    return own | _pending_before_run(lives, token, sent)


def _over(lives: Lives) -> Ints:
    """For each operation the moment after which its challenge is surely settled, FOREVER without one."""
    settles = lives.settles.where(np.flatnonzero(lives.settles.sure))
    over = np.full(len(lives.operations.start), FOREVER, np.int64)
    np.minimum.at(over, settles.op, settles.end)
    return over


def _pending_before_run(lives: Lives, token: Ints, sent: Ints) -> Flags:
    """Whether a challenge from before the run may be pending: its end, or a challenge given since, shows that not."""
    lasts = lives.promises.lasts
    may = np.ones(len(token), dtype=bool) if lasts is None else sent <= lives.promises.possibly(lasts)
    if "pending" in lives.promises.must_refuse:
        may &= lives.operations.given.last(token, sent) < 0
    return may


def _proof(lives: Lives, token: Ints, sent: Ints, received: Ints) -> Ints:
    """An operation that shows that the token was not settled before the run, where settled tokens get no challenge."""
    if lives.promises.open_ended:
        return np.full(len(token), NONE, np.int64)
    ops, fresh = lives.operations, lives.operations.fresh
    before, after = ops.given.last(token, sent), ops.begun.first(token, received)
    forgotten = lives.may_reset(sent, np.append(ops.end[fresh], 0)[after])
    after = np.where(forgotten, NONE, after)
    return np.append(fresh, NONE)[np.where(before >= 0, before, after)]


def _causes(lives: Lives) -> Settles:
    """Settles for which no token may be refused: of the same person's others, and of a kind that changes nothing."""
    others = settles_of_others(lives)
    own = lives.settles.where(np.flatnonzero(~lives.settles.because(lives.promises.may_refuse)))
    names = Settles.__dataclass_fields__
    return Settles(*(np.concatenate([getattr(others, name), getattr(own, name)]) for name in names))


def _cause(lives: Lives, causes: Settles, token: Ints, sent: Ints, received: Ints) -> Ints:
    """The last of the causes that may come before each refusal, unless the token was served since."""
    ops, fresh = lives.operations, lives.operations.fresh
    last = Timeline(causes.token, causes.start).last_until(token, received)
    served = ops.given.last(token, sent)
    since = np.append(ops.start[fresh], NONE)[served] > np.append(causes.end, FOREVER)[last]
    return np.where(since, NONE, last)
