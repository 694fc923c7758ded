"""What stands in front of a service and means well: proxies, middleware and servers that take requests for others."""

from starlette.types import Receive, Scope

from harness.reference.answers import JSON, Response
from harness.reference.faults.catalogue import fault
from harness.reference.http import App, read_headers
from harness.reference.service import Service
from harness.reference.settings import CHANNELS


def _first(scope: Scope, name: bytes) -> str:
    return read_headers(scope).get(name, [""])[0]


@fault("method-override", "a filter for old browsers takes the method from X-HTTP-Method-Override",
       "method-not-allowed")  # fmt: skip
class MethodOverride(App):
    async def respond(self, scope: Scope, receive: Receive, path: bytes) -> Response | None:
        method = _first(scope, b"x-http-method-override").upper() or scope["method"]
        return await super().respond({**scope, "method": method}, receive, path)


@fault("method-head-served", "HEAD is whatever the route does, without its body", "method-not-allowed")
class MethodHeadServed(App):
    async def respond(self, scope: Scope, receive: Receive, path: bytes) -> Response | None:
        return await super().respond({**scope, "method": "POST"} if scope["method"] == "HEAD" else scope, receive, path)


@fault("method-refused-yet-done", "the method is checked on the way out, when the handler has done its work",
       "method-not-allowed", "push-at-most-once", "challenge-limit-lower")  # fmt: skip
class MethodRefusedYetDone(App):
    async def respond(self, scope: Scope, receive: Receive, path: bytes) -> Response | None:
        response = await super().respond(scope, receive, path)
        if response is not None and response.status == 405:
            await super().respond({**scope, "method": "POST"}, receive, path)
        return response


@fault("connection-remembered", "a connection is authenticated once, and who comes without a token is who came before",
       "auth-required")  # fmt: skip
class ConnectionRemembered(App):
    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.tokens: dict[object, list[str]] = {}

    async def respond(self, scope: Scope, receive: Receive, path: bytes) -> Response | None:
        own = [value for name, value in scope["headers"] if name == b"authorization"]
        peer = tuple(scope["client"] or ())
        if not own and peer in self.tokens:
            headers = [*scope["headers"], *((b"authorization", token.encode()) for token in self.tokens[peer])]
            return await super().respond({**scope, "headers": headers}, receive, path)
        response = await super().respond(scope, receive, path)
        if response is not None and response.status == 200:
            self.tokens[peer] = [value.decode("latin-1") for value in own]
        return response


@fault("token-in-query", "a token is taken from the query too, where it ends up in every log", "auth-required")
class TokenInQuery(App):
    async def respond(self, scope: Scope, receive: Receive, path: bytes) -> Response | None:
        name, _, value = scope["query_string"].partition(b"=")
        if name == b"access_token" and not _first(scope, b"authorization"):
            scope = {**scope, "headers": [*scope["headers"], (b"authorization", b"Bearer " + value)]}
        return await super().respond(scope, receive, path)


@fault("path-rewritten", "the proxy lets a header say what was asked for", "channel-enum")
class PathRewritten(App):
    async def respond(self, scope: Scope, receive: Receive, path: bytes) -> Response | None:
        given = (_first(scope, b"x-original-url") or _first(scope, b"x-rewrite-url")).encode("latin-1")
        return await super().respond(scope, receive, given or path)


@fault("path-any-case", "a file system's notion of paths", "channel-enum")
class PathAnyCase(App):
    def channel(self, path: bytes) -> str | None:
        segment = path[len(self.operation) :]
        same = path[: len(self.operation)].lower() == self.operation.lower()
        return super().channel(self.operation + segment) if same else None


@fault("channel-cut-at-nul", "a library in C reads the channel up to its first zero byte", "channel-enum")
class ChannelCutAtNul(App):
    def channel(self, path: bytes) -> str | None:
        found = super().channel(path)
        return found.partition("\0")[0] if found else found


@fault("not-modified", "a cache in front answers If-None-Match with 304, also to POST", "documented-status")
class NotModified(App):
    async def respond(self, scope: Scope, receive: Receive, path: bytes) -> Response | None:
        response = await super().respond(scope, receive, path)
        if response is not None and response.status == 200 and _first(scope, b"if-none-match"):
            return Response(304, ((b"etag", b'"1"'),), b"")
        return response


@fault("range-served", "a server of files answers Range with a part of the body", "documented-status")
class RangeServed(App):
    async def respond(self, scope: Scope, receive: Receive, path: bytes) -> Response | None:
        response = await super().respond(scope, receive, path)
        if response is not None and response.status == 200 and _first(scope, b"range"):
            size = b"%d" % len(response.body)
            return Response(206, (JSON, (b"content-range", b"bytes 0-1/" + size)), response.body[:2])
        return response


@fault("body-utf-16", "the caller's charset is used for the answer, which says nothing of it", "response-schema")
class BodyUtf16(App):
    async def respond(self, scope: Scope, receive: Receive, path: bytes) -> Response | None:
        response = await super().respond(scope, receive, path)
        if response is not None and "utf-16" in _first(scope, b"content-type"):
            return response._replace(body=response.body.decode().encode("utf-16"))
        return response


@fault("compressed-unasked", "answers are compressed for whoever does not say that they may not be", "response-schema")
class CompressedUnasked(App):
    async def respond(self, scope: Scope, receive: Receive, path: bytes) -> Response | None:
        import gzip

        response = await super().respond(scope, receive, path)
        if response is None or _first(scope, b"accept-encoding"):
            return response
        headers = (*response.headers, (b"content-encoding", b"gzip"))
        return response._replace(headers=headers, body=gzip.compress(response.body))


@fault("channel-from-query", "query and path bind to the same object, and the query goes last", "channel-registered",
       "documented-status")  # fmt: skip
class ChannelFromQuery(App):
    async def respond(self, scope: Scope, receive: Receive, path: bytes) -> Response | None:
        query = scope["query_string"].decode("latin-1")
        named = [channel for channel in CHANNELS if query == f"channel={channel}"]
        return await super().respond(scope, receive, self.operation + named[0].encode() if named else path)


@fault("form-error-as-page", "the framework's own page for what its validation refuses", "response-schema")
class FormErrorAsPage(App):
    async def respond(self, scope: Scope, receive: Receive, path: bytes) -> Response | None:
        response = await super().respond(scope, receive, path)
        if response is not None and response.status == 400:
            return response._replace(headers=((b"content-type", b"text/html"),), body=b"<h1>Bad Request</h1>")
        return response


def _with(scope: Scope, *headers: tuple[bytes, str]) -> Scope:
    """The request with these headers in place of those of the same names."""
    names = {name for name, _ in headers}
    kept = [line for line in scope["headers"] if line[0] not in names]
    return {**scope, "headers": [*kept, *((name, value.encode("latin-1")) for name, value in headers)]}


@fault("accept-refused-yet-done", "what the caller accepts is looked at once there is something to send",
       "push-at-most-once", "challenge-limit-lower")  # fmt: skip
class AcceptRefusedYetDone(App):
    async def respond(self, scope: Scope, receive: Receive, path: bytes) -> Response | None:
        response = await super().respond(scope, receive, path)
        if response is not None and response.status == 200 and "xml" in _first(scope, b"accept"):
            return response._replace(status=406, headers=(JSON,), body=b'{"code": "406", "message": "not acceptable"}')
        return response


@fault("prefer-async", "a gateway with a queue honours Prefer: respond-async", "documented-status")
class PreferAsync(App):
    async def respond(self, scope: Scope, receive: Receive, path: bytes) -> Response | None:
        response = await super().respond(scope, receive, path)
        queued = response is not None and response.status == 200 and "respond-async" in _first(scope, b"prefer")
        return response._replace(status=202) if response is not None and queued else response


@fault("ref-from-other-header", "the gateway's own header for repeated calls counts where there is none",
       "no-ref-no-replay")  # fmt: skip
class RefFromOtherHeader(App):
    async def respond(self, scope: Scope, receive: Receive, path: bytes) -> Response | None:
        other = _first(scope, b"idempotency-key")
        if other and not _first(scope, b"idempotency-ref"):
            scope = _with(scope, (b"idempotency-ref", other))
        return await super().respond(scope, receive, path)


@fault("key-underscored", "an interface that gives dashes and underscores to the program as one name", "auth-required")
class KeyUnderscored(App):
    async def respond(self, scope: Scope, receive: Receive, path: bytes) -> Response | None:
        other = _first(scope, b"api_key")
        return await super().respond(_with(scope, (b"api-key", other)) if other else scope, receive, path)


@fault("token-in-cookie", "the filter of the web session lets its cookie stand for the header", "auth-required")
class TokenInCookie(App):
    async def respond(self, scope: Scope, receive: Receive, path: bytes) -> Response | None:
        cookies = dict(one.strip().split("=", 1) for one in _first(scope, b"cookie").split(";") if "=" in one)
        if "access_token" in cookies and not _first(scope, b"authorization"):
            scope = _with(scope, (b"authorization", f"Bearer {cookies['access_token']}"))
        return await super().respond(scope, receive, path)


@fault("channel-from-header", "a routing header goes before the path", "channel-registered", "documented-status")
class ChannelFromHeader(App):
    async def respond(self, scope: Scope, receive: Receive, path: bytes) -> Response | None:
        named = _first(scope, b"x-channel")
        return await super().respond(scope, receive, self.operation + named.encode() if named in CHANNELS else path)
