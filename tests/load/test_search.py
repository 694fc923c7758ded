"""The search for a target's capacity: steps towards it, between what is held and what is not, and what it says."""

import math

import pytest

from scenarios.load.search import CLOSE, Search, Step

MS = 10**6


def step(rate: float, capacity: float, *, p99_ms: float = 2.0, late_ms: float = 0.0, held_back: int = 0) -> Step:
    """What a target that answers at most `capacity` requests a second shows in ten seconds of this rate."""
    due, done = round(10 * rate), round(10 * min(rate, capacity))
    return Step(rate, 10.0, due, held_back, done, 0, round(p99_ms * MS), round(late_ms * MS))


def searched(capacity: float, first: float = 100.0, most: float = 20_000.0, steps: int = 20) -> tuple[Search, int]:
    search, many = Search(first, most, steps), 0
    while (rate := search.next()) is not None:
        search.told(step(rate, capacity))
        many += 1
    return search, many


@pytest.mark.parametrize("capacity", [130.0, 700.0, 1_000.0, 5_555.0])
def test_the_capacity_is_found_to_within_an_eighth(capacity: float) -> None:
    search, many = searched(capacity)
    assert search.held <= capacity * 1.06
    assert search.broke > capacity
    assert search.broke / search.held <= CLOSE
    assert many <= math.log(capacity / 100, 1.5) + 5
    assert f"{capacity:,.0f} a second were answered" in search.sentence()


def test_a_target_below_the_first_step_is_looked_for_below_it() -> None:
    search, _ = searched(30.0)
    assert 0 < search.held <= 32 < search.broke


def test_a_target_that_holds_all_that_is_offered_shows_no_knee() -> None:
    search, _ = searched(1e9, most=1_000.0)
    assert search.sentence() == (
        "capacity: at least 1,000 requests a second, the most that the plan offers; no knee seen"
    )


def test_latency_beyond_what_is_set_or_ten_times_the_first_is_no_capacity() -> None:
    for hold_ns, second_ms, held in ((0, 19.0, True), (0, 21.0, False), (5 * MS, 6.0, False)):
        search = Search(100.0, 1000.0, 5, hold_ns)
        search.next()
        search.told(step(100.0, 1e9))
        rate = search.next()
        assert rate == 150.0
        assert (search.told(step(rate, 1e9, p99_ms=second_ms)) == "") == held
        assert (search.held == 150.0) == held


def test_errors_are_no_answers() -> None:
    search = Search(100.0, 1000.0, 5)
    search.next()
    assert search.told(Step(100.0, 10.0, 1000, 0, 980, 20, MS, 0)) == "20 of 1,000 requests failed"


def test_a_late_load_machine_is_tried_once_more_and_then_says_nothing_of_the_target() -> None:
    search = Search(100.0, 1000.0, 9)
    for late_ms, expected in ((0.0, 100.0), (50.0, 150.0), (0.0, 150.0), (50.0, 225.0), (50.0, 225.0)):
        rate = search.next()
        assert rate is not None
        assert rate == pytest.approx(expected)
        search.told(step(rate, 1e9, late_ms=late_ms))
    assert search.next() is None
    assert search.sentence().startswith("capacity: at least 150 requests a second; no more could be offered")
    assert "the load machine itself was 50 ms late" in search.sentence()


def test_arrivals_that_declared_limits_hold_back_end_the_search() -> None:
    search = Search(100.0, 1000.0, 9)
    search.next()
    search.told(step(100.0, 1e9))
    search.next()
    search.told(step(150.0, 1e9, held_back=300))
    assert search.next() is None
    assert "300 of 1,500 arrivals were held back for the declared limits" in search.sentence()
