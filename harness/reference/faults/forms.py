"""Answers in the wrong form: statuses, bodies, headers, and inputs that make the service fail."""

# ruff: noqa: ARG002  (what a fault overrides looks at more than the fault does)

import json
from typing import Any

from starlette.types import Receive, Scope

from harness.reference.answers import Answers, Headers, Refused, Request, Response
from harness.reference.faults.catalogue import fault
from harness.reference.http import App, read_headers
from harness.reference.people import Login
from harness.reference.service import Call, Service


class _OtherAnswers(Service):
    """A service that writes its answers another way."""

    Text: type[Answers] = Answers

    def make_answers(self) -> Answers:
        return self.Text(self.settings.retry_after)


@fault("created-201", "POST creates, so 201, whatever the document says", "documented-status")
class Created(_OtherAnswers):
    class Text(Answers):
        def challenge(self, challenge: str) -> Response:
            return super().challenge(challenge)._replace(status=201)


@fault("id-renamed", "a serialiser that writes challengeId where the document says id", "response-schema")
class IdRenamed(_OtherAnswers):
    class Text(Answers):
        def challenge(self, challenge: str) -> Response:
            return self.json(200, {"challengeId": challenge})


@fault("id-number", "an id that is a number in JSON", "response-schema")
class IdNumber(_OtherAnswers):
    class Text(Answers):
        def challenge(self, challenge: str) -> Response:
            return self.json(200, {"id": int(challenge.replace("-", ""), 16)})


@fault("id-empty", "one id in fifty is empty, as the provider had none yet", "response-schema")
class IdEmpty(_OtherAnswers):
    class Text(Answers):
        turn = 0

        def challenge(self, challenge: str) -> Response:
            self.turn += 1
            return self.json(200, {"id": challenge if self.turn % 50 else ""})


@fault("body-as-html", "a gateway's error page instead of JSON, under 409", "response-schema")
class BodyAsHtml(_OtherAnswers):
    class Text(Answers):
        def refused(self, refused: Refused) -> Response:
            if refused.status != 409:
                return super().refused(refused)
            return Response(409, ((b"content-type", b"text/html"),), b"<html><body>Conflict</body></html>")


@fault("body-with-tail", "a filter appends its trace to the body", "response-schema")
class BodyWithTail(_OtherAnswers):
    class Text(Answers):
        def json(self, status: int, value: Any, headers: Headers = ()) -> Response:
            response = super().json(status, value, headers)
            return response._replace(body=response.body + b"\n<!-- 3 ms -->")


@fault("text-not-json", "JSON sent as text/plain", "response-schema")
class TextNotJson(_OtherAnswers):
    class Text(Answers):
        def json(self, status: int, value: Any, headers: Headers = ()) -> Response:
            return Response(status, ((b"content-type", b"text/plain"), *headers), json.dumps(value).encode())


@fault("conflict-as-problem", "409 in the general form of errors, without an errorCode", "response-schema")
class ConflictAsProblem(_OtherAnswers):
    class Text(Answers):
        def refused(self, refused: Refused) -> Response:
            if refused.status == 409:
                return self.problem(409, refused.code, "conflict")
            return super().refused(refused)


@fault("conflict-code-unknown", "an errorCode that was added and never documented", "response-schema")
class ConflictCodeUnknown(_OtherAnswers):
    class Text(Answers):
        def refused(self, refused: Refused) -> Response:
            if refused.code == "CHANNEL_NOT_REGISTERED":
                return self.json(409, {"errorCode": "DEVICE_NOT_ENROLLED"})
            return super().refused(refused)


@fault("error-field-unknown", "the name of a constraint of the validation library, instead of the document's",
       "response-schema")  # fmt: skip
class ErrorFieldUnknown(_OtherAnswers):
    class Text(Answers):
        def malformed(self, refused: Refused) -> Response:
            fields = tuple((name, "INVALID_ENUM", params) for name, _, params in refused.fields)
            return super().malformed(Refused(400, fields=fields))


@fault("bad-request-bare", "400 with a message for people only", "bad-request-names-field")
class BadRequestBare(_OtherAnswers):
    class Text(Answers):
        def malformed(self, refused: Refused) -> Response:
            return self.json(400, {"message": "Bad Request"})


@fault("bad-request-wrong-field", "400 names the method's argument, not the field that the caller knows",
       "bad-request-names-field")  # fmt: skip
class BadRequestWrongField(_OtherAnswers):
    class Text(Answers):
        def malformed(self, refused: Refused) -> Response:
            fields = tuple(("arg0", error, params) for _, error, params in refused.fields)
            return super().malformed(Refused(400, fields=fields))


@fault("no-authenticate-header", "401 without WWW-Authenticate", "unauthorised-challenge")
class NoAuthenticateHeader(_OtherAnswers):
    class Text(Answers):
        def headers(self, refused: Refused) -> Headers:
            return () if refused.status == 401 else super().headers(refused)


@fault("method-without-allow", "405 without Allow", "method-not-allowed")
class MethodWithoutAllow(_OtherAnswers):
    class Text(Answers):
        def method_not_allowed(self, method: str) -> Response:
            return self.problem(405, "METHOD_NOT_ALLOWED", f"{method} is not supported here")


@fault("method-not-found", "another method is another route, and that is not found", "method-not-allowed")
class MethodNotFound(_OtherAnswers):
    class Text(Answers):
        def method_not_allowed(self, method: str) -> Response:
            return self.refused(Refused(404))


@fault("method-get-served", "the route takes every method, so that a link is enough to send a push",
       "method-not-allowed")  # fmt: skip
class MethodGetServed(App):
    async def respond(self, scope: Scope, receive: Receive, path: bytes) -> Response | None:
        return await super().respond({**scope, "method": "POST"} if scope["method"] == "GET" else scope, receive, path)


@fault("method-put-served", "PUT and POST share a handler", "method-not-allowed")
class MethodPutServed(App):
    async def respond(self, scope: Scope, receive: Receive, path: bytes) -> Response | None:
        return await super().respond({**scope, "method": "POST"} if scope["method"] == "PUT" else scope, receive, path)


@fault("unregistered-as-unsupported", "one errorCode for both reasons", "channel-registered")
class UnregisteredAsUnsupported(Service):
    def check_channel(self, call: Call) -> None:
        if call.channel not in call.login.enrolled:
            raise Refused(409, "CHANNEL_NOT_SUPPORTED")
        super().check_channel(call)


@fault("unsupported-as-unregistered", "enrolment is looked at before the programme's channels", "channel-supported")
class UnsupportedAsUnregistered(Service):
    def check_channel(self, call: Call) -> None:
        if call.channel in call.login.unsupported:
            raise Refused(409, "CHANNEL_NOT_REGISTERED")
        super().check_channel(call)


@fault("unregistered-served", "a push to nobody: whether a device is enrolled is the provider's business",
       "channel-registered")  # fmt: skip
class UnregisteredServed(Service):
    def check_channel(self, call: Call) -> None:
        if call.channel in call.login.unsupported:
            raise Refused(409, "CHANNEL_NOT_SUPPORTED")


@fault("unsupported-served", "the programme's channels are a setting of the front end only", "channel-supported")
class UnsupportedServed(Service):
    def check_channel(self, call: Call) -> None:
        if call.channel not in call.login.enrolled:
            raise Refused(409, "CHANNEL_NOT_REGISTERED")


@fault("conflict-as-400", "refusals by state are told as malformed requests", "channel-registered",
       "bad-request-names-field", "documented-status")  # fmt: skip
class ConflictAs400(Service):
    def check_channel(self, call: Call) -> None:
        if call.channel not in call.login.enrolled:
            raise Refused(400, fields=(("channel", "REQUIRES", []),))
        super().check_channel(call)


@fault("empty-ref-fails", "the ref is split and indexed without a look at its length", "no-server-error")
class EmptyRefFails(Service):
    def read(self, login: Login, request: Request) -> Call:
        if request.refs == [""]:
            raise IndexError("string index out of range")
        return super().read(login, request)


@fault("long-ref-fails", "a ref longer than its column makes the insert fail", "no-server-error")
class LongRefFails(Service):
    def read(self, login: Login, request: Request) -> Call:
        if request.refs and len(request.refs[0]) > self.settings.longest_ref:
            raise ValueError("value too long for type character varying(255)")
        return super().read(login, request)


@fault("odd-ref-fails", "a ref that is not ASCII cannot be written to the log", "no-server-error")
class OddRefFails(Service):
    def read(self, login: Login, request: Request) -> Call:
        if request.refs:
            request.refs[0].encode("ascii")
        return super().read(login, request)


@fault("odd-channel-fails", "the channel is looked up in an enum, and the exception is nobody's", "no-server-error")
class OddChannelFails(Service):
    def read(self, login: Login, request: Request) -> Call:
        if request.channel not in ("AUTHY", "BIOMETRIC"):
            raise KeyError(request.channel)
        return super().read(login, request)


@fault("odd-accept-fails", "no converter for the media type that the caller asks for", "no-server-error")
class OddAcceptFails(App):
    async def respond(self, scope: Scope, receive: Receive, path: bytes) -> Response | None:
        accept = read_headers(scope).get(b"accept", ["*/*"])[0]
        if "json" not in accept and "*/*" not in accept:
            raise LookupError("no acceptable representation")
        return await super().respond(scope, receive, path)


@fault("body-fails", "a body where none is expected is parsed all the same", "no-server-error")
class BodyFails(App):
    async def respond(self, scope: Scope, receive: Receive, path: bytes) -> Response | None:
        length = read_headers(scope).get(b"content-length", ["0"])[0]
        if scope["method"] == "POST" and length != "0":
            raise ValueError("unexpected end of input")
        return await super().respond(scope, receive, path)
