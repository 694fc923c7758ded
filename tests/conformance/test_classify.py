"""What is wrong about a request is read off the wire, and what is allowed for it follows from all that is wrong."""

from collections.abc import Callable

import pytest

from harness.case import INTENTS
from harness.profile import Policy
from scenarios.conformance.classify import intents_of
from scenarios.conformance.draft import Draft, draft_for, put_channel, put_ref
from scenarios.conformance.precedence import NAMING, judged_as
from tests.conformance.people import profile

PROFILE = profile()
USERS = PROFILE.pool.users
Change = Callable[[Draft], object]


def intents(change: Change, user: int = 0, channel: str = "AUTHY") -> set[str]:
    draft = draft_for(USERS[user], channel, "a-ref")
    change(draft)
    return intents_of(draft, PROFILE)


def header(name: str, *values: str) -> Change:
    return lambda draft: draft.set(name, *values)


def field(**values: object) -> Change:
    return lambda draft: vars(draft).update(values)


def path(encoded: str) -> Change:
    return lambda draft: put_channel(draft, "", encoded=encoded)


KEY, TOKEN = USERS[0].api_key, USERS[0].token


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda _: None, {"valid"}),
        (header("api-key"), {"key-missing"}),
        (header("api-key", ""), {"key-empty"}),
        (header("api-key", "no-such"), {"key-unknown"}),
        (header("api-key", KEY + "x"), {"key-unknown"}),
        (header("api-key", KEY, "other"), {"key-twice"}),
        (header("api-key", USERS[2].api_key), {"key-foreign"}),
        (header("api-key", f"  {KEY}"), {"valid"}),
        (header("api-key", f"{KEY} "), {"http-legal"}),
        (header("Authorization"), {"token-missing"}),
        (header("Authorization", "Bearer"), {"token-empty"}),
        (header("Authorization", "Bearer no.such"), {"token-unknown"}),
        (header("Authorization", f"Bearer {TOKEN[:-1]}"), {"token-part"}),
        (header("Authorization", f"Bearer {TOKEN}x"), {"token-part"}),
        (header("Authorization", f"Basic {TOKEN}"), {"token-scheme"}),
        (header("Authorization", TOKEN), {"token-scheme"}),
        (header("Authorization", 'Bearer {"a"}'), {"token-malformed"}),
        (header("Authorization", f"Bearer {TOKEN}", "Bearer x"), {"token-twice"}),
        (header("Authorization", f"bearer {TOKEN}"), {"http-legal"}),
        (path("SMS"), {"channel-unknown"}),
        (path("authy"), {"channel-unknown"}),
        (path("AUTHY%20"), {"channel-unknown"}),
        (path("%41UTHY"), {"channel-encoded"}),
        (path("AUTHY/"), {"channel-slash"}),
        (path(""), {"channel-empty"}),
        (path("AUTHY/x"), {"path-missed"}),
        (path("./AUTHY"), {"path-odd"}),
        (path("../push/AUTHY"), {"path-odd"}),
        (path("../../AUTHY"), {"path-missed"}),
        (path("AUTHY%2F"), {"path-odd"}),
        (path("AUTHY%00"), {"path-missed"}),
        (path("%7Bchannel%7D"), {"path-missed"}),
        (path("AUTHY%FF"), {"path-missed"}),
        (path("AUTHY%"), {"http-broken"}),
        (path("%4xUTHY"), {"http-broken"}),
        (path("x" * 500), {"path-missed"}),
        (field(path="/"), {"path-missed"}),
        (field(path="/stepup/challenges/push/AUTHY?x=1"), {"query-sent"}),
        (lambda draft: put_ref(draft, None), {"valid"}),
        (lambda draft: put_ref(draft, ""), {"ref-odd"}),
        (lambda draft: put_ref(draft, "r" * 255), {"valid"}),
        (lambda draft: put_ref(draft, "r" * 256), {"ref-odd"}),
        (lambda draft: put_ref(draft, "caf\xe9"), {"ref-odd"}),
        (lambda draft: put_ref(draft, "a", "b"), {"ref-twice"}),
        (lambda draft: put_ref(draft, "a\x01"), {"ref-odd", "http-broken"}),
        (field(method="GET"), {"method-other"}),
        (field(method="BREW"), {"method-unknown"}),
        (field(method="post"), {"http-legal"}),
        (field(method="TRACE"), {"method-unknown"}),
        (field(method="POST "), {"http-legal"}),
        (header("Content-Length", "5"), {"http-broken"}),
        (header("Content-Length", "0", "0"), {"http-legal"}),
        (header("Content-Length"), {"http-legal"}),
        (header("Content-Type", "multipart/form-data"), {"http-legal"}),
        (header("Accept", "text/html"), {"accept-odd"}),
        (header("Accept", "text/html, */*"), {"valid"}),
        (field(hosts=()), {"http-broken"}),
        (field(hosts=("a", "b")), {"http-broken"}),
        (field(protocol="HTTP/1.0"), {"http-legal"}),
        (field(protocol="HTTP/1.0", hosts=()), {"http-legal"}),
        (field(protocol="ICY/1.1"), {"http-broken"}),
        (field(absolute=True), {"http-legal"}),
        (field(extra=b"no colon\r\n"), {"http-broken"}),
        (field(extra=b" folded\r\n"), {"http-legal"}),
    ],
)
def test_one_thing_wrong(change: Change, found: set[str]) -> None:
    assert intents(change) == found


@pytest.mark.parametrize(
    ("user", "channel", "found"),
    [
        (1, "BIOMETRIC", {"unregistered"}),
        (2, "BIOMETRIC", {"unsupported", "unregistered"}),
        (3, "AUTHY", {"token-logged-out"}),
        (4, "AUTHY", {"token-impersonator"}),
    ],
)
def test_what_the_pool_says_of_the_user(user: int, channel: str, found: set[str]) -> None:
    assert intents(lambda _: None, user, channel) == found


def test_every_intent_that_is_found_has_its_place_and_is_known() -> None:
    assert len(set(NAMING)) == len(NAMING)
    assert set(NAMING) <= set(INTENTS)


@pytest.mark.parametrize(
    ("found", "named", "allowed"),
    [
        ({"key-missing", "channel-unknown"}, "key-missing", ("400", "401")),
        ({"token-unknown", "unregistered"}, "token-unknown", ("401",)),
        ({"token-unknown", "key-foreign"}, "token-unknown", ("401", "403")),
        ({"token-unknown", "after-accept", "limit-reached"}, "token-unknown", ("401",)),
        ({"channel-unknown", "ref-odd"}, "channel-unknown", ("400",)),
        ({"ref-odd", "unregistered"}, "ref-odd", ("400", "409:CHANNEL_NOT_REGISTERED")),
        ({"method-other", "token-missing"}, "method-other", ("405", "401")),
        ({"body-sent", "token-missing"}, "token-missing", ("401", "400", "413", "415")),
        ({"accept-odd", "valid"}, "accept-odd", ("200", "406:ANY_FORM")),
        ({"http-broken", "key-missing"}, "http-broken", ("4xx", "400", "401")),
        ({"ref-odd", "body-sent"}, "ref-odd", ("200", "400", "413", "415")),
        ({"pending"}, "pending", ("200",)),
        (set(), "valid", ("200",)),
    ],
)
def test_several_things_wrong(found: set[str], named: str, allowed: tuple[str, ...]) -> None:
    assert judged_as(found, PROFILE) == (named, allowed)


def test_what_is_unsure_is_allowed_and_not_demanded() -> None:
    strict = profile(policy=Policy(in_flight="reject"))
    assert judged_as({"valid"}, strict, frozenset({"pending"})) == ("valid", ("200", "409:STATE_INVALID"))
    assert judged_as({"pending"}, strict) == ("pending", ("409:STATE_INVALID",))
    assert judged_as({"token-unknown"}, strict, frozenset({"pending"})) == ("token-unknown", ("401",))
