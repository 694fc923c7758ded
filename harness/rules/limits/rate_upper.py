"""How far the admitted requests of a history exceed a rate limit, for each way in which targets count."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from harness.history import History
from harness.profile import Profile, RateLimit
from harness.rules.bounds import bucket, circle, sliding
from harness.rules.bounds.lanes import Ints, Lanes
from harness.rules.bounds.sliding import Crowd
from harness.rules.limits.limited import Limited, by_era
from harness.rules.limits.rate_requests import COUNTER, Requests, interval

STRETCH: Final = (
    250  # windows whose phase is looked at together: two clocks drift apart by a twentieth of one meanwhile
)
SECOND: Final = 10**9
NEAR_NS: Final = 10**8  # what the wall clock of the same machine may be off: it is set while monotonic time is not


@dataclass(frozen=True)
class Upper:
    """What was seen of the upper bound. Each of `broken` is a contradiction of one or more crowds in `admitted`.

    `total` counts contradictions, `most` is the smallest limit that is not refuted, `filled` how often the limit was
    used up while more was refused.
    """

    admitted: Lanes
    broken: tuple[tuple[Crowd, ...], ...]
    total: int
    most: int
    filled: int


def upper_of(history: History, requests: Requests, profile: Profile) -> Upper:
    """The upper bound over a history."""
    limit, limited, hosts = requests.limit, requests.limited, profile.target.hosts
    refused = limited.refused
    if limit.scope == "ip":  # the refused of one machine show nothing of the address of another
        refused = refused if limited.admitted.scopes <= 1 else refused.where(np.zeros(len(refused), np.bool_))
    admitted, refused = by_era(limited.resets, limited.admitted, refused)
    if limit.algorithm == "token-bucket":
        return _bucket(limit, limited, admitted, refused, hosts)
    window = limited.slack.short(limit.window_ns)
    filled = sliding.filled(admitted, limit.count * hosts, window, refused)
    if limit.algorithm == "sliding-window":
        found = _sliding(admitted, limit.count * hosts, window)
        return Upper(admitted, *found, sliding.most(admitted, window), filled)
    refute = _fixed(history, requests, admitted, profile)
    broken = refute(limit.count)
    if limit.algorithm == COUNTER:
        # It admits no more than N in a window of its own, and from a to b no more than N + N * (b - a) / window.
        as_bucket = replace(limit, algorithm="token-bucket", burst=limit.count + 1)
        broken = (*broken, *_bucket(as_bucket, limited, admitted, refused, hosts).broken)
    most = limit.count + 1 if broken else _most(refute, limit.count)
    return Upper(admitted, broken, len(broken), most, filled)


def _sliding(admitted: Lanes, count: int, window: int) -> tuple[tuple[tuple[Crowd, ...], ...], int]:
    crowds, total = sliding.crowds(admitted, count, window)
    if not crowds:
        crowds = sliding.chained(admitted, count, window)
        total = len(crowds)
    return tuple((crowd,) for crowd in crowds), total


def _bucket(limit: RateLimit, limited: Limited, admitted: Lanes, refused: Lanes, hosts: int) -> Upper:
    """As many hosts fill as many buckets: one that is as much bigger and faster admits all of it."""
    burst = limit.bucket * hosts
    gap = interval(limit) // hosts
    gap -= limited.slack.drift(gap)
    if gap < 1:
        return Upper(admitted, (), 0, 0, 0)
    crowds = bucket.overdrawn(admitted, burst, gap, limited.slack.step_ns)
    most = bucket.most(admitted, burst, gap, limited.slack.step_ns)
    return Upper(admitted, tuple((crowd,) for crowd in crowds), len(crowds), most, len(refused))


Refute = Callable[[int], tuple[tuple[Crowd, ...], ...]]


def _most(refute: Refute, count: int) -> int:
    """The smallest limit that is not refuted, at most `count`."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if refute(middle) else (low, middle)
    return low


def _fixed(history: History, requests: Requests, admitted: Lanes, profile: Profile) -> Refute:
    """What refutes a count for fixed windows as the profile describes them, or as far as it does."""
    limit, limited, hosts = requests.limit, requests.limited, profile.target.hosts
    window = limited.slack.short(limit.window_ns)
    alone = profile.target.exclusive and not history.gaps
    idle = _opened(requests) if alone and hosts == 1 else _NOBODY

    def by_request(count: int) -> tuple[tuple[Crowd, ...], ...]:
        fresh = _fresh(admitted, limited, idle, count, window) if count else []
        crowds = sliding.crowds(admitted, 2 * count * hosts, window)[0]
        return tuple((crowd,) for crowd in sorted([*fresh, *crowds]))

    def by_phase(count: int) -> tuple[tuple[Crowd, ...], ...]:
        return _refuted(history, requests, admitted, profile, count * hosts)

    if limit.phase == "first-request" or (hosts > 1 and limit.phase != "epoch"):
        return by_request
    if limit.phase is not None:
        return by_phase

    def by_either(count: int) -> tuple[tuple[Crowd, ...], ...]:
        periodic = by_phase(count)
        opened = by_request(count) if periodic else ()
        return ((*periodic[0], *opened[0]),) if opened else ()

    return by_either


_NOBODY: Final = (np.zeros(0, np.int64), np.zeros(0, np.int64))


def _opened(requests: Requests) -> tuple[Ints, Ints]:
    """Scopes and times before which nothing had been asked of them for a whole window: the next request opens one."""
    lanes, window = requests.limited.countable, requests.limited.slack.long(requests.limit.window_ns)
    if not len(lanes):
        return _NOBODY
    time = lanes.starts - lanes.lane * lanes.span + lanes.low - 1
    idle = lanes.over(lanes.lane, time - window) == np.arange(len(lanes))
    idle &= time >= window
    return lanes.lane[idle], time[idle]


def _fresh(admitted: Lanes, limited: Limited, idle: tuple[Ints, Ints], count: int, window: int) -> list[Crowd]:
    """Windows opened by a first request after a rest that surely held more than the count."""
    scope, opened = idle
    if len(limited.resets.start) or not len(scope):
        return []
    held = admitted.over(scope, opened + window - 1) - admitted.begun(scope, opened - 1)
    crowds = []
    for n in np.flatnonzero(held > count)[: sliding.LISTED].tolist():
        inside = admitted.within(int(scope[n]), int(opened[n]), int(opened[n]) + window - 1)[: count + 1]
        crowds.append(Crowd(int(admitted.end[inside].max()), int(opened[n]), int(scope[n]), count + 1))
    return crowds


def _refuted(
    history: History, requests: Requests, admitted: Lanes, profile: Profile, count: int
) -> tuple[tuple[Crowd, ...], ...]:
    """Crowds that together leave no phase for windows of this count, for each stretch and circle where there are."""
    limit, slack = requests.limit, requests.limited.slack
    window, stretch = limit.window_ns, STRETCH * limit.window_ns
    # Scopes share a phase where that is declared; resets may begin windows anew, and so does each era of a scope.
    shared = limit.phase in ("shared", "epoch") and not len(requests.limited.resets.start)
    circles = np.zeros(admitted.scopes, np.int64) if shared else np.arange(admitted.scopes, dtype=np.int64)
    margin = slack.step_ns + slack.drift(stretch)
    arcs = circle.full_arcs(admitted, count, window, circles, margin)
    goal = _epoch(history, profile, window) if limit.phase == "epoch" else None
    circle_of = arcs.group * (1 + int(arcs.end.max(initial=0)) // stretch) + arcs.start // stretch
    broken = []
    for one in np.unique(circle_of):
        mine = arcs.where(circle_of == one)
        chosen = circle.covering(mine.low, mine.high, window, goal)
        if chosen is not None:
            broken.append(tuple(circle.crowd_of(mine, int(n), count + 1) for n in np.unique(chosen)))
    return tuple(sorted(broken, key=lambda crowds: max(crowd.end for crowd in crowds)))


def _epoch(history: History, profile: Profile, window: int) -> tuple[int, int] | None:
    """Where on the circle windows aligned to 1970 begin, as our clock sees it; None: it may be anywhere."""
    from harness.profile import is_loopback

    off = NEAR_NS if is_loopback(profile.target.base_url) else SECOND
    if 2 * off >= window:
        return None
    phase = -history.wall_offset_ns % window
    return phase - off, phase + off
