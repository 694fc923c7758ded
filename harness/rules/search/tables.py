"""Brings the lives of tokens into the form that the search takes: calls by person, between two resets each."""

from dataclasses import dataclass, fields, replace

import numpy as np

from harness.profile import Profile
from harness.rules.reading.operations import FOREVER, NONE, Flags, Ints
from harness.rules.search.calls import (
    LIMITED,
    MAY_REFUSE,
    MAYBE,
    MAYBE_SETTLED,
    MUST_REFUSE,
    REFUSED,
    SERVED,
    SETTLED,
    Terms,
)
from harness.rules.tokens.lives import LIMIT, STATE, UNKNOWN, Lives


@dataclass(frozen=True)
class Eras:
    """The stretches of a run in which no reset can have come: era n lies between `after[n]` and `before[n]`, exclusive.

    `clean`: a reset surely came before it, so nothing counts from before.
    """

    after: Ints
    before: Ints
    clean: Flags

    def of(self, start: Ints) -> Ints:
        """The era of each moment; one within a reset has that before it."""
        return np.searchsorted(self.after[1:], start, side="left").astype(np.int64)


@dataclass(frozen=True)
class Table:
    """Calls in columns, one line each, named as in `Call`. `group` numbers persons by era.

    `bites`, by group, says whether an answer to this person could be wrong at all.
    """

    row: Ints
    kind: Ints
    token: Ints
    op: Ints
    start: Ints
    end: Ints
    effect: Ints
    person: Ints
    era: Ints
    group: Ints
    bites: Flags
    eras: Eras

    def where(self, chosen: Flags) -> "Table":
        """The chosen lines."""
        columns = {one.name: getattr(self, one.name) for one in fields(self)}
        whole = ("bites", "eras")
        return Table(**{k: v if k in whole else v[chosen] for k, v in columns.items()})


def table_of(lives: Lives, profile: Profile) -> Table:
    """The calls of all persons."""
    eras = _eras(lives)
    lines = np.concatenate([_pushes(lives), _settles(lives)], axis=1)
    lines = _within_eras(lines, eras)
    row, kind, token, op, start, end, effect, person, era = lines
    _, group = np.unique(person * len(eras.after) + era, return_inverse=True)
    group = group.astype(np.int64)
    bites = _bites(kind, effect, group, terms_of(lives, eras, 0, profile))
    return Table(row, kind, token, op, start, end, effect, person, era, group, bites, eras)


def terms_of(lives: Lives, eras: Eras, era: int, profile: Profile) -> Terms:
    """The terms on which tokens get challenges in an era."""
    promises, limit = lives.promises, profile.challenges
    lasts = promises.lasts
    terms = Terms(
        one_pending="pending" in promises.must_refuse,
        refuses_pending="pending" in promises.must_refuse & promises.may_refuse,
        pending_surely=FOREVER if lasts is None else promises.surely(lasts),
        pending_possibly=FOREVER if lasts is None else promises.possibly(lasts),
        begin=int(max(eras.after[era], 0)),
        settled_before=promises.open_ended,
    )
    if limit is None or limit.scope != "user":
        return terms
    window = promises.possibly(limit.window_ns)
    warm = -1 if eras.clean[era] else int(eras.after[era]) + 1 + window
    return replace(
        terms,
        most=limit.count * profile.target.hosts,
        fewest=limit.count,
        window_surely=promises.surely(limit.window_ns),
        window_possibly=window,
        cold=warm if profile.target.exclusive else FOREVER,
    )


def _eras(lives: Lives) -> Eras:
    after, before = [-1], []
    for start, end in sorted(zip(lives.resets.start.tolist(), lives.resets.end.tolist(), strict=True)):
        if start <= after[-1]:
            after[-1] = max(after[-1], end)
        else:
            before.append(start)
            after.append(end)
    before.append(FOREVER)
    bounds = np.array([after, before], np.int64)
    ends = np.searchsorted(bounds[0], lives.forgot, side="left")
    return Eras(bounds[0], bounds[1], np.isin(np.arange(len(after)), ends))


def _pushes(lives: Lives) -> Ints:
    """The pushes as lines. What has more than one id is left to other rules: it may stand for several challenges."""
    pushes, promises = lives.pushes, lives.promises
    served = np.array([SERVED, MAYBE, LIMITED, REFUSED], np.int64)[lives.kind]
    several = lives.operations.several[pushes.op]
    served[several & (lives.kind <= UNKNOWN)] = MAYBE
    op = np.where(several, len(lives.operations.start) + pushes.row, pushes.op)
    end = np.where(lives.kind <= UNKNOWN, lives.until, pushes.received)
    nothing = np.zeros(len(pushes), np.int64)
    lines = np.stack([pushes.row, served, pushes.token, op, pushes.sent, end, nothing, pushes.person])
    gone = several & (lives.kind >= LIMIT)
    gone |= (lives.kind == STATE) & (pushes.received >= lives.stray)
    if "pending" in promises.may_refuse - promises.must_refuse:
        gone |= lives.kind == STATE
    return lines[:, ~gone]


def _settles(lives: Lives) -> Ints:
    """The settles as lines. Which challenge of an operation with several ids was settled is left open."""
    settles, promises = lives.settles, lives.promises
    several = np.append(lives.operations.several, False)[settles.op]
    kind = np.where(settles.sure & ~several, SETTLED, MAYBE_SETTLED)
    op = np.where(several, NONE, settles.op)
    may = np.where(settles.because(promises.may_refuse), MAY_REFUSE, 0)
    must = np.where(settles.because(promises.must_refuse), MUST_REFUSE, 0)
    known, first = np.unique(lives.pushes.token, return_index=True)
    persons = dict(zip(known.tolist(), lives.pushes.person[first].tolist(), strict=True))
    person = np.array([persons.get(token, -1) for token in settles.token.tolist()], np.int64)
    lines = np.stack([settles.row, kind, settles.token, op, settles.start, settles.end, may + must, person])
    return lines[:, person >= 0]


def _within_eras(lines: Ints, eras: Eras) -> Ints:
    """Each line in its era; where it may reach over a reset, its effect is optional, and may come in later eras too.

    An operation that may have been issued in an earlier era is optional as well: the target may have forgotten it.
    """
    era = eras.of(lines[4])
    lines = np.concatenate([lines, era[None]])
    over = lines[5] >= eras.before[era]
    if not over.any() and (era == era[:1]).all():  # as where nothing was reset since the first call
        return lines
    optional = {SERVED: MAYBE, SETTLED: MAYBE_SETTLED}
    for sure, maybe in optional.items():
        lines[1][over & (lines[1] == sure)] = maybe
    carried = [lines[:, ~(over & np.isin(lines[1], (LIMITED, REFUSED)))]]
    late = lines[:, over & np.isin(lines[1], (MAYBE, MAYBE_SETTLED))]
    for later in range(1, len(eras.after)):
        forgets = eras.before[later - 1]
        again = late[:, (late[8] < later) & (late[5] >= forgets)]
        again[4] = np.maximum(again[4], forgets)
        again[8] = later
        carried.append(again)
    made = np.concatenate(carried, axis=1)
    acting = np.isin(made[1], (SERVED, MAYBE))
    first = np.full(int(made[3].max(initial=0)) + 1, FOREVER, np.int64)
    np.minimum.at(first, made[3][acting], made[8][acting])
    made[1][(made[1] == SERVED) & (made[8] > first[made[3]])] = MAYBE
    return made


def _bites(kind: Ints, effect: Ints, group: Ints, terms: Terms) -> Flags:
    groups = int(group.max(initial=-1)) + 1

    def count(chosen: Flags) -> Ints:
        return np.bincount(group[chosen], minlength=groups).astype(np.int64)

    served = count(kind == SERVED)
    bites = count(np.isin(kind, (LIMITED, REFUSED))) > 0
    bites |= (served > 0) & (count((kind == SETTLED) & (effect & MUST_REFUSE > 0)) > 0)
    if terms.one_pending:
        bites |= (served > 0) & (count(np.isin(kind, (SERVED, MAYBE))) > 1)
    if terms.most is not None:
        bites |= served > terms.most
    return bites
