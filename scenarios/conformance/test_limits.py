"""The limit of challenges: reached exactly, by new operations alone, and for nobody else."""

import contextlib
import time
from typing import Literal

import pytest

from scenarios.conformance.desk import Desk
from scenarios.conformance.dimensions import VALUES, Setting
from scenarios.conformance.draft import draft_for
from scenarios.conformance.stage import Stage
from scenarios.conformance.test_refs import issue, same

REFUSED = 8  # requests that are refused before the limit is driven to: more than any rounding hides
LATE = (0.35, 0.2, 0.1)  # of a window, before its end
LONGEST_WINDOW_S = 15.0
MOST_REFUSALS = 50  # at the limit, to see that they do not make its window longer


def test_limit_is_exact(stage: Stage, desk: Desk) -> None:
    """Replays, refusals and other users do not use it up, and do not get around it."""
    user = desk.with_whole_limit()
    channel, kept = user.usable[0], stage.ref("kept")
    for number, value in enumerate(VALUES["key"][:REFUSED]):
        draft = draft_for(user, channel, stage.ref(f"refused-{number}"))
        value.put(draft, Setting(desk, user, channel, stage.ref(f"{number}")))
        if value.name != "foreign" or stage.profile.pool.users[0].programme != stage.profile.pool.users[-1].programme:
            stage.send(draft)
    first = issue(stage, user, channel, kept)
    for _ in range(REFUSED):
        same(stage, first, issue(stage, user, channel, kept))
    desk.drive(user, channel)
    reached = stage.check(stage.send(draft_for(user, channel, stage.ref("over"))))
    if reached.intent != "limit-reached":
        pytest.skip("the window moved on while the limit was driven to")
    same(stage, first, issue(stage, user, channel, kept))
    for other_channel in user.usable:
        stage.check(stage.send(draft_for(user, other_channel)))
    stage.check(stage.send(draft_for(user, channel, stage.ref("over"))))


def test_refusals_for_the_user_do_not_count(stage: Stage, desk: Desk) -> None:
    """What a user with good credentials is refused for the channel uses nothing up."""
    limit = stage.profile.challenges
    if limit is None:
        pytest.skip("the profile declares no limit of challenges")
    for channel in stage.spec.channels:
        with contextlib.suppress(pytest.skip.Exception):
            user = desk.find("lacking", channel)
            break
    else:
        user = desk.find("lacking", stage.spec.channels[0])
    if not user.usable or stage.ledger.left(user, time.monotonic_ns()) < limit.count:
        pytest.skip("no user who lacks a channel has the whole limit left")
    for number in range(REFUSED):
        stage.check(stage.send(draft_for(user, channel, stage.ref(f"{number}"))))
        stage.check(stage.send(draft_for(user, "SMS", stage.ref(f"{number}"))))
    desk.drive(user, user.usable[0])


def test_limit_leaves_others_alone(stage: Stage, desk: Desk) -> None:
    user = desk.with_whole_limit()
    desk.drive(user, user.usable[0])
    stage.check(stage.send(draft_for(user, user.usable[0])))
    other = desk.outside_limit_of(user)
    issue(stage, other, other.usable[0], stage.ref("unlimited"))


def test_limit_is_the_persons(stage: Stage, desk: Desk) -> None:
    """Another login of the same person does not start a limit of its own."""
    user = desk.with_two_logins()
    desk.drive(user, user.usable[0])
    stage.check(stage.send(draft_for(desk.login_beside(user), user.usable[0], stage.ref("beside"))))


# What is declined first: to give that back is the likelier mistake, and a pool may have tokens for one of the two only.
@pytest.mark.parametrize("how", ["decline", "accept"])
def test_settling_gives_nothing_back(how: Literal["accept", "decline"], stage: Stage, desk: Desk) -> None:
    """A challenge counts whatever becomes of it: another token that is counted with it finds the limit reached."""
    if stage.profile.challenges is None:
        pytest.skip("the profile declares no limit of challenges")
    user, other = desk.counted_together()
    first = issue(stage, user, user.usable[0], stage.ref("first"))
    desk.drive(user, user.usable[0])
    desk.settled(first, how)
    stage.check(stage.send(draft_for(other, other.usable[0], stage.ref("beside"))))


def test_reset_gives_the_limit_back(stage: Stage, desk: Desk) -> None:
    """A call that was refused for the limit is served once the target has been told to forget."""
    if stage.profile.control.reset is None:
        pytest.skip("the profile names no call that resets the target: control.reset")
    user = desk.with_whole_limit()
    desk.drive(user, user.usable[0])
    ref = stage.ref("refused")
    refused = stage.check(stage.send(draft_for(user, user.usable[0], ref)))
    if refused.intent != "limit-reached":
        pytest.skip("the window moved on while the limit was driven to")
    if not desk.reset_now():
        pytest.skip("the target refused the reset")
    issue(stage, user, user.usable[0], ref)


def test_limit_ends_with_its_window(stage: Stage, desk: Desk) -> None:
    """A call that was refused for the limit is served once the window has passed, however often it was refused."""
    limit = stage.profile.challenges
    if limit is None or limit.window_ns > LONGEST_WINDOW_S * 1e9:
        pytest.skip("no limit is declared, or its window is too long to wait for")
    user = desk.with_whole_limit()
    desk.drive(user, user.usable[0])
    ref, over_at = stage.ref("later"), time.monotonic() + limit.window_ns / 1e9 * 1.01 + 0.1
    time.sleep(limit.window_ns / 1e9 / 2)
    # As many as are counted: a log of the last ones would then hold nothing else.
    for _ in range(min(limit.count, MOST_REFUSALS)):
        if time.monotonic() > over_at - limit.window_ns / 1e9 * LATE[0]:
            break
        stage.check(stage.send(draft_for(user, user.usable[0], ref)))
    for left in LATE:  # a window that ends too early serves one of these
        time.sleep(max(over_at - limit.window_ns / 1e9 * left - time.monotonic(), 0))
        stage.check(stage.send(draft_for(user, user.usable[0], ref)))
    time.sleep(max(over_at - time.monotonic(), 0))
    issue(stage, user, user.usable[0], ref)
