"""Refusals for a limit that was not reached, and what would explain each: the rule to blame is the first that does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from harness.history import History
from harness.rules.bounds import sliding
from harness.rules.bounds.lanes import Flags, Ints, Lanes
from harness.rules.reading.columns import Whole

MOST_ASKED: Final = 500_000  # occasions looked at; of more, every n-th
MOST_OF_PART: Final = 20_000  # of those of a part that are compared with all others
ABOUT: Final = 0.9  # of what the best cause explains: others that explain as much are as good
SHOWN: Final = 20  # violations of a cause that are spelt out
DOUBT: Final = 10  # refusals that must speak for a cause for each time somebody was served in spite of it


@dataclass(frozen=True)
class Moments:
    """Moments at which a limiter decided: in `[start, end]` of a scope, with the end of what had surely left by then.

    `place` is that of the exchange that was decided on.
    """

    scope: Ints
    start: Ints
    end: Ints
    cutoff: Ints
    place: Ints

    def where(self, chosen: Flags | Ints) -> "Moments":
        columns = (self.scope, self.start, self.end, self.cutoff, self.place)
        return Moments(*(column[chosen] for column in columns))


Count = Callable[[Moments], Ints]
Look = Callable[[Moments], Lanes]


@dataclass(frozen=True)
class Cause:
    """Something that a limiter may wrongly count. `most` and `least` say how much more that makes at each moment.

    `rule` promises that it does not count. `shown` gives what it counted at one moment. `fitted` gives a `least` that
    goes no further than some refusals need to be explained.
    """

    rule: str
    most: Count
    least: Count
    shown: Look
    fitted: Callable[[Moments], Count] | None = None


def counted_too(rule: str, lanes: Lanes, sure: Lanes, itself: int = 0) -> Cause:
    """These intervals of the scope count as well, `sure` among them whatever else is true of the target.

    `itself`: 1 where every refusal is one of them.
    """

    def most(at: Moments) -> Ints:
        return sliding.possible(lanes, at.scope, at.end, at.cutoff) - itself

    def least(at: Moments) -> Ints:
        return sliding.sure(sure, at.scope, at.start, at.cutoff)

    def shown(at: Moments) -> Lanes:
        return lanes.where((lanes.scope == at.scope) & _around(lanes, at))

    return Cause(rule, most, least, shown)


def with_room(lanes: Lanes, countable: Lanes, count: int, window: int) -> Lanes:
    """Those that came while there was room even if all of them counted: a counter that is full may take no more."""
    cutoff = lanes.start - window
    others = sliding.possible(lanes, lanes.scope, lanes.end, cutoff) - 1
    return lanes.where(others + sliding.possible(countable, lanes.scope, lanes.end, cutoff) < count)


def _around(lanes: Lanes, at: Moments) -> Flags:
    """Those that may be counted at one moment."""
    inside: Flags = (lanes.start <= at.end) & (lanes.end > at.cutoff)
    return inside


def shared(rule: str, countable: Lanes, admitted: Lanes) -> Cause:
    """All scopes are counted together."""
    begun, over = np.sort(countable.start), np.sort(countable.end)
    served_begun, served_over = np.sort(admitted.start), np.sort(admitted.end)

    def most(at: Moments) -> Ints:
        everybody = _until(begun, at.end) - _until(over, np.minimum(at.cutoff, at.end))
        return everybody - sliding.possible(countable, at.scope, at.end, at.cutoff)

    def least(at: Moments) -> Ints:
        own = sliding.sure(admitted, at.scope, at.start, at.cutoff)
        return _others(served_begun, served_over, at.start, at.cutoff, own)

    def shown(at: Moments) -> Lanes:
        return countable.where((countable.scope != at.scope) & _around(countable, at))

    return Cause(rule, most, least, shown)


def _others(begun: Ints, over: Ints, start: Ints, cutoff: Ints, own: Ints) -> Ints:
    """The fewest of other scopes that passed the limit, where all began and were over at these times."""
    everybody = _until(over, start) - _until(begun, np.minimum(cutoff, start))
    others: Ints = np.maximum(everybody - own, 0)
    return others


@dataclass(frozen=True)
class Beside:
    """When something passed a limit, and at some of these moments how many of the same scope did; by parts that add up.

    Each of `asked` holds start, cutoff (see `Moments`) and that number.
    """

    begun: tuple[Ints, ...]
    over: tuple[Ints, ...]
    asked: tuple[Ints, ...]

    def __add__(self, other: "Beside") -> "Beside":
        return Beside(self.begun + other.begun, self.over + other.over, self.asked + other.asked)

    def occasions(self, enough: int) -> int:
        """How often somebody was served although so many had passed the limit, those of other scopes counted too."""
        start, cutoff, own = np.concatenate(self.asked, axis=1)
        begun, over = (np.sort(np.concatenate(times)) for times in (self.begun, self.over))
        return int((_others(begun, over, start, cutoff, own) >= enough - own).sum())


def beside(served: Moments, admitted: Lanes) -> Beside:
    """What passed a limit, of which everything is in `admitted`; `served` are moments at which it did."""
    at = some_of(served, MOST_OF_PART)
    own = sliding.sure(admitted, at.scope, at.start, at.cutoff)
    return Beside((admitted.start,), (admitted.end,), (np.stack((at.start, at.cutoff, own)),))


def _until(times: Ints, asked: Ints) -> Ints:
    """How many of the sorted times are no later than each asked one."""
    order = np.argsort(asked)
    counts = np.empty(len(asked), np.int64)
    counts[order] = np.searchsorted(times, asked[order], side="right")
    return counts


def kept_too_long(rule: str, countable: Lanes, admitted: Lanes, count: int) -> Cause:
    """What should have left the count still counts: for ever, or, when fitted, as long as refusals need it to."""

    def most(at: Moments) -> Ints:
        return countable.over(at.scope, np.minimum(at.cutoff, at.end)) - countable.first[at.scope]

    def least(at: Moments) -> Ints:
        return admitted.over(at.scope, np.minimum(at.cutoff, at.start)) - admitted.first[at.scope]

    def shown(at: Moments) -> Lanes:
        return countable.where((countable.scope == at.scope) & (countable.end <= np.minimum(at.cutoff, at.end)))

    def fitted(explained: Moments) -> Count:
        place = countable.begun(explained.scope, explained.end) - count
        ended = countable.ends[place] - explained.scope * countable.span + countable.low - 1
        window = int((explained.end - ended).max())

        def back(at: Moments) -> Ints:
            own = sliding.sure(admitted, at.scope, at.start, at.cutoff)
            more: Ints = np.maximum(sliding.sure(admitted, at.scope, at.start, at.end - window) - own, 0)
            return more

        return back

    return Cause(rule, most, least, shown, fitted)


@dataclass(frozen=True)
class Blame:
    """For each cause, by its rule, how often it could have shown and which of the wrong refusals it explains.

    `none` are those that nothing explains, or nothing better than that the limit itself is too low. `shown` gives for
    a cause and one of the earliest it explains the places of what it counted too, as many as were missing.
    """

    occasions: dict[str, int]
    explained: dict[str, Ints]
    none: Ints
    shown: dict[tuple[str, int], Ints]


@dataclass(frozen=True)
class Judged:
    """Refusals that can be decided: which and when they were, and the most that may have counted at each.

    `wrong` are those with room left, `blame` what explains each.
    """

    at: Moments
    counted: Ints
    wrong: Ints
    blame: Blame

    @property
    def own(self) -> Flags:
        """The refusals that are right, or wrong for no known cause: what speaks of the limit's height."""
        own = np.ones(len(self.counted), np.bool_)
        own[self.wrong] = False
        own[self.wrong[self.blame.none]] = True
        return own

    def explained(self, cause: str) -> Ints:
        """The refusals that are wrong for one cause ('' for none), earliest first."""
        chosen = self.wrong[self.blame.explained[cause] if cause else self.blame.none]
        return chosen[np.argsort(self.at.end[chosen], kind="stable")]

    def shown(self, cause: str, n: int) -> Ints:
        """The places of what a cause counted too at refusal n, one of the earliest that it explains."""
        return self.blame.shown[cause, int(np.searchsorted(self.wrong, n))]


def asked_of(history: History) -> int:
    """How many moments are looked at; of a part, its share of them, as nothing that is wrong is explained there."""
    if isinstance(history, Whole) and history.elsewhere is not None:
        return max(MOST_ASKED * len(history.columns) // history.size, 1)
    return MOST_ASKED


def some_of(served: Moments, most: int = MOST_ASKED) -> Moments:
    """All of these, or every n-th, so that there are at most so many."""
    return served.where(np.arange(0, len(served.scope), max(-(-len(served.scope) // most), 1)))


def blame(
    wrong: Moments,
    counted: Ints,
    served: Moments,
    admitted: Lanes,
    count: int,
    causes: tuple[Cause, ...],
    enough: int,
    most: int,
) -> Blame:
    """Decide for each wrong refusal, of which at most `counted` can have counted, what explains it.

    A cause explains what it brings up to `count`, and predicts that nobody is served once there are `enough`. `served`
    are moments at which somebody was: a cause that these contradict is not what is wrong with this target. Of those
    that explain about the most the least contradicted comes first, then the order of `causes`. `most`: the most that
    surely were admitted at once; where refusals only came from there on, the limit itself is lower than declared.
    """
    missing = enough - sliding.sure(admitted, served.scope, served.start, served.cutoff)
    lower = len(counted) > 0 and int(counted.min()) >= max(most, 1)
    occasions, fits, doubts = {}, {}, {}
    for cause in causes:
        against = occasions[cause.rule] = int((cause.least(served) >= missing).sum())
        explained = (counted + cause.most(wrong) >= count) & (not lower)
        if explained.any() and cause.fitted is not None:
            against = int((cause.fitted(wrong.where(explained))(served) >= missing).sum())
        fits[cause.rule] = explained & (against * DOUBT <= explained.sum())
        doubts[cause.rule] = against
    found = _shares(fits, doubts, len(counted))
    none = np.setdiff1d(np.arange(len(counted)), np.concatenate(list(found.values())))
    shown = {
        (cause.rule, int(n)): _latest(
            cause.shown(wrong.where(np.array([n]))), int(wrong.place[n]), count - int(counted[n])
        )
        for cause in causes
        for n in found[cause.rule][np.argsort(wrong.end[found[cause.rule]], kind="stable")[:SHOWN]]
    }
    return Blame(occasions, found, none, shown)


def _latest(lanes: Lanes, itself: int, missing: int) -> Ints:
    """The places of the latest `missing` intervals, without the refused one."""
    order = np.argsort(lanes.end, kind="stable")
    places = lanes.place[order]
    others: Ints = places[places != itself]
    return others[max(len(others) - missing, 0) :]


def _shares(fits: dict[str, Flags], doubts: dict[str, int], many: int) -> dict[str, Ints]:
    """Each refusal given to one of the causes that fit it, or to none."""
    left = np.ones(many, np.bool_)
    found = {rule: np.zeros(0, np.int64) for rule in fits}
    waiting = dict(fits)
    while waiting:
        explain = {rule: int((fit & left).sum()) for rule, fit in waiting.items()}
        near = [rule for rule, number in explain.items() if number >= ABOUT * max(explain.values())]
        best = min(near, key=lambda rule: doubts[rule])
        found[best] = np.flatnonzero(waiting.pop(best) & left)
        left[found[best]] = False
    return found
