"""The challenges of a history as a limit counts them: each once, however often it was answered."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from harness.history import History
from harness.profile import Profile
from harness.rules.bounds.lanes import Lanes
from harness.rules.limits.limited import (
    AMBIGUOUS,
    Limited,
    elsewhere,
    numbered,
    slack_of,
    spread,
    trusted,
    whole_operations,
)
from harness.rules.reading.operations import (
    FOREVER,
    NONE,
    Flags,
    Ints,
    Pushes,
    Resets,
    effects_of,
    late,
    once_a_history,
    pushes_of,
    resets_of,
)


@dataclass(frozen=True)
class Issued:
    """Challenges that were, or may have been, issued: one for each operation, era and id; `id` -1 where none is known.

    `place` is that of the exchange in which it was first received, or of the unknown one sent first; -1 where it is not
    in the history.
    """

    scope: Ints
    start: Ints
    end: Ints
    id: Ints
    place: Ints

    @property
    def columns(self) -> tuple[Ints, ...]:
        return self.scope, self.start, self.end, self.id, self.place


@once_a_history
def challenges_of(history: History, profile: Profile) -> Limited:
    """The declared challenge limit over a history."""
    limit = profile.challenges
    assert limit is not None
    pushes, resets = pushes_of(history, profile), resets_of(history, profile)
    scope, scopes = numbered(_scopes(pushes, profile))
    known, lost = issued(pushes, profile, scope, resets)
    anywhere = _anywhere(pushes, profile)
    once = _first_of_each_id(known)
    clear = ~anywhere[once.place]
    refused = np.flatnonzero(pushes.exhausted & trusted(pushes, profile) & ~pushes.vague)
    both = _joined(known, lost, _elsewhere(history))
    rows, whose, into = spread(both.scope, np.append(anywhere, True)[both.place], np.unique(scope[refused]))
    refused = refused[np.isin(scope[refused], into)]
    return Limited(
        pushes=pushes,
        scope=scope,
        admitted=Lanes(once.scope[clear], _begun(pushes, once)[clear], once.end[clear], once.place[clear], scopes),
        countable=Lanes(whose, both.start[rows], both.end[rows], both.place[rows], scopes),
        refused=Lanes(scope[refused], pushes.sent[refused], pushes.received[refused], refused, scopes),
        resets=resets,
        slack=slack_of(history, profile),
    )


def wild_challenges(history: History, profile: Profile) -> tuple[Ints, Ints]:
    """When the challenges that may count for any scope began and ended."""
    pushes = pushes_of(history, profile)
    pushes = whole_operations(pushes, _anywhere(pushes, profile))
    known, lost = issued(pushes, profile, pushes.person, resets_of(history, profile))
    both = _joined(known, lost)
    chosen = _anywhere(pushes, profile)[both.place]
    return both.start[chosen], both.end[chosen]


def _joined(*several: Issued) -> Issued:
    return Issued(*(np.concatenate(columns) for columns in zip(*(one.columns for one in several), strict=True)))


def _scopes(pushes: Pushes, profile: Profile) -> Ints:
    by_user = profile.challenges is None or profile.challenges.scope == "user"
    return pushes.person if by_user else pushes.programme


def _anywhere(pushes: Pushes, profile: Profile) -> Flags:
    """Which may count for any scope."""
    return pushes.has_intent(*AMBIGUOUS) | np.less(_scopes(pushes, profile), 0)


def _elsewhere(history: History) -> Issued:
    start, end = elsewhere(history, "challenges")
    none = np.full(len(start), NONE, np.int64)
    return Issued(np.zeros_like(none), start, end, none, none)


def issued(pushes: Pushes, profile: Profile, scope: Ints, resets: Resets) -> tuple[Issued, Issued]:
    """The challenges whose ids are known, and the operations that are nothing but unknown outcomes.

    An operation is taken anew in each era, as a reset may make the target forget refs; then a lost request that comes
    later than the reset issues another challenge.
    """
    era = resets.era(pushes.sent)
    life = np.asarray(pd.factorize(pushes.op * (int(era.max(initial=0)) + 1) + era)[0], np.int64)
    effects = effects_of(pushes, profile, life, int(life.max(initial=-1)) + 1)
    yes = np.flatnonzero(pushes.success)
    yes = yes[np.argsort(pushes.received[yes], kind="stable")]
    pairs = life[yes] * (int(pushes.id.max(initial=0)) + 1) + pushes.id[yes]
    yes = yes[~pd.Series(pairs).duplicated().to_numpy()]
    known = Issued(scope[yes], effects.start[life[yes]], pushes.received[yes], pushes.id[yes], yes)
    no = np.flatnonzero(pushes.unknown & ~effects.sure[life])
    no = no[~pd.Series(life[no]).duplicated().to_numpy()]
    until = late(pushes.received, profile)
    again = np.flatnonzero(pushes.unknown & effects.sure[life] & resets.straddled(pushes.sent, until))
    place, start = np.append(no, again), np.append(effects.start[life[no]], pushes.sent[again])
    end = np.append(effects.end[life[no]], until[again])
    return known, Issued(scope[place], start, end, np.full(len(place), -1, np.int64), place)


def _begun(pushes: Pushes, once: Issued) -> Ints:
    """When each challenge may have been issued at the earliest: by a request without answer, before a reset too."""
    lost = np.full(pushes.ops, FOREVER, np.int64)
    np.minimum.at(lost, pushes.op[pushes.unknown], pushes.sent[pushes.unknown])
    return np.minimum(once.start, lost[pushes.op[once.place]])


def _first_of_each_id(known: Issued) -> Issued:
    """Each id once, received when it was first received, from an operation that began when the first of them did."""
    frame = pd.DataFrame({"id": known.id, "start": known.start})
    starts = frame.groupby("id", sort=False)["start"].transform("min").to_numpy(np.int64)
    first = ~frame["id"].duplicated().to_numpy()
    assert (known.end[first] < FOREVER).all()
    return Issued(known.scope[first], starts[first], known.end[first], known.id[first], known.place[first])
