"""The dimensions of a request and the values of each: what a caller can get wrong, one at a time, as data."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from harness.pool import User
from harness.spec import load_spec
from scenarios.conformance.desk import Desk, Role
from scenarios.conformance.draft import AUTHORIZATION, Draft, put_channel, put_ref

SPEC: Final = load_spec()


@dataclass(frozen=True)
class Setting:
    """Who asks, on which channel, and a text that no other case uses."""

    desk: Desk
    user: User
    channel: str
    unique: str


Put = Callable[[Draft, Setting], None]


@dataclass(frozen=True)
class Value:
    """One value of a dimension. `role` is the user it needs; `paired`: whether it is also tried beside others."""

    dimension: str
    name: str
    put: Put
    role: Role = "plain"
    paired: bool = True

    @property
    def id(self) -> str:
        return f"{self.dimension}-{self.name}"


VALUES: Final[dict[str, list[Value]]] = {}


def _value(dimension: str, name: str, put: Put, role: Role = "plain", *, paired: bool = True) -> None:
    VALUES.setdefault(dimension, []).append(Value(dimension, name, put, role, paired))


def _nothing(draft: Draft, setting: Setting) -> None:
    """The value is in who asks."""


def _key(name: str, make: Callable[[Setting], list[str]]) -> None:
    _value("key", name, lambda draft, setting: draft.set(SPEC.key_header, *make(setting)))


def _token(name: str, make: Callable[[Setting], list[str]], role: Role = "plain") -> None:
    _value("token", name, lambda draft, setting: draft.set(AUTHORIZATION, *make(setting)), role)


def _channel(name: str, make: Callable[[str], str]) -> None:
    """A channel from a documented one, as it stands in the path."""
    _value("channel", name, lambda draft, setting: put_channel(draft, "", encoded=make(setting.channel)))


def _ref(name: str, make: Callable[[Setting], list[str | None]], *, paired: bool = True) -> None:
    _value("ref", name, lambda draft, setting: put_ref(draft, *make(setting)), paired=paired)


def _header(dimension: str, name: str, header: str, *values: str) -> None:
    _value(dimension, name, lambda draft, _: draft.set(header, *values))


def _mangled(secret: str) -> str:
    """A text of the same form that is another one."""
    return secret[:-1] + ("x" if secret[-1:] != "x" else "y")


def _encoded(secret: str) -> str:
    """Percent-encoded as in a path, which a header's value never is."""
    return f"%{ord(secret[0]):02X}{secret[1:]}"


def _other_case(text: str) -> str:
    return text.swapcase() if text.swapcase() != text else text + "X"


_key("missing", lambda _: [])
_key("empty", lambda _: [""])
_key("unknown", lambda s: [f"no-such-key-{s.unique}"])
_key("mangled", lambda s: [_mangled(s.user.api_key)])
_key("cut", lambda s: [s.user.api_key[:-1]])
_key("longer", lambda s: [s.user.api_key + "x"])
_key("other-case", lambda s: [_other_case(s.user.api_key)])
_key("quoted", lambda s: [f'"{s.user.api_key}"'])
_key("foreign", lambda s: [s.desk.key_of_other_programme(s.user)])
_key("encoded", lambda s: [_encoded(s.user.api_key)])
_key("listed", lambda s: [f"{s.user.api_key},no-such-key-{s.unique}"])
_key("token", lambda s: [s.user.token])
_key("spaced", lambda s: [f"  {s.user.api_key} \t"])
_key("twice", lambda s: [s.user.api_key, f"no-such-key-{s.unique}"])
_key("twice-bad-first", lambda s: [f"no-such-key-{s.unique}", s.user.api_key])

_token("missing", lambda _: [])
_token("empty", lambda _: [""])
_token("bearer-alone", lambda _: ["Bearer"])
_token("unknown", lambda s: [f"Bearer no.such.token.{s.unique}"])
_token("mangled", lambda s: [f"Bearer {_mangled(s.user.token)}"])
_token("cut", lambda s: [f"Bearer {s.user.token[:-1]}"])
_token("longer", lambda s: [f"Bearer {s.user.token}x"])
_token("other-case", lambda s: [f"Bearer {_other_case(s.user.token)}"])
_token("malformed", lambda _: ["Bearer \x22{}[]\x22"])
_token("two-words", lambda s: [f"Bearer {s.user.token} {s.user.token}"])
_token("no-scheme", lambda s: [s.user.token])
_token("basic", lambda s: ["Basic " + base64.b64encode(f"{s.user.token}:".encode()).decode()])
_token("other-scheme", lambda s: [f"Token {s.user.token}"])
_token("lower-scheme", lambda s: [f"bearer {s.user.token}"])
_token("encoded", lambda s: [f"Bearer {_encoded(s.user.token)}"])
_token("listed", lambda s: [f"Bearer {s.user.token},{s.unique}"])
_token("key", lambda s: [f"Bearer {s.user.api_key}"])
_token("twice", lambda s: [f"Bearer {s.user.token}", f"Bearer no.such.token.{s.unique}"])
_token("twice-bad-first", lambda s: [f"Bearer no.such.token.{s.unique}", f"Bearer {s.user.token}"])


def _key_elsewhere(name: str, header: str, paired: bool = True) -> None:
    """The api-key in a header of nearly the same name alone."""

    def put(draft: Draft, setting: Setting) -> None:
        draft.set(SPEC.key_header)
        draft.set(header, setting.user.api_key)

    _value("key", name, put, paired=paired)


# Interfaces of the CGI family give both spellings to a program as one name.
_key_elsewhere("underscored", SPEC.key_header.replace("-", "_"))
_value("key", "nul", lambda d, s: d.set(SPEC.key_header, f"{s.user.api_key}\x00x"), paired=False)
_value("token", "nul", lambda d, s: d.set(AUTHORIZATION, f"Bearer {s.user.token}\x00x"), paired=False)


COOKIES: Final = ("token", "access_token", "auth_token", "Authorization")


def _in_cookie(draft: Draft, setting: Setting) -> None:
    draft.set(AUTHORIZATION)
    draft.set("Cookie", "; ".join(f"{name}={setting.user.token}" for name in COOKIES))


_value("token", "in-cookie", _in_cookie, paired=False)


def _in_query(dimension: str, header: str, field: str, secret: Callable[[Setting], str]) -> None:
    """A credential that stands in the query alone, where it would end up in every log."""

    def put(draft: Draft, setting: Setting) -> None:
        draft.set(header)
        draft.path += f"?{field}={secret(setting)}"

    _value(dimension, f"in-query-{field.replace('_', '')}", put, paired=False)


for _field in ("access_token", "token", "authorization"):
    _in_query("token", AUTHORIZATION, _field, lambda s: s.user.token)
for _field in (SPEC.key_header, "api_key"):
    _in_query("key", SPEC.key_header, _field, lambda s: s.user.api_key)
_value("token", "logged-out", _nothing, "logged_out")
_value("token", "impersonator", _nothing, "impersonator")

_value("channel", "not-enrolled", _nothing, "lacking")
_value("channel", "not-offered", _nothing, "unsupported")
_channel("unknown", lambda _: "SMS")
_channel("lower", str.lower)
_channel("title", str.title)
_channel("padded", lambda name: f"%20{name}")
_channel("padded-after", lambda name: f"{name}%20")
_channel("tab", lambda name: f"{name}%09")
_channel("newline", lambda name: f"{name}%0A")
_channel("nul", lambda name: f"{name}%00")
_channel("suffix", lambda name: f"{name}2")
_channel("cut", lambda name: name[:-1])
_channel("both", lambda _: ",".join(SPEC.channels))
_channel("json", lambda name: f"%22{name}%22")
_channel("matrix", lambda name: f"{name};v=1")
_channel("extension", lambda name: f"{name}.json")
_channel("encoded", lambda name: f"%{ord(name[0]):02X}{name[1:]}")
_channel("encoded-twice", lambda name: f"%25{ord(name[0]):02X}{name[1:]}")
_channel("look-alike", lambda name: "%D0%90" + name[1:])
_channel("wide", lambda name: "".join(f"%EF%BC%{0xA1 + ord(c) - 65:02X}" for c in name))
_channel("not-utf8", lambda name: f"{name}%FF")
_channel("no-break-space", lambda name: f"{name}%C2%A0")
_channel("byte-order-mark", lambda name: f"%EF%BB%BF{name}")
_channel("plus", lambda name: f"{name}+")
_channel("question", lambda name: f"{name}%3Fx")
_channel("hash", lambda name: f"{name}%23x")
_channel("dotless", lambda name: name.replace("I", "%C4%B1") if "I" in name else name.replace("A", "%C3%81"))
_channel("encoded-whole", lambda name: "".join(f"%{ord(letter):02x}" for letter in name))
_channel("null", lambda _: "null")
_channel("placeholder", lambda _: "%7Bchannel%7D")
_channel("long", lambda name: name * 20)
_channel("empty", lambda _: "")
_channel("slash", lambda name: f"{name}/")
_channel("slashes", lambda name: f"/{name}")
_channel("more", lambda name: f"{name}/accept")
_channel("dots", lambda name: f"../push/{name}")
_channel("dot", lambda name: f"./{name}")
_channel("encoded-slash", lambda name: f"{name}%2F")
_channel("very-long", lambda name: name * 1200)

_ref("none", lambda _: [None])
_ref("empty", lambda _: [""])
_ref("blank", lambda _: ["   "])
_ref("short", lambda s: [f"~{s.unique[-4:]}"])  # as short as another run will hardly send
_ref("long", lambda s: [(s.unique + "-") + "r" * (254 - len(s.unique))])
_ref("too-long", lambda s: [s.unique + "r" * 2000])
_ref("non-ascii", lambda s: [f"{s.unique}-\xe9"])
_ref("utf8", lambda s: [f"{s.unique}-é✓".encode().decode("latin-1")])
_ref("tab", lambda s: [f"{s.unique}\tx"])
_ref("control", lambda s: [f"{s.unique}\x01x"], paired=False)
_ref("nul", lambda s: [f"{s.unique}\x00x"], paired=False)
_ref("twice", lambda s: [s.unique, f"{s.unique}-2"])
_ref("quotes", lambda s: [f"'{s.unique}'\";--"])
_ref("braces", lambda s: ["${jndi:x}{{7*7}}" + s.unique])
_ref("comma", lambda s: [f"{s.unique},{s.unique}"])
_ref("spaced", lambda s: [f"  {s.unique}  "])

_value("state", "pending", _nothing, "pending")
_value("state", "accepted", _nothing, "accepted")
_value("state", "declined", _nothing, "declined")
_value("state", "limited", _nothing, "limited")


def _method(name: str) -> None:
    def put(draft: Draft, _: Setting) -> None:
        draft.method = name

    _value("method", name, put)


for _name in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "post", "POSTS"):
    _method(_name)


def _body(name: str, body: bytes, kind: str) -> None:
    def put(draft: Draft, _: Setting) -> None:
        draft.body = body
        draft.set("Content-Length", str(len(body)))
        draft.set("Content-Type", kind)

    _value("body", name, put)


_body("object", b"{}", "application/json")
_body("fields", b'{"channel": "SMS", "id": "x"}', "application/json")
_body("not-json", b'{"a":', "application/json")
_body("form", b"channel=SMS", "application/x-www-form-urlencoded")
_body("text", b"hello", "text/plain; charset=utf-16")
_body("bytes", bytes(range(256)), "application/octet-stream")
_body("unknown-type", b"x", "no/such+type")

for _name, _accepted in (
    ("any", "*/*"), ("json-weighted", "text/html;q=0.9, application/json;q=0.1"), ("html", "text/html"),
    ("xml", "application/xml"), ("none", "application/json;q=0"), ("nonsense", "nonsense"), ("empty", ""),
):  # fmt: skip
    _header("accept", _name, "Accept", _accepted)


def _query(name: str, query: str) -> None:
    def put(draft: Draft, _: Setting) -> None:
        draft.path += query

    _value("query", name, put)


_query("unknown", "?unknown=1")
_query("channel", "?channel=SMS")
_query("empty", "?")
_query("method", "?_method=GET")
