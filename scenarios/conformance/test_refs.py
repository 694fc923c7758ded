"""A reference makes repeated calls one call: for the same user and channel, to the letter, and for nothing else."""

import time
from collections.abc import Callable
from functools import partial
from typing import Final
from uuid import UUID

import pytest

from harness.pool import User
from harness.spec import load_spec
from scenarios.conformance.desk import Desk
from scenarios.conformance.draft import Draft, draft_for
from scenarios.conformance.stage import CaseFailed, Reply, Stage

EVERYBODY: Final = 80  # users who send one ref
REPEATS = 3
MANY = 60
LONG_PREFIX = "p" * 200


def issue(stage: Stage, user: User, channel: str, ref: str | None) -> Reply:
    """Ask for a challenge that must be issued."""
    return stage.check(stage.send(draft_for(user, channel, ref)))


def same(stage: Stage, first: Reply, again: Reply) -> None:
    """Both answers must name one challenge."""
    if (first.status, first.challenge) != (again.status, again.challenge):
        raise CaseFailed(stage.failure(again, "the same call again was given another challenge"))


def other(stage: Stage, first: Reply, second: Reply, why: str) -> None:
    """The two answers must name two challenges."""
    if first.challenge and first.challenge == second.challenge:
        raise CaseFailed(stage.failure(second, f"the same challenge was given for {why}"))


def test_replay(stage: Stage, desk: Desk) -> None:
    user = desk.find()
    ref = stage.ref("replay")
    first = issue(stage, user, user.usable[0], ref)
    for _ in range(REPEATS):
        same(stage, first, issue(stage, user, user.usable[0], ref))


def test_replay_on_another_connection(stage: Stage, desk: Desk) -> None:
    user = desk.find()
    ref = stage.ref("connection")
    first = issue(stage, user, user.usable[0], ref)
    for _ in range(REPEATS):
        stage.wire.close()
        same(stage, first, issue(stage, user, user.usable[0], ref))


def _lower(draft: Draft) -> None:
    draft.headers = [(name.lower(), value) for name, value in draft.headers]


def _agent(draft: Draft) -> None:
    draft.set("User-Agent", "another-client/2")
    draft.set("Accept", "*/*")


@pytest.mark.parametrize("change", [_lower, _agent], ids=["names-lower", "other-client"])
def test_replay_written_otherwise(change: object, stage: Stage, desk: Desk) -> None:
    """Only user, channel and ref make the call; how the rest of the request is written does not."""
    user = desk.find()
    draft = draft_for(user, user.usable[0], stage.ref("written"))
    first = stage.check(stage.send(draft))
    change(draft)  # type: ignore[operator]
    same(stage, first, stage.check(stage.send(draft)))


def test_replay_by_another_login(stage: Stage, desk: Desk) -> None:
    """A ref belongs to the person, not to the token."""
    user = desk.with_two_logins()
    ref = stage.ref("login")
    first = issue(stage, user, user.usable[0], ref)
    same(stage, first, issue(stage, desk.login_beside(user), user.usable[0], ref))


def test_ref_on_the_other_channel(stage: Stage, desk: Desk) -> None:
    user = desk.on_both(need=2)
    ref = stage.ref("channel")
    replies = [issue(stage, desk.free(user, channel), channel, ref) for channel in stage.spec.channels]
    other(stage, replies[0], replies[1], "the same ref on another channel")
    for channel, first in zip(stage.spec.channels, replies, strict=True):
        same(stage, first, issue(stage, user, channel, ref))


@pytest.mark.parametrize("programme", ["same", "other"])
def test_ref_of_another_user(programme: str, stage: Stage, desk: Desk) -> None:
    first_user = desk.find()
    channel, ref = first_user.usable[0], stage.ref("user")
    second_user = desk.another(first_user, channel, same_programme=programme == "same")
    first = issue(stage, first_user, channel, ref)
    second = issue(stage, second_user, channel, ref)
    other(stage, first, second, "the same ref of another user")
    same(stage, first, issue(stage, first_user, channel, ref))
    same(stage, second, issue(stage, second_user, channel, ref))


def test_ref_of_everybody(stage: Stage, desk: Desk) -> None:
    """One ref of many users is as many calls, whatever else two of these users have in common."""
    ref, given = stage.ref("everybody"), dict[str, Reply]()
    for user in desk.everybody(EVERYBODY):
        allow = stage.profile.policy.in_flight == "allow"
        for channel in user.usable if allow else user.usable[:1]:
            if stage.ledger.left(user, time.monotonic_ns()) < 1:
                break
            reply = issue(stage, user, channel, ref)
            if reply.challenge in given:
                other(stage, given[reply.challenge], reply, "the same ref of another user, or on another channel")
            given[reply.challenge] = reply
    if len(given) < 2:
        pytest.skip("the pool leaves no room for a ref of several users")


def test_no_ref_no_replay(stage: Stage, desk: Desk) -> None:
    user = desk.find(need=3)
    channel = user.usable[0]
    replies = [issue(stage, desk.free(user, channel), channel, None) for _ in range(3)]
    for first, second in ((0, 1), (1, 2), (0, 2)):
        other(stage, replies[first], replies[second], "two calls without a ref")


def as_uuid(ref: str) -> str:
    """A UUID with a letter in it, so that its upper case differs."""
    return str(UUID("a" + (ref * 2)[1:]))


def _parted(ref: str, sign: str) -> tuple[str, ...]:
    return f"{ref}{sign}a", f"{ref}{sign}b", f"a{ref}{sign}a"


NEAR: Final[dict[str, Callable[[str], tuple[str, ...]]]] = {
    "letter-case": lambda ref: (f"{ref}-abc", f"{ref}-ABC", f"{ref}-Abc"),
    "last-letter": lambda ref: (f"{ref}-1", f"{ref}-2"),
    "shorter": lambda ref: (f"{ref}-1", ref, f"{ref}-12"),
    "blanks-inside": lambda ref: (f"{ref} x", f"{ref}  x", f"{ref}x"),
    "zeros": lambda ref: (f"{ref}-1", f"{ref}-01", f"{ref}-1.0"),
    "large-numbers": lambda ref: tuple(f"9{int(ref, 16):020}{last}" for last in "123"),
    "zero-powers": lambda ref: tuple(f"0e{int(ref, 16)}{last}" for last in "12"),
    "numbers": lambda ref: (f"1e{int(ref[:4], 16)}", f"1E{int(ref[:4], 16)}", f"+1e{int(ref[:4], 16)}"),
    "signs": lambda ref: (f"{ref}-x", f"{ref}_x", f"{ref}.x", f"{ref}:x", f"{ref}x"),
    "uuid": lambda ref: (as_uuid(ref), as_uuid(ref).upper(), as_uuid(ref).replace("-", ""), f"urn:uuid:{as_uuid(ref)}"),
    "encoded": lambda ref: (f"{ref}/x", f"{ref}%2Fx", f"{ref}%2fx"),
    "plus": lambda ref: (f"{ref}+x", f"{ref} x", f"{ref}%20x"),
    "escaped": lambda ref: (f"{ref}-A", f"{ref}-%41", f"{ref}-&#65;"),
    "anagrams": lambda ref: (f"{ref}-abc", f"{ref}-acb", f"{ref}-bac", f"{ref}-cab"),
    "quoted": lambda ref: (f"{ref}-q", f'"{ref}-q"', f"'{ref}-q'"),
    "listed": lambda ref: (f"{ref}-a", f"{ref}-a,b", f"{ref}-a, b", f"{ref}-a;b=1"),
    "composed": lambda ref: tuple(f"{ref}-{one}".encode().decode("latin-1") for one in ("\u00e9", "e\u0301", "e")),
    "padded-wide": lambda ref: tuple(f"{ref}-p{one}".encode().decode("latin-1") for one in ("", "\u00a0", "\u200b")),
    "end-differs": lambda ref: (f"{ref}-{'x' * 10}", f"{ref}-{'x' * 9}y"),
    "long-prefix": lambda ref: (f"{ref}{LONG_PREFIX}1", f"{ref}{LONG_PREFIX}2"),
    "long-start": lambda ref: (f"1{ref}{LONG_PREFIX}", f"2{ref}{LONG_PREFIX}"),
}
# What joins parts of a key, a list or a path somewhere may part a ref here: before and behind it, refs may differ.
PARTING: Final = {"colon": ":", "slash": "/", "dot": ".", "equals": "=", "bar": "|", "hash": "#", "at": "@", "and": "&"}
NEAR.update({f"parted-by-{name}": partial(_parted, sign=sign) for name, sign in PARTING.items()})


class Near:
    """Refs that differ in one way, asked for by one person on one channel, one after another."""

    def __init__(self, name: str, user: User, channel: str, refs: tuple[str, ...]) -> None:
        self.name, self.user, self.channel, self.refs = name, user, channel, refs
        self.taken = True
        self._first: dict[str, Reply] = {}

    def issue(self, ref: str, stage: Stage, desk: Desk) -> None:
        """Ask for one more; it must be given a challenge that none of the others has."""
        reply = issue(stage, desk.free(self.user, self.channel), self.channel, ref)
        self.taken = self.taken and reply.status == 200
        for earlier in self._first.values():
            other(stage, earlier, reply, f"two refs that differ ({self.name})")
        self._first[ref] = reply

    def replay(self, stage: Stage) -> None:
        for ref, reply in self._first.items():
            same(stage, reply, issue(stage, self.user, self.channel, ref))


@pytest.mark.parametrize("channel", load_spec().channels)
@pytest.mark.parametrize("name", NEAR)
def test_near_refs(name: str, channel: str, stage: Stage, desk: Desk) -> None:
    """Refs that differ in anything are different refs."""
    if stage.profile.policy.in_flight == "reject":
        pytest.skip("one challenge at a time for each token: test_near_refs_in_turn asks for them")
    refs = NEAR[name](stage.ref(f"near-{name}"))
    near = Near(name, desk.find(channel=channel, need=len(refs)), channel, refs)
    for ref in refs:
        near.issue(ref, stage, desk)
        if not near.taken:
            pytest.skip("the target does not take this ref")
    near.replay(stage)


def test_near_refs_in_turn(stage: Stage, desk: Desk) -> None:
    """The same where a token has one challenge at a time: all persons ask for their first ref, then the second."""
    if stage.profile.policy.in_flight == "allow":
        pytest.skip("challenges may be pending side by side: test_near_refs asks for them")
    asking = _one_a_person(stage, desk)
    for turn in range(max(len(near.refs) for near in asking)):
        for near in asking:
            if near.taken and turn < len(near.refs):
                near.issue(near.refs[turn], stage, desk)
    for near in asking:
        if near.taken:
            near.replay(stage)


def _one_a_person(stage: Stage, desk: Desk) -> list[Near]:
    """Each way to differ, as long as there is a person who was not asked yet."""
    asking: dict[int, Near] = {}
    for channel in stage.spec.channels:
        for name, refs_of in NEAR.items():
            refs = refs_of(stage.ref(f"near-{name}-{channel}"))
            user = desk.find(channel=channel, need=len(refs))
            asking.setdefault(user.person, Near(name, user, channel, refs))
    return list(asking.values())


def test_many_refs_are_remembered_at_once(stage: Stage, desk: Desk) -> None:
    """Refs issued one after another all still replay afterwards, the first one too."""
    replies: list[tuple[User, str, Reply]] = []
    desk.reset()
    for number in range(min(MANY, desk.room() // 2)):
        user = desk.find()
        ref = stage.ref(f"many-{number}")
        replies.append((user, ref, issue(stage, user, user.usable[0], ref)))
    if len(replies) < 2:
        pytest.skip("the pool leaves no room for many refs")
    for user, ref, first in replies:
        same(stage, first, issue(stage, user, user.usable[0], ref))


@pytest.mark.parametrize("role", ["lacking", "unsupported"])
def test_refused_ref_is_free(role: str, stage: Stage, desk: Desk) -> None:
    """What is refused for one channel does not take the ref from the other."""
    channel = stage.spec.channels[1]
    user = desk.find(role, channel)  # type: ignore[arg-type]
    usable = user.usable[0] if user.usable else pytest.skip("the pool has no such user with a channel left")
    ref = stage.ref(f"refused-{role}")
    stage.check(stage.send(draft_for(user, channel, ref)))
    stage.check(stage.send(draft_for(user, usable, ref)))
    stage.check(stage.send(draft_for(user, channel, ref)))
