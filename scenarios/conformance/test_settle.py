"""A token's step-up: pending, accepted or declined, and what the token may ask for then."""

import time
from typing import Literal

import pytest

from scenarios.conformance.desk import Desk
from scenarios.conformance.draft import draft_for
from scenarios.conformance.stage import Stage
from scenarios.conformance.test_limits import LATE, LONGEST_WINDOW_S
from scenarios.conformance.test_refs import issue, same

How = Literal["accept", "decline"]
CONNECTIONS = 3  # each may lead to another process of the target
HOW = pytest.mark.parametrize("how", ["accept", "decline"])


def test_pending(stage: Stage, desk: Desk) -> None:
    """A second challenge while the first is pending, on either channel, with a ref and without: as the policy says."""
    user = desk.on_both(need=4)
    first = issue(stage, user, user.usable[0], stage.ref("pending"))
    for channel in stage.spec.channels:
        stage.check(stage.send(draft_for(user, channel, stage.ref(f"pending-{channel}"))))
        stage.check(stage.send(draft_for(user, channel)))
    same(stage, first, issue(stage, user, user.usable[0], stage.ref("pending")))


def test_pending_as_long_as_declared(stage: Stage, desk: Desk) -> None:
    """What is in flight stays in the way until it expires, and no longer."""
    lasts_ns = stage.profile.policy.in_flight_for_ns
    if stage.profile.policy.in_flight != "reject" or lasts_ns is None or lasts_ns > LONGEST_WINDOW_S * 1e9:
        pytest.skip("nothing in flight expires by itself, or it takes too long to wait for")
    user = desk.find()
    first = issue(stage, user, user.usable[0], stage.ref("first"))
    for left in LATE:
        _sleep_until(first.answer.sent + lasts_ns * (1 - left))
        stage.check(stage.send(draft_for(user, user.usable[0], stage.ref(f"{left} left"))))
    _sleep_until(first.answer.received + lasts_ns * 1.01 + 10**8 + 2 * stage.profile.target.clock_step_ns)
    issue(stage, user, user.usable[0], stage.ref("after"))


def _sleep_until(when_ns: float) -> None:
    time.sleep(max((when_ns - time.monotonic_ns()) / 1e9, 0))


def test_pending_of_another_login(stage: Stage, desk: Desk) -> None:
    """What is in flight is in flight for one token only.

    Where only one may be, the other token is served before, too: then nothing from before the run explains a refusal.
    """
    user = desk.with_two_logins(need=3)
    beside = desk.login_beside(user)
    if stage.profile.policy.in_flight == "reject":
        issue(stage, beside, user.usable[0], stage.ref("before"))
        if not desk.reset_now():
            pytest.skip("nothing ends what is in flight for the other token")
    issue(stage, user, user.usable[0], stage.ref("one"))
    issue(stage, beside, user.usable[0], stage.ref("other"))


@HOW
def test_settled_token_gets_no_other(how: How, stage: Stage, desk: Desk) -> None:
    user = desk.on_both(need=2)
    desk.settle(user, user.usable[0], how)
    for number in range(CONNECTIONS):
        for channel in stage.spec.channels:
            stage.check(stage.send(draft_for(user, channel, stage.ref(f"after-{number}-{channel}"))))
            stage.check(stage.send(draft_for(user, channel)))
        stage.wire.close()


@HOW
@pytest.mark.parametrize("which", ["first", "last"])
def test_any_pending_challenge_settles(which: str, how: How, stage: Stage, desk: Desk) -> None:
    """Of several challenges of a token each settles it, not only the latest."""
    if stage.profile.policy.in_flight != "allow":
        pytest.skip("a token holds one challenge at a time")
    user = desk.to_settle(need=4)
    issued = [issue(stage, user, user.usable[0], stage.ref(f"several-{number}")) for number in range(2)]
    desk.settled(issued[0 if which == "first" else -1], how)
    for channel in user.usable:
        stage.check(stage.send(draft_for(user, channel, stage.ref(f"after-{channel}"))))


@HOW
def test_settled_call_still_replays(how: How, stage: Stage, desk: Desk) -> None:
    """A call that was answered before is the same call afterwards; a target may refuse it, but not issue another."""
    user = desk.to_settle()
    channel, ref = user.usable[0], stage.ref("settled")
    first = issue(stage, user, channel, ref)
    desk.settled(first, how)
    again = stage.send(draft_for(user, channel, ref), allowed=("200", "400", "409:STATE_INVALID"))
    stage.check(again)
    if again.status == 200:
        same(stage, first, again)


@HOW
def test_new_login_after(how: How, stage: Stage, desk: Desk) -> None:
    """The same person, logged in again, steps up anew; what was asked for with the first token is still the same call.

    The other token is served before too, where it may be: then nothing from before the run explains a refusal.
    """
    user = desk.with_two_logins()
    beside, channel = desk.login_beside(user), user.usable[0]
    if stage.profile.policy.in_flight == "allow":
        issue(stage, beside, channel, stage.ref("beside"))
    first = issue(stage, user, channel, stage.ref("settled"))
    desk.settled(first, how)
    issue(stage, beside, channel, stage.ref("again"))
    if stage.profile.policy.in_flight == "allow":
        same(stage, first, issue(stage, beside, channel, stage.ref("settled")))


@HOW
def test_settles_the_token_that_asked(how: How, stage: Stage, desk: Desk) -> None:
    """The challenge says which login is settled, not who of the person's logins asked last."""
    if stage.profile.policy.in_flight != "allow":
        pytest.skip("a token holds one challenge at a time")
    user = desk.with_two_logins(need=4)
    beside, channel = desk.login_beside(user), user.usable[0]
    first = issue(stage, user, channel, stage.ref("settled"))
    issue(stage, beside, channel, stage.ref("later"))
    desk.settled(first, how)
    stage.check(stage.send(draft_for(user, channel, stage.ref("after"))))
    issue(stage, beside, channel, stage.ref("beside"))


@HOW
def test_others_are_not_settled(how: How, stage: Stage, desk: Desk) -> None:
    user = desk.to_settle(need=2)
    desk.settle(user, user.usable[0], how)
    other = desk.another(user, user.usable[0], same_programme=True)
    issue(stage, other, user.usable[0], stage.ref("untouched"))
