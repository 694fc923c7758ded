"""Keeping count of what limits leave: a target that keeps its limit has no reason to refuse what the pacer lets go."""

from time import monotonic_ns

import pytest

from harness.profile import ChallengeLimit, RateLimit
from scenarios.load import green
from scenarios.load.limits import Ledger, Pacer

SECOND = 10**9


def soon(seconds: float) -> int:
    return monotonic_ns() + round(seconds * SECOND)


def test_a_pacer_gives_no_more_than_its_share_until_answers_are_a_window_old() -> None:
    pacer = Pacer(RateLimit(10, SECOND // 5))
    assert pacer.capacity == 8
    assert [pacer.try_take() for _ in range(9)] == [True] * 8 + [False]
    for _ in range(8):
        pacer.give_back(monotonic_ns())
    assert not pacer.try_take()
    assert pacer.take(8, soon(5))  # as the window has gone by
    assert not pacer.try_take()


def test_a_request_under_way_holds_its_slot_however_long_it_takes() -> None:
    pacer = Pacer(RateLimit(2, 1000))
    assert pacer.try_take()
    green.sleep(0.05)
    assert not pacer.try_take()
    pacer.give_back(monotonic_ns() - SECOND)
    assert pacer.try_take()


def test_a_request_without_an_answer_holds_its_slot_for_longer() -> None:
    pacer = Pacer(RateLimit(2, 1000))
    assert pacer.try_take()
    pacer.give_back(monotonic_ns() - SECOND, lost=True)
    assert pacer.free() == 0
    old = Pacer(RateLimit(2, 1000))
    old.give_back(monotonic_ns() - 5 * SECOND, lost=True)
    assert old.free() == 1


def test_more_than_ever_fits_is_refused_at_once() -> None:
    assert not Pacer(RateLimit(10, SECOND)).take(9, soon(100))


def test_waiting_ends_with_the_time() -> None:
    pacer = Pacer(RateLimit(1, 3600 * SECOND))
    assert pacer.try_take()
    assert not pacer.take(1, soon(0.05))


def test_those_who_want_many_are_not_starved_by_those_who_want_one() -> None:
    pacer = Pacer(RateLimit(10, SECOND // 20))
    order: list[str] = []
    assert pacer.try_take(8)

    def want(many: int, name: str) -> None:
        assert pacer.take(many, soon(5))
        order.append(name)

    waiting = [green.spawn(want, 8, "many"), green.spawn(want, 1, "one")]
    green.sleep(0)
    for _ in range(8):
        pacer.give_back(monotonic_ns())
    while not order:
        green.sleep(0.005)
    for _ in range(8):
        pacer.give_back(monotonic_ns())
    green.join(waiting, 5.0)
    assert order == ["many", "one"]


def test_a_bucket_is_taken_for_its_burst_in_the_time_it_takes_to_fill() -> None:
    pacer = Pacer(RateLimit(10, SECOND, algorithm="token-bucket", burst=20))
    assert (pacer.count, pacer.window_ns, pacer.capacity) == (20, 2 * SECOND, 17)


def test_without_a_limit_anything_goes() -> None:
    pacer = Pacer(None)
    assert pacer.try_take(10**6)
    assert pacer.per_second == float("inf")
    ledger = Ledger(None)
    assert all(ledger.take(1000) for _ in range(1000))


@pytest.mark.parametrize(("used", "left"), [(0, 5), (3, 2), (5, 0), (9, 0)])
def test_a_ledger_begins_with_what_was_used_before(used: int, left: int) -> None:
    ledger = Ledger(ChallengeLimit(5, 3600 * SECOND), used)
    assert ledger.left() == left
    assert [ledger.take() for _ in range(left + 1)] == [True] * left + [False]


def test_a_ledger_keeps_some_back_and_forgets_after_its_window() -> None:
    ledger = Ledger(ChallengeLimit(5, 1000))
    assert not ledger.take(4, keep=2)
    assert ledger.take(3, keep=2)
    assert ledger.left() == 2
    green.sleep(0.03)
    assert ledger.left() == 5


def test_a_ledger_learns_that_nothing_is_left_and_that_all_is_reset() -> None:
    ledger = Ledger(ChallengeLimit(5, 3600 * SECOND))
    ledger.exhausted()
    assert not ledger.take()
    ledger.reset()
    assert ledger.take(5)
