"""Says what is unusual or wrong about a request, from what stands on the wire alone: its intents."""

import re
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import unquote_to_bytes

from harness.pool import User
from harness.profile import Profile
from harness.spec import load_spec
from scenarios.conformance.draft import AUTHORIZATION, BLANKS, Draft

SPEC: Final = load_spec()
# Without TRACE, which gateways refuse themselves, in a form of their own, and CONNECT, which takes no path.
REGISTERED: Final = ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS")
TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
BEARER: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, section 2.1
BROKEN: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # no field value may hold these; RFC 9110, section 5.5
PLAIN_REF: Final = re.compile(r"[A-Za-z0-9._:~+/=-]+(?: +[A-Za-z0-9._:~+/=-]+)*")
UNDECLARED_REF: Final = 36  # characters of a UUID: what any target takes that does not say how much it takes
LARGE_HEAD: Final = 8_000  # bytes; a gateway may refuse more
LONG_SEGMENT: Final = 200  # characters; a gateway may refuse more
_UNROUTED: Final = re.compile(rb"[\x00-\x1f\x7f{}]")  # braces are what some routers write templates with
_NO_SEGMENT: Final = re.compile(r"[^!-~]|%(?![0-9A-Fa-f]{2})")  # what no path may hold; RFC 3986, sections 2.1 and 3.3
_CHUNKED: Final = re.compile(rb"([0-9A-Fa-f]+(;[^\r\n]*)?\r\n.*\r\n)*0\r\n\r\n", re.DOTALL)
# Headers that ask a server for something besides the operation; it may refuse them.
ASKING: Final = ("expect", "upgrade", "te", "trailer", "range", "if-match", "if-none-match", "content-encoding",
                 "x-http-method-override", "max-forwards")  # fmt: skip


def intents_of(draft: Draft, profile: Profile) -> set[str]:
    """The intents that apply to a request; `valid` where nothing else does. What its user did before is left out."""
    found = {intent for look in LOOKS for intent in look(draft, profile)}
    return found or {"valid"}


def _method(draft: Draft, _: Profile) -> Iterator[str]:
    if draft.method.rstrip(" \t") == SPEC.method:
        # Words of the request line may be parted by any blanks, for who is lenient (RFC 9112, section 3).
        yield from () if draft.method == SPEC.method else ("http-legal",)
    else:
        known = "method-other" if draft.method in REGISTERED else "method-unknown"
        yield "http-legal" if draft.method.upper() == SPEC.method else known  # many a framework knows no case


def _path(draft: Draft, profile: Profile) -> Iterator[str]:
    path, question, _ = draft.path.partition("?")
    if question:
        yield "query-sent"
    if "#" in path:  # a fragment is the client's own affair; who is lenient drops it
        path = path.partition("#")[0]
        yield "path-odd"
    before, after = SPEC.template.split("{channel}")
    segment = path[len(before) :]
    if not path.startswith(before) or after:
        yield "path-missed"
    elif not segment:
        yield "channel-empty"
    else:
        yield from _segment(segment, draft, profile)


def _segment(segment: str, draft: Draft, profile: Profile) -> Iterator[str]:
    bare = segment.removesuffix("/")
    decoded = unquote_to_bytes(bare)
    name = decoded.decode("utf-8", "replace")
    if "/" in bare or b"/" in decoded or name in (".", ".."):
        yield "path-odd" if _resolved(name) in SPEC.channels else "path-missed"
    elif len(bare) > LONG_SEGMENT or not bare.isascii() or _UNROUTED.search(decoded) or "\ufffd" in name:
        yield "path-missed"  # gateways and routers refuse these before any service sees a segment
    elif _NO_SEGMENT.search(bare):
        yield "http-broken"
    elif name not in SPEC.channels:
        yield "channel-unknown"
    elif bare != name:
        yield "channel-encoded"
    if bare != segment:
        yield "channel-slash"
    yield from _enrolment(name, draft, profile)


def _resolved(segments: str) -> str:
    """What is left after the operation's prefix once empty and dot segments are resolved, as many gateways do."""
    left = SPEC.template.split("{channel}")[0].strip("/").split("/")
    depth = len(left)
    for segment in segments.split("/"):
        if segment == "..":
            left[-1:] = []
        elif segment not in ("", "."):
            left.append(segment)
    return "/".join(left[depth:])


def _enrolment(channel: str, draft: Draft, profile: Profile) -> Iterator[str]:
    user = token_user(draft, profile)
    if user is not None and channel in SPEC.channels:
        if channel in user.unsupported:
            yield "unsupported"
        if channel not in user.channels:
            yield "unregistered"
        if channel in profile.pool.unsaid(user):
            yield "unsupported-unsaid"


def _key(draft: Draft, profile: Profile) -> Iterator[str]:
    keys = draft.values(SPEC.key_header)
    if len(keys) != 1:
        yield "key-twice" if keys else "key-missing"
    elif not keys[0]:
        yield "key-empty"
    elif key_number(draft, profile) < 0:
        yield "key-unknown"


def _token(draft: Draft, profile: Profile) -> Iterator[str]:
    given = draft.values(AUTHORIZATION)
    user = token_user(draft, profile)
    if len(given) != 1:
        yield "token-twice" if given else "token-missing"
    elif user is None:
        yield _no_token(given[0], profile)
    else:
        if given[0] != f"Bearer {user.token}":
            yield "http-legal"  # the scheme's letter case and the number of blanks are free (RFC 9110, section 11.4)
        yield from {"logged_out": ["token-logged-out"], "impersonator": ["token-impersonator"]}.get(user.state, [])
        key = key_number(draft, profile)
        if key >= 0 and not any(one.key == key and one.programme == user.programme for one in profile.pool.users):
            yield "key-foreign"


def _no_token(given: str, profile: Profile) -> str:
    scheme, _, credential = given.partition(" ")
    credential = credential.strip(" ")
    if not given or (scheme.lower() == "bearer" and not credential):
        return "token-empty"
    if any(user.token == credential or user.token == given for user in profile.pool.users):
        return "token-scheme"
    if scheme.lower() != "bearer" or not BEARER.fullmatch(credential):
        return "token-malformed"
    near = (user.token for user in profile.pool.users)
    return "token-part" if any(one in credential or credential in one for one in near) else "token-unknown"


def token_user(draft: Draft, profile: Profile) -> User | None:
    """The pool's user whose token the request carries, where it carries one for sure."""
    given = draft.values(AUTHORIZATION)
    scheme, _, credential = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    credential = credential.strip(" ")
    if scheme.lower() != "bearer" or not credential:
        return None
    return next((user for user in profile.pool.users if user.token == credential), None)


def key_number(draft: Draft, profile: Profile) -> int:
    """The pool's number of the api-key that the request carries, -1 where it carries none for sure."""
    keys = draft.values(SPEC.key_header)
    if len(keys) != 1:
        return -1
    return next((user.key for user in profile.pool.users if user.api_key == keys[0]), -1)


def _ref(draft: Draft, profile: Profile) -> Iterator[str]:
    refs = draft.values(SPEC.ref_header)
    longest = profile.policy.longest_ref or UNDECLARED_REF
    if len(refs) > 1:
        yield "ref-twice"
    elif refs and (len(refs[0]) > longest or not PLAIN_REF.fullmatch(refs[0])):
        yield "ref-odd"


def _framing(draft: Draft, _: Profile) -> Iterator[str]:
    lengths, codings = draft.values("content-length"), draft.values("transfer-encoding")
    length = str(len(draft.body))
    if codings:
        # A server may refuse a length beside it, or not know the coding: 400 and 501 are right, and so is service.
        yield "http-legal" if codings != ["chunked"] or lengths or _CHUNKED.fullmatch(draft.body) else "http-broken"
        if draft.body != b"0\r\n\r\n":
            yield "body-sent"
    elif not lengths:
        yield "http-broken" if draft.body else "http-legal"  # a server may ask for a length (RFC 9110, 15.5.12)
    elif any(one != length for one in lengths):
        yield "http-broken"
    elif len(lengths) > 1:
        yield "http-legal"  # the same length twice may be taken for one (RFC 9112, section 6.3)
    if draft.body and not codings:
        yield "body-sent"
    elif not draft.body and draft.values("content-type"):
        yield "http-legal"  # a form, JSON and the like of no bytes at all is malformed to whoever looks at the type


def _accept(draft: Draft, _: Profile) -> Iterator[str]:
    accepted = ",".join(draft.values("accept"))
    if accepted and not re.search(r"(\*/\*|application/\*|application/json)\s*(,|$)", accepted):
        yield "accept-odd"


def _host(draft: Draft, _: Profile) -> Iterator[str]:
    if draft.hosts is not None:
        missing = not draft.hosts and draft.protocol == "HTTP/1.1"
        yield "http-broken" if missing or len(draft.hosts) > 1 else "http-legal"
    if draft.half_closed or draft.absolute or re.fullmatch(r"HTTP/(?!1\.1)[0-9]\.[0-9]", draft.protocol):
        yield "http-legal"
    elif draft.protocol != "HTTP/1.1":
        yield "http-broken"


def _lines(draft: Draft, _: Profile) -> Iterator[str]:
    """How the head is written: names, values, line ends and size."""
    for name, value in draft.headers:
        if not TOKEN.fullmatch(name) or BROKEN.search(value):
            yield "http-broken"
        elif name.lower() in ASKING or (value and value.endswith(BLANKS)):
            yield "http-legal"  # blanks behind a value are no part of it, which widespread parsers do not know
    if not TOKEN.fullmatch(draft.method.rstrip(" \t")) or (draft.before and draft.before != b"\r\n"):
        yield "http-broken"
    if draft.before == b"\r\n" or draft.line_end != b"\r\n":
        yield "http-legal"
    if draft.extra:  # a line that goes on from the one before may be joined to it (RFC 9112, section 5.2)
        yield "http-legal" if draft.extra.startswith((b" ", b"\t")) else "http-broken"
    if sum(len(name) + len(value) + 4 for name, value in draft.headers) > LARGE_HEAD:
        yield "http-legal"


LOOKS: Final[tuple[Callable[[Draft, Profile], Iterator[str]], ...]] = (
    _method, _path, _key, _token, _ref, _framing, _accept, _host, _lines
)  # fmt: skip
