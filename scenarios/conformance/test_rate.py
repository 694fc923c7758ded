"""The rate limit: a burst over it is refused, says when to come back, costs no ref, and is nobody else's."""

import time

import pytest

from harness.pool import User
from harness.profile import RateLimit
from scenarios.conformance.desk import Desk
from scenarios.conformance.draft import draft_for
from scenarios.conformance.stage import CaseFailed, Reply, Stage

FASTEST = 100.0  # requests a second: what one sender surely makes, one after another
LONGEST_WAIT_S = 15.0
REFUSED = 40  # calls refused for the rate: more than any limit of challenges, or what a guard against abuse bears with


def _limit(stage: Stage) -> RateLimit:
    limit = stage.profile.rate
    if limit is None:
        pytest.skip("the profile declares no rate limit")
    if limit.count / (limit.window_ns / 1e9) > FASTEST or limit.count > 500:
        pytest.skip("one request at a time cannot go over this limit; the load stage does")
    return limit


def _go_over(stage: Stage, user: User, limit: RateLimit) -> Reply:
    """Ask again and again for one call until the limit refuses; skips where it does not come to that."""
    ref = stage.ref("burst")
    for number in range(2 * max(limit.count, limit.bucket) + 2):
        # Replays use up nothing else; where they do not count, each request is a call of its own.
        one = ref if limit.counts_replays is not False else f"{ref}-{number}"
        reply = stage.send(draft_for(user, user.usable[0], one), over=True)
        stage.check(reply)
        if reply.status == 429:
            return reply
    pytest.skip("no request was refused: too slow for this limit, or it does not hold; the history decides")


def test_over_the_limit(stage: Stage, desk: Desk) -> None:
    limit = _limit(stage)
    user = desk.find()
    refused = _go_over(stage, user, limit)
    told = refused.answer.header("retry-after")
    if limit.retry_after and told is None:
        raise CaseFailed(stage.failure(refused, "a 429 without Retry-After, which the profile declares"))
    # A call of its own that is refused too, to see later whether its ref was spent by that.
    spent = stage.ref("spent")
    turned_away = stage.check(stage.send(draft_for(user, user.usable[0], spent), over=True))
    # Somebody whom the limit does not concern is served meanwhile.
    other = desk.outside_rate_of(user)
    if other is not None:
        stage.check(stage.send(draft_for(other, other.usable[0], stage.ref("beside"))))
    wait = float(told) if told and told.isascii() and told.isdigit() else limit.window_ns / 1e9
    if wait > LONGEST_WAIT_S:
        pytest.skip(f"to come back after {wait:.0f} s takes too long")
    time.sleep(wait)
    back = stage.send(draft_for(user, user.usable[0], spent if turned_away.status == 429 else stage.ref("back")))
    if back.status == 429 and limit.counts_refusals is False and stage.profile.target.exclusive:
        raise CaseFailed(stage.failure(back, f"came back after {wait:g} s, and again later, and was still refused"))
    stage.check(back)


def test_what_the_rate_refuses_is_no_challenge(stage: Stage, desk: Desk) -> None:
    """Calls that were refused with 429 have used up nothing of the limit of challenges."""
    limit = _limit(stage)
    if limit.counts_replays is False or limit.window_ns > LONGEST_WAIT_S * 1e9:
        pytest.skip("replays do not count, so that the challenges would be used up, or the window is too long")
    user = desk.with_whole_limit()
    _go_over(stage, user, limit)
    for number in range(REFUSED):
        stage.check(stage.send(draft_for(user, user.usable[0], stage.ref(f"refused-{number}")), over=True))
    time.sleep(limit.window_ns / 1e9)
    desk.drive(user, user.usable[0])
    stage.check(stage.send(draft_for(user, user.usable[0], stage.ref("over"))))
