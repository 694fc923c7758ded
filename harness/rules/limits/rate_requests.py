"""The requests of a history as a rate limiter counts them: which surely passed, which may have used up the limit."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from harness.history import History
from harness.profile import Profile, RateLimit
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
from harness.rules.reading.columns import Whole
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

COUNTER: Final = "sliding-window-counter"
LACKING: Final = ("unregistered", "unsupported", "unsupported-unsaid")
NOT_ENROLLED: Final = ("CHANNEL_NOT_REGISTERED", "CHANNEL_NOT_SUPPORTED")


@dataclass(frozen=True)
class Requests:
    """A rate limit over a history; after `horizon_ns` without requests nothing is counted any more."""

    limit: RateLimit
    limited: Limited
    horizon_ns: int


@once_a_history
def requests_of(history: History, profile: Profile) -> Requests:
    """The declared rate limit over a history."""
    limit = profile.rate
    assert limit is not None
    pushes, slack = pushes_of(history, profile), slack_of(history, profile)
    raw = _scopes(pushes, limit)
    scope, scopes = numbered(raw)
    refused = np.flatnonzero(pushes.limited & trusted(pushes, profile) & (raw >= 0))
    # Windows opened by a caller's first request need to know of all that may have opened one, refused or not.
    opened = limit.algorithm == "fixed-window" and limit.phase in (None, "first-request")
    into = np.arange(scopes, dtype=np.int64) if opened else np.unique(scope[refused])
    countable, into = _countable(history, pushes, scope, scopes, into, profile)
    refused = refused[np.isin(scope[refused], into)]
    limited = Limited(
        pushes=pushes,
        scope=scope,
        admitted=_admitted(history, pushes, scope, raw, profile),
        countable=countable,
        refused=Lanes(scope[refused], pushes.sent[refused], pushes.received[refused], refused, scopes),
        resets=resets_of(history, profile),
        slack=slack,
    )
    return Requests(limit, limited, slack.long(horizon(limit)))


def interval(limit: RateLimit) -> int:
    """How long a token takes to come, in ns, rounded down: a bucket is never blamed for the rest of a division."""
    return limit.window_ns // limit.count


def horizon(limit: RateLimit) -> int:
    """After how long without requests nothing is counted any more, in ns."""
    if limit.algorithm == "token-bucket":
        return limit.bucket * -(-limit.window_ns // limit.count)
    # A counter goes by the window that is under way and the one before.
    return 2 * limit.window_ns if limit.algorithm == COUNTER else limit.window_ns


def _scopes(pushes: Pushes, limit: RateLimit) -> Ints:
    """The number of each push's scope, -1 where it has none that is known."""
    if limit.scope == "api-key":
        return pushes.key
    return pushes.person if limit.scope == "user" else np.zeros(len(pushes), np.int64)


def _countable(
    history: History, pushes: Pushes, scope: Ints, scopes: int, into: Ints, profile: Profile
) -> tuple[Lanes, Ints]:
    """What may have used up the limit. Who cannot be told apart is counted in each of the scopes `into`, as told."""
    places = np.flatnonzero(_counts(history, pushes, profile))
    began, ended = elsewhere(history, "rate")
    start = np.concatenate((pushes.sent[places], began))
    end = np.concatenate((_until(pushes, profile)[places], ended))
    places = np.concatenate((places, np.full(len(began), NONE, np.int64)))
    wild = np.append(_anywhere(pushes, profile), True)[places]
    rows, whose, into = spread(np.append(scope, 0)[places], wild, into)
    return Lanes(whose, start[rows], end[rows], places[rows], scopes), into


def _until(pushes: Pushes, profile: Profile) -> Ints:
    return np.where(pushes.unknown, late(pushes.received, profile), pushes.received)


def _counts(history: History, pushes: Pushes, profile: Profile) -> Flags:
    """What may have used up a limit: all that was sent but what is declared not to."""
    limit = profile.rate
    assert limit is not None
    kept = pushes.success | pushes.unknown | pushes.refused
    if limit.counts_refusals is False:
        kept &= ~pushes.limited
    if limit.counts_replays is False:
        kept &= ~_sure_replays(pushes, resets_of(history, profile))
    return kept


def _anywhere(pushes: Pushes, profile: Profile) -> Flags:
    """Which may count for any scope."""
    limit = profile.rate
    assert limit is not None
    if limit.scope not in ("api-key", "user"):
        return np.zeros(len(pushes), np.bool_)
    anywhere = np.less(_scopes(pushes, limit), 0) | pushes.has_intent(*AMBIGUOUS)
    if limit.scope == "api-key":  # another's key is counted for its owner or for the sender
        keys = np.array([user.key for user in profile.pool.users] + [-1], np.int64)
        anywhere |= keys[np.clip(pushes.token, -1, len(keys) - 1)] != pushes.key
    return anywhere


def wild_requests(history: History, profile: Profile) -> tuple[Ints, Ints]:
    """When the requests that may count for any scope began and ended."""
    pushes = pushes_of(history, profile)
    pushes = whole_operations(pushes, _anywhere(pushes, profile))
    chosen = _counts(history, pushes, profile) & _anywhere(pushes, profile)
    return pushes.sent[chosen], _until(pushes, profile)[chosen]


def _sure_replays(pushes: Pushes, resets: Resets) -> Flags:
    """Successes that were asked for when the answer to the same call had been received, and no reset came between."""
    first, since = np.full(pushes.ops, FOREVER, np.int64), np.full(pushes.ops, FOREVER, np.int64)
    for times, column in ((first, pushes.received), (since, pushes.sent)):
        np.minimum.at(times, pushes.op[pushes.success], column[pushes.success])
    again: Flags = pushes.success & (pushes.sent > first[pushes.op])
    return again & ~resets.straddled(since[pushes.op], pushes.received)


def _admitted(history: History, pushes: Pushes, scope: Ints, raw: Ints, profile: Profile) -> Lanes:
    """What surely passed the limiter: successes and conflicts, once for each call where replays may come before it."""
    limit = profile.rate
    assert limit is not None
    conflict = pushes.refused & (pushes.status == 409) & ~_before_the_limiter(history, pushes, profile)
    passed = (pushes.success | conflict) & (raw >= 0) & ~pushes.has_intent(*AMBIGUOUS)
    whose = _by_machine(history, pushes, scope) if limit.scope == "ip" else scope
    if limit.counts_replays is True:
        places = np.flatnonzero(passed)
        start, end = pushes.sent[places], pushes.received[places]
    else:
        places, start, end = _one_a_call(pushes, passed, profile)
    codes, scopes = numbered(whose[places]) if limit.scope == "ip" else (whose[places], int(scope.max(initial=-1)) + 1)
    return Lanes(codes, start, end, places, scopes)


def _before_the_limiter(history: History, pushes: Pushes, profile: Profile) -> Flags:
    """Refusals for the channel, where enrolment may be looked at before the limit: it never refused such a call.

    Where it refused nobody at all there is no sign of that, and the usual order is taken for granted.
    """
    known = history.elsewhere if isinstance(history, Whole) else None
    signs = signs_of(pushes, profile) if known is None else known.signs
    return pushes.has_code(*NOT_ENROLLED) if signs == {"refused"} else np.zeros(len(pushes), np.bool_)


def signs_of(pushes: Pushes, profile: Profile) -> frozenset[str]:
    """Signs of the order in which a target looks at things: it `refused` for the rate, and who is not enrolled too."""
    refused = pushes.limited & trusted(pushes, profile)
    lacking = refused & pushes.has_intent(*LACKING)
    return frozenset(name for name, seen in (("refused", refused), ("lacking", lacking)) if seen.any())


def _one_a_call(pushes: Pushes, passed: Flags, profile: Profile) -> tuple[Ints, Ints, Ints]:
    """One admission for each operation: of its success, or else of its first conflict."""
    effects = effects_of(pushes, profile)
    of_success = effects.sure[pushes.op] & pushes.success & passed
    of_conflict = ~effects.sure[pushes.op] & passed
    places = np.flatnonzero(of_success | of_conflict)
    places = places[np.argsort(pushes.received[places], kind="stable")]
    places = places[~pd.Series(pushes.op[places]).duplicated().to_numpy()]
    first = np.full(pushes.ops, FOREVER, np.int64)
    asked = passed | pushes.unknown
    np.minimum.at(first, pushes.op[asked], pushes.sent[asked])
    start = np.where(effects.sure[pushes.op[places]], effects.start[pushes.op[places]], first[pushes.op[places]])
    return places, start, pushes.received[places]


def _by_machine(history: History, pushes: Pushes, scope: Ints) -> Ints:
    """The load machine of each push: each has an address of its own at the least."""
    hosts = {(tally.stage, tally.worker): tally.host for tally in history.tallies}
    if len(set(hosts.values())) <= 1:
        return scope
    frame = history.at(pushes.row, ["stage", "worker"])
    names = [hosts.get(pair, "/".join(pair)) for pair in zip(frame["stage"], frame["worker"], strict=True)]
    return np.asarray(pd.factorize(np.array(names))[0], np.int64)
