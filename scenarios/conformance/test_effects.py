"""What a request does besides its answer: nothing where it is refused, one challenge of its own where it is served."""

import time
from collections.abc import Callable
from typing import Final

import pytest

from scenarios.conformance.desk import Desk
from scenarios.conformance.dimensions import VALUES, Setting, Value
from scenarios.conformance.draft import SPEC, Draft, draft_for
from scenarios.conformance.oddities import ODDITIES
from scenarios.conformance.stage import CaseFailed, Reply, Stage
from scenarios.conformance.test_refs import issue, other, same

LONGEST_LATE_S = 5.0
PLAIN: Final = [value for values in VALUES.values() for value in values if value.role == "plain"]
PAYLOADS: Final = ("body-sent", "query-sent")
SPELLINGS: Final = ("channel-encoded", "http-legal")
Write = Callable[[Draft, str], None]


class Counted:
    """Knows whether all that was issued has been pushed: only then is a push that is counted the latest call's."""

    def __init__(self, stage: Stage) -> None:
        self._ids = stage.ledger.ids
        self._pushed = self._told = stage.control.pushes()
        self._issued = len(self._ids)

    def all(self, told: int | None) -> bool:
        """Whether nothing is under way when the target tells this many; who begins to count anew leaves that open."""
        if told is None or self._pushed is None or self._told is None or told < self._told:
            self._pushed = None
            return False
        self._told = told
        return told - self._pushed >= len(self._ids) - self._issued


@pytest.fixture(scope="module")
def counted(stage: Stage) -> Counted | None:
    """The count, once earlier challenges have surely been pushed; None where that takes too long, or forever."""
    late_s = (stage.profile.target.late_effect_ns or 0) / 1e9
    if stage.profile.control.pushes is None or not 0 < late_s <= LONGEST_LATE_S:
        return None
    time.sleep(late_s * 1.02 + 0.05)
    return Counted(stage)


@pytest.mark.parametrize("value", PLAIN, ids=lambda value: value.id)
def test_refused_does_nothing(value: Value, stage: Stage, desk: Desk, counted: Counted | None) -> None:
    """One thing is wrong or unusual about the request; its ref tells afterwards what came of it."""
    user = desk.find(need=2)
    channel, ref = user.usable[0], stage.ref(value.id)
    draft = draft_for(user, channel, ref)
    value.put(draft, Setting(desk, user, channel, ref))
    _does_as_it_says(draft, ref, stage, counted)


@pytest.mark.parametrize("name", ODDITIES)
def test_odd_http_does_nothing_more(name: str, stage: Stage, desk: Desk, counted: Counted | None) -> None:
    user = desk.find(need=2)
    ref = stage.ref(name)
    draft = draft_for(user, user.usable[0], ref)
    ODDITIES[name](draft)
    _does_as_it_says(draft, ref, stage, counted)


def _does_as_it_says(draft: Draft, ref: str, stage: Stage, counted: Counted | None) -> None:
    """Send it, and then the plain call with its ref: free where it was refused, its own where it was served."""
    before = stage.control.pushes()
    quiet = counted is not None and counted.all(before)
    reply = stage.check(stage.send(draft))
    after = stage.control.pushes()
    if quiet and not stage.ledger.anything_lost(time.monotonic_ns()):
        _pushes(stage, reply, before, after)
    user = stage.profile.pool.users[draft.user]
    channel = user.usable[0]
    # As written: widespread parsers take the blanks behind a value for a part of it.
    refs = [value for name, value in draft.headers if name.lower() == SPEC.ref_header]
    if reply.status != 200 or (draft.channel, refs) != (channel, [ref]):
        issue(stage, user, channel, ref)
        return
    if reply.intent in PAYLOADS:
        return  # who takes body or query for a part of the call may refuse the plain one as another with its ref
    allowed = ("200", "400") if reply.intent in SPELLINGS else None
    plain = stage.check(stage.send(draft_for(user, channel, ref), allowed=allowed))
    if plain.status == 200:
        same(stage, reply, plain)


def _pushes(stage: Stage, reply: Reply, before: int | None, after: int | None) -> None:
    """A refusal pushes nothing; what is served pushes once, and need not have done so yet.

    Who refuses a body that breaks HTTP may have handed on the head before, and then it was asked for.
    """
    if reply.intent == "http-broken" and reply.status != 200:
        return
    if before is None or after is None or not reply.status or not stage.profile.target.exclusive:
        return
    if after - before > (1 if reply.status == 200 else 0):
        raise CaseFailed(stage.failure(reply, f"answered {reply.status}, but {after - before} pushes were sent"))


def _query(name: str) -> Write:
    def put(draft: Draft, value: str) -> None:
        draft.path += f"?{name}={value}"

    return put


def _header(name: str) -> Write:
    return lambda draft, value: draft.set(name, value)


def _body(form: str, kind: str, name: str) -> Write:
    def put(draft: Draft, value: str) -> None:
        draft.body = form.replace("NAME", name).replace("VALUE", value).encode()
        draft.set("Content-Length", str(len(draft.body)))
        draft.set("Content-Type", kind)

    return put


def _everywhere(name: str) -> dict[str, Write]:
    """The places besides the documented one where a value of this name might be looked for."""
    return {
        "query": _query(name),
        "json": _body('{"NAME": "VALUE"}', "application/json", name),
        "form": _body("NAME=VALUE", "application/x-www-form-urlencoded", name),
        "cookie": lambda draft, value: draft.set("Cookie", f"{name}={value}"),
    }


ELSEWHERE: Final = {**_everywhere("channel"), "header": _header("channel"), "header-x": _header("X-Channel")}
NO_REFS: Final = {
    **_everywhere(SPEC.ref_header),
    **{name.lower(): _header(name) for name in (
        SPEC.ref_header.replace("-", "_"), "Idempotency-Key", "X-Idempotency-Key", "X-Request-Id", "X-Correlation-Id",
        "Request-Id", "If-Match",
    )},
}  # fmt: skip


@pytest.mark.parametrize("place", ELSEWHERE)
def test_only_the_path_names_the_channel(place: str, stage: Stage, desk: Desk) -> None:
    """Who is not enrolled on the channel that is named elsewhere is served on the one that the path names."""
    for channel in stage.spec.channels:
        try:
            user = desk.find("lacking", channel)
        except pytest.skip.Exception:
            continue
        for own in user.usable:
            draft = draft_for(user, own, stage.ref(f"{own}-{channel}"))
            ELSEWHERE[place](draft, channel)
            stage.check(stage.send(draft))


@pytest.mark.parametrize("place", NO_REFS)
def test_only_its_header_is_a_ref(place: str, stage: Stage, desk: Desk) -> None:
    """Two requests without a ref are two operations, also where something else about them is the same."""
    user = desk.find(need=2)
    channel, replies = user.usable[0], []
    for token in (user, desk.free(user, channel)):
        draft = draft_for(token, channel)
        NO_REFS[place](draft, stage.ref("elsewhere"))
        replies.append(stage.check(stage.send(draft)))
    other(stage, replies[0], replies[1], "two calls without a ref")
