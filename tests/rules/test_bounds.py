"""Bounds on limits: the array functions against slow and obvious ones, and never a blame of what a limit allows."""

import random
from collections import deque
from typing import Final

import numpy as np
import pytest

from harness.rules.bounds import bucket, circle, sliding
from harness.rules.bounds.lanes import FOREVER, Lanes, TooLargeError
from harness.rules.bounds.slack import Slack

SEEDS: Final = range(40)
Interval = tuple[int, int, int]  # scope, start, end


def lanes_of(rows: list[Interval], scopes: int = 0) -> Lanes:
    columns = np.array(rows, np.int64).reshape(-1, 3)
    return Lanes(columns[:, 0].copy(), columns[:, 1].copy(), columns[:, 2].copy(), scopes=scopes)


def some(rng: random.Random, many: int, length: int, longest: int, scopes: int = 3) -> list[Interval]:
    rows = []
    for _ in range(many):
        start = rng.randrange(length)
        rows.append((rng.randrange(scopes), start, start + rng.randrange(longest)))
    return rows


def whole(rows: list[Interval], scope: int, start: int, end: int) -> int:
    return sum(one[0] == scope and one[1] >= start and one[2] <= end for one in rows)


def fullest(rows: list[Interval], window: int) -> int:
    """The most intervals of one scope that lie whole in less than a window, by looking at each possible span."""
    return max((whole(rows, scope, start, start + window - 1) for scope, start, _ in rows), default=0)


@pytest.mark.parametrize("seed", SEEDS)
def test_crowds_and_most_are_what_looking_at_every_window_finds(seed: int) -> None:
    rng = random.Random(seed)
    rows, window = some(rng, 30, 200, rng.choice((5, 60))), 40
    lanes = lanes_of(rows)
    count = rng.randrange(1, 8)
    found, total = sliding.crowds(lanes, count, window)
    expected = fullest(rows, window)
    assert sliding.most(lanes, window) == expected
    assert (bool(found), bool(total)) == (expected > count, expected > count)
    for crowd in found:
        assert crowd.end - crowd.start < window
        assert whole(rows, crowd.scope, crowd.start, crowd.end) >= crowd.many == count + 1
        assert len(lanes.within(crowd.scope, crowd.start, crowd.end)) >= crowd.many


@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_sliding_window_admits_is_never_a_crowd(seed: int) -> None:
    rng = random.Random(seed)
    count, window, admitted, log = rng.randrange(1, 6), 50, [], deque[int]()
    for time in sorted(rng.randrange(600) for _ in range(120)):
        while log and log[0] <= time - window:
            log.popleft()
        if len(log) < count:
            log.append(time)
            admitted.append((0, time - rng.randrange(30), time + rng.randrange(30)))
    lanes = lanes_of(admitted)
    assert sliding.crowds(lanes, count, window) == ([], 0)
    assert sliding.chained(lanes, count, window) == []
    assert sliding.most(lanes, window) <= count


def test_a_chain_finds_what_no_single_window_shows() -> None:
    # One in any 100: at 0, then not before 100, then not before 200, which is after the last one was over.
    spread = lanes_of([(0, 0, 1), (0, 90, 150), (0, 140, 199)])
    assert sliding.crowds(spread, 1, 100) == ([], 0)
    (crowd,) = sliding.chained(spread, 1, 100)
    assert (crowd.start, crowd.end, crowd.many) == (0, 199, 3)
    assert sliding.chained(lanes_of([(0, 0, 1), (0, 90, 150), (0, 140, 200)]), 1, 100) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_the_possible_count_is_all_that_may_lie_between_two_points(seed: int) -> None:
    rng = random.Random(seed)
    rows = [(scope, start, FOREVER if rng.random() < 0.1 else end) for scope, start, end in some(rng, 40, 300, 60)]
    asked = some(rng, 20, 300, 60)
    lanes = lanes_of(rows, scopes=3)
    scope, start, end = (np.array(column, np.int64) for column in zip(*asked, strict=True))
    cutoff = start - 70
    counted = sliding.possible(lanes, scope, end, cutoff)
    expected = [
        sum(row[0] == one and row[1] <= last and row[2] > first - 70 for row in rows) for one, first, last in asked
    ]
    assert counted.tolist() == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_the_sure_count_never_exceeds_what_any_placement_has(seed: int) -> None:
    rng = random.Random(seed)
    rows, asked = some(rng, 40, 300, 60), some(rng, 20, 300, 60)
    lanes = lanes_of(rows, scopes=3)
    scope, start, end = (np.array(column, np.int64) for column in zip(*asked, strict=True))
    counted = sliding.sure(lanes, scope, start, end - 70)
    for number, (one, first, last) in zip(counted.tolist(), asked, strict=True):
        assert number <= sum(row[0] == one and row[1] > last - 70 and row[2] <= first for row in rows)


def drained(rows: list[Interval], interval: int) -> int:
    """The smallest bucket that explains the spans of one scope, by looking at every pair of positions."""
    needed = 0
    for scope in {one[0] for one in rows}:
        starts = sorted(one[1] for one in rows if one[0] == scope)
        ends = sorted(one[2] for one in rows if one[0] == scope)
        for i in range(len(starts)):
            for j in range(i, len(ends)):
                needed = max(needed, j - i + 1 - (ends[j] - starts[i]) // interval)
    return needed


@pytest.mark.parametrize("seed", SEEDS)
def test_a_bucket_is_overdrawn_where_some_span_holds_more_than_it_had(seed: int) -> None:
    rng = random.Random(seed)
    rows, interval = some(rng, 30, 300, 30), rng.randrange(5, 20)
    lanes, needed = lanes_of(rows), drained(rows, interval)
    for burst in range(1, 10):
        found = bucket.overdrawn(lanes, burst, interval, 0)
        assert bool(found) == (needed > burst)
        for crowd in found:
            assert (crowd.many - burst) * interval > crowd.end - crowd.start
            assert whole(rows, crowd.scope, crowd.start, crowd.end) >= crowd.many
    assert bucket.most(lanes, 3, interval, 0) == needed


@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_bucket_does_is_never_blamed(seed: int) -> None:
    rng = random.Random(seed)
    burst, interval, full = rng.randrange(1, 6), 20, 0
    admitted, refused = [], []
    for time in sorted(rng.randrange(1000) for _ in range(100)):
        span = (0, time - rng.randrange(30), time + rng.randrange(30))
        if max(full, time) - time <= (burst - 1) * interval:
            full = max(full, time) + interval
            admitted.append(span)
        else:
            refused.append(span)
    assert bucket.overdrawn(lanes_of(admitted), burst, interval, 0) == []
    if refused:
        scope, start, end = (np.array(column, np.int64) for column in zip(*refused, strict=True))
        used = bucket.used(lanes_of(admitted), scope, start, end, interval, np.zeros_like(scope))
        assert (used > (burst - 1) * interval).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_what_may_be_in_use_of_a_bucket_is_the_largest_over_all_moments(seed: int) -> None:
    rng = random.Random(seed)
    rows = [(scope, start, FOREVER if rng.random() < 0.1 else end) for scope, start, end in some(rng, 25, 300, 40)]
    asked, interval = some(rng, 10, 300, 40), 13
    scope, start, end = (np.array(column, np.int64) for column in zip(*asked, strict=True))
    used = bucket.used(lanes_of(rows, scopes=3), scope, start, end, interval, np.zeros_like(scope))
    for number, (one, first, last) in zip(used.tolist(), asked, strict=True):
        mine = [row for row in rows if row[0] == one and row[1] <= last]
        moments = {min(row[2], last) for row in mine} | {last}
        expected = max(u + sum(min(row[2], last) >= u for row in mine) * interval for u in moments) - first
        assert number == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_a_circle_is_covered_where_every_moment_of_it_is(seed: int) -> None:
    rng = random.Random(seed)
    window = 60
    low = np.array([rng.randrange(-200, 400) for _ in range(rng.randrange(1, 9))], np.int64)
    high = low + np.array([rng.randrange(0, 40) for _ in low], np.int64)
    goal = None if rng.random() < 0.5 else (rng.randrange(100), 0)
    if goal is not None:
        goal = (goal[0], goal[0] + rng.randrange(0, 30))

    def covered(chosen: list[int]) -> bool:
        held = {moment % window for n in chosen for moment in range(int(low[n]), int(high[n]) + 1)}
        wanted = range(window) if goal is None else range(goal[0], goal[1] + 1)
        return {moment % window for moment in wanted} <= held

    found = circle.covering(low, high, window, goal)
    assert (found is not None) == covered(list(range(len(low))))
    if found is not None:
        assert covered(found.tolist())


def test_more_than_the_count_in_a_span_forbids_windows_that_hold_it_all() -> None:
    lanes = lanes_of([(0, 100, 110), (0, 105, 120)])
    arcs = circle.full_arcs(lanes, 1, 50, np.zeros(1, np.int64), 0)
    # A window from 71 to 100 holds [100, 120] whole; one from 70 ends at 120, and one from 101 begins too late.
    assert (arcs.low.tolist(), arcs.high.tolist()) == ([71], [100])
    assert len(circle.full_arcs(lanes, 1, 50, np.zeros(1, np.int64), 15).low) == 0


def test_a_window_is_filled_only_where_more_was_refused_in_it() -> None:
    admitted = lanes_of([(0, 0, 1), (0, 10, 11), (1, 0, 1), (1, 10, 11)])
    near, far = lanes_of([(0, 20, 21)], scopes=2), lanes_of([(0, 200, 201)], scopes=2)
    assert sliding.filled(admitted, 2, 100, near) == 1
    assert sliding.filled(admitted, 2, 100, far) == 0
    assert sliding.filled(admitted, 3, 100, near) == 0


def test_slack_shortens_windows_from_above_and_lengthens_them_from_below() -> None:
    slack = Slack(10**6)
    assert slack.short(10**9) == 10**9 - 10**6 - 200_000
    assert slack.long(10**9) == 10**9 + 10**6 + 200_000
    assert Slack(10**9).short(10**9) == 0


def test_too_many_scopes_for_one_array_are_refused_rather_than_miscounted() -> None:
    with pytest.raises(TooLargeError, match="more than can be counted"):
        lanes_of([(1 << 40, 0, 1 << 40)])
