"""A request while it is put together: what will stand on the wire, and who and what it asks for."""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from harness.case import push_path
from harness.pool import User
from harness.spec import load_spec

SPEC: Final = load_spec()
AUTHORIZATION: Final = "Authorization"
BLANKS: Final = (" ", "\t")  # a value that begins with one brings its own blanks


@dataclass
class Draft:
    """One request. `path` stands below the base URL, as sent; header values are latin-1 text, so any bytes fit.

    `user` is the index of the token's user in the pool, `key` the number of the api-key (-1: none of the pool's, or
    not for sure one), `channel` the decoded path segment, `ref` the reference as sent, None without one. `hosts` are
    the values of Host, None for the target's own; `absolute` writes the target of the request as a whole URL; `before`
    comes before the request line, `line_end` after each line, and `extra` are further lines of the head as they are.
    `half_closed`: the connection's sending half is closed behind it.
    """

    method: str = SPEC.method
    path: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    protocol: str = "HTTP/1.1"
    body: bytes = b""
    user: int = -1
    key: int = -1
    channel: str = ""
    ref: str | None = None
    hosts: tuple[str, ...] | None = None
    absolute: bool = False
    before: bytes = b""
    line_end: bytes = b"\r\n"
    extra: bytes = b""
    half_closed: bool = False

    def set(self, name: str, *values: str) -> None:
        """Replace a header by one line for each value; none removes it."""
        self.headers = [line for line in self.headers if line[0].lower() != name.lower()]
        self.headers += [(name, value) for value in values]

    def values(self, name: str) -> list[str]:
        """All values of a header as they are sent, blanks around them removed as HTTP does."""
        return [value.strip(" \t") for given, value in self.headers if given.lower() == name.lower()]

    def data(self, host: str, prefix: str, scheme: str = "http") -> bytes:
        """The bytes to send to a target at `host` below `prefix`."""
        target = (f"{scheme}://{host}" if self.absolute else "") + prefix + self.path
        hosts = (host,) if self.hosts is None else self.hosts
        lines = [f"{self.method} {target} {self.protocol}", *(f"Host: {one}" for one in hosts)]
        lines += [f"{name}:{value if value.startswith(BLANKS) else ' ' + value}" for name, value in self.headers]
        head = b"".join(line.encode("latin-1") + self.line_end for line in lines) + self.extra
        return self.before + head + self.line_end + self.body


def draft_for(user: User, channel: str, ref: str | None = None) -> Draft:
    """The request of a caller who does everything right."""
    draft = Draft(user=user.index, key=user.key)
    draft.headers = [
        (AUTHORIZATION, f"Bearer {user.token}"),
        (SPEC.key_header, user.api_key),
        ("Accept", "application/json"),
        ("Content-Length", "0"),
    ]
    put_channel(draft, channel)
    put_ref(draft, ref)
    return draft


def put_channel(draft: Draft, channel: str, *, encoded: str | None = None) -> None:
    """Ask for a channel; `encoded` is its spelling in the path where it is not the usual one."""
    segment = quote(channel, safe="") if encoded is None else encoded
    draft.path = push_path(segment)
    draft.channel = unquote_to_bytes(segment).decode("utf-8", "replace")


def put_ref(draft: Draft, *refs: str | None) -> None:
    """Send these idempotency-refs, none where the one given is None."""
    sent = [ref for ref in refs if ref is not None]
    draft.set(SPEC.ref_header, *sent)
    draft.ref = sent[0] if sent else None
