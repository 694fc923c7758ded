"""Ways to write a request that Python's HTTP clients put right or refuse: legal and unusual, or breaking HTTP."""

from collections.abc import Callable
from typing import Final

from harness.spec import load_spec
from scenarios.conformance.draft import Draft

SPEC: Final = load_spec()
Write = Callable[[Draft], None]
ODDITIES: Final[dict[str, Write]] = {}


def _as(name: str) -> Callable[[Write], Write]:
    def keep(write: Write) -> Write:
        ODDITIES[name] = write
        return write

    return keep


def _with(name: str, **fields: object) -> None:
    def write(draft: Draft) -> None:
        for field, value in fields.items():
            setattr(draft, field, value)

    ODDITIES[name] = write


def _header(name: str, header: str, *values: str) -> None:
    ODDITIES[name] = lambda draft: draft.set(header, *values)


def _renamed(name: str, rename: Callable[[str], str]) -> None:
    def write(draft: Draft) -> None:
        draft.headers = [(rename(header), value) for header, value in draft.headers]

    ODDITIES[name] = write


def _path(name: str, change: Callable[[str], str]) -> None:
    def write(draft: Draft) -> None:
        draft.path = change(draft.path)

    ODDITIES[name] = write


_renamed("header-names-lower", str.lower)
_renamed("header-names-upper", str.upper)
_renamed("header-names-mixed", lambda name: "".join(c.upper() if n % 2 else c for n, c in enumerate(name)))
_header("length-missing", "Content-Length")
_header("length-twice", "Content-Length", "0", "0")
_header("length-negative", "Content-Length", "-1")
_header("length-word", "Content-Length", "none")
_header("length-signed", "Content-Length", "+0")
_header("lengths-differ", "Content-Length", "0", "7")
_with("http-1.0", protocol="HTTP/1.0")
_with("http-1.0-no-host", protocol="HTTP/1.0", hosts=())
_with("http-1.2", protocol="HTTP/1.2")
_with("http-9.9", protocol="HTTP/9.9")
_with("protocol-lower", protocol="http/1.1")
_with("protocol-other", protocol="ICY/1.1")
_with("whole-url", absolute=True)
_with("empty-line-first", before=b"\r\n")
_with("garbage-first", before=b"\x00\x01")
_with("bare-line-feeds", line_end=b"\n")
_with("host-missing", hosts=())
_with("host-other", hosts=("other.example",))
_with("host-local", hosts=("localhost",))
_with("host-ends-in-dot", hosts=("localhost.",))
_with("host-twice", hosts=("127.0.0.1", "other.example"))
_with("host-malformed", hosts=("a b/c@d",))
_with("line-without-colon", extra=b"no colon here\r\n")
_with("line-without-name", extra=b": no name\r\n")
_with("blank-before-colon", extra=b"x-odd : 1\r\n")
_with("line-folded", extra=b" goes on\r\n")
_with("nul-in-header", extra=b"x-odd: a\x00b\r\n")
_with("control-in-header", extra=b"x-odd: a\x02b\r\n")
_with("bare-return-in-header", extra=b"x-odd: a\rb\r\n")
_with("half-closed", half_closed=True)
_header("expect-continue", "Expect", "100-continue")
_header("expect-other", "Expect", "miracles")
_header("upgrade-h2c", "Upgrade", "h2c")
_header("upgrade-websocket", "Upgrade", "websocket")
_header("connection-close", "Connection", "close")
_header("method-override", "X-HTTP-Method-Override", "GET")
_header("cookie", "Cookie", "session=1; $Version=1")
_header("forwarded", "X-Forwarded-For", "203.0.113.7, 10.0.0.1")
_header("forwarded-local", "X-Forwarded-For", "127.0.0.1")
_header("real-address-local", "X-Real-IP", "127.0.0.1")
_header("forwarded-standard", "Forwarded", "for=127.0.0.1;host=localhost")
_header("prefer-async", "Prefer", "respond-async")
_header("prefer-minimal", "Prefer", "return=minimal")
_header("language", "Accept-Language", "xx, de;q=0.5")
_header("charset", "Accept-Charset", "utf-16")
_header("range", "Range", "bytes=0-1")
_header("if-none-match", "If-None-Match", "*")
_header("encoding-refused", "Accept-Encoding", "identity;q=0")
_header("origin", "Origin", "https://elsewhere.example")
_header("coding-unknown", "Transfer-Encoding", "elaborate")
_header("large-header", "x-padding", "p" * 12_000)
_path("path-with-space", lambda path: path + " x")
_path("path-with-control", lambda path: path + "\x01")
_path("path-not-ascii", lambda path: path + "\xe9")
_path("path-with-fragment", lambda path: path + "#x")
_path("path-case", lambda path: path.replace("/push/", "/PUSH/"))
_path("path-prefix-twice", lambda path: "/stepup" + path)
_path("path-root", lambda _: "/")
_path("path-parent", lambda path: path.rpartition("/")[0])
_path("path-bare-percent", lambda path: path + "%")


def _another(name: str, header: str, **fields: object) -> None:
    """A request for something else, with a header that names the operation."""

    def write(draft: Draft) -> None:
        draft.set(header, SPEC.method if "method" in fields else draft.path)
        for field, value in fields.items():
            setattr(draft, field, value)

    ODDITIES[name] = write


for _header_name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
    _another(f"get-{_header_name[2:].lower()}", _header_name, method="GET")
for _header_name in ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri"):
    _another(f"root-{_header_name[2:].lower()}", _header_name, path="/")


@_as("many-headers")
def _many(draft: Draft) -> None:
    draft.headers += [(f"x-filler-{number}", "1") for number in range(80)]


@_as("chunked-empty")
def _chunked(draft: Draft) -> None:
    draft.set("Content-Length")
    draft.set("Transfer-Encoding", "chunked")
    draft.body = b"0\r\n\r\n"


@_as("chunked-body")
def _chunked_body(draft: Draft) -> None:
    _chunked(draft)
    draft.body = b"2\r\n{}\r\n0\r\n\r\n"


@_as("chunked-broken")
def _chunked_broken(draft: Draft) -> None:
    _chunked(draft)
    draft.body = b"zz\r\n{}\r\n0\r\n\r\n"


@_as("chunked-and-length")
def _both(draft: Draft) -> None:
    _chunked(draft)
    draft.set("Content-Length", "5")


@_as("two-blanks")
def _two_blanks(draft: Draft) -> None:
    draft.method += " "


@_as("tabs-for-blanks")
def _tabs(draft: Draft) -> None:
    draft.method += "\t"


@_as("method-connect")
def _connect(draft: Draft) -> None:
    draft.method = "CONNECT"
