"""How the stage keeps under a declared rate limit, and how long it waits for one that is slow."""

import time

import pytest

from harness.profile import RateLimit
from scenarios.conformance import pace
from scenarios.conformance.pace import Pace
from tests.conformance.people import profile

SLOW = RateLimit(count=2, window_ns=10 * 10**9, algorithm="sliding-window", scope="user")


def full() -> Pace:
    """A pace whose only person has used the limit up."""
    paced = Pace(profile(rate=SLOW))
    for _ in range(SLOW.count):
        paced.note(0, 0, time.monotonic_ns())
    return paced


def test_what_is_counted_apart_is_not_waited_for() -> None:
    now, paced = time.monotonic_ns(), full()
    assert paced.wait_s(0, 0, now) == pytest.approx(10.0, abs=0.5)
    assert (paced.wait_s(1, 0, now), paced.wait_s(-1, -1, now)) == (0.0, 0.0)


def test_a_wait_that_leaves_no_time_for_the_rest_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    paced = full()
    paced.waited_s = pace.ALL_WAITS_S / 2
    assert not paced.hold(0, 0, share=0.5)
    assert slept == []
    assert paced.hold(0, 0)
    assert slept == [pytest.approx(10.0, abs=0.5)]
    assert paced.hold(1, 0, share=0.0)  # who need not wait is never refused
