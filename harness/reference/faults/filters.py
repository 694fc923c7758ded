"""Filters that look at a request in the wrong order, at half of what it says, or remember too much of another."""

from typing import Any
from urllib.parse import unquote

from harness.reference.access import Access
from harness.reference.answers import Answers, Refused, Request, Response
from harness.reference.faults.access import OtherAccess, login_of_token
from harness.reference.faults.catalogue import fault
from harness.reference.people import Login, People
from harness.reference.service import Call, Service


@fault("key-any-case", "keys are kept in a column whose collation knows no case", "auth-required")
class KeyAnyCase(OtherAccess):
    class Checks(Access):
        def programme(self, request: Request) -> str:
            folded = {key.casefold(): key for key in self.people.programmes}
            keys = [folded.get(key.casefold(), key) for key in request.api_key]
            return super().programme(request._replace(api_key=keys))


@fault("key-unquoted", "quotes around a header's value are taken off", "auth-required")
class KeyUnquoted(OtherAccess):
    class Checks(Access):
        def programme(self, request: Request) -> str:
            return super().programme(request._replace(api_key=[key.strip("\"'") for key in request.api_key]))


@fault("token-followed-by-anything", "of the words of a header the second is the token", "auth-required")
class TokenFollowedByAnything(OtherAccess):
    class Checks(Access):
        def bearer(self, request: Request) -> Login:
            return super().bearer(
                request._replace(authorization=[" ".join(v.split()[:2]) for v in request.authorization])
            )


@fault(
    "access-cached-by-token", "who was let in once is let in by the token alone", "auth-required", "tenant-isolation"
)
class AccessCachedByToken(OtherAccess):
    class Checks(Access):
        def __init__(self, people: People) -> None:
            super().__init__(people)
            self.known: dict[tuple[str, ...], Login] = {}

        def login(self, request: Request) -> Login:
            seen = tuple(request.authorization)
            if seen not in self.known:
                self.known[seen] = super().login(request)
            return self.known[seen]


@fault("replay-before-credentials", "the filter for refs stands in front, and answers whom it knows by the token",
       "auth-required", "tenant-isolation")  # fmt: skip
class ReplayBeforeCredentials(Service):
    async def push(self, request: Request) -> Response:
        login = login_of_token(self.access.people, request)
        if login is not None and request.refs:
            with self.store.transaction():
                known = self.known(Call(login, request.channel, request.refs[0]))
            if known is not None:
                return self.answers.challenge(known)
        return await super().push(request)


@fault("limit-before-credentials", "the user's limit is looked at before the key", "auth-first")
class LimitBeforeCredentials(Service):
    async def push(self, request: Request) -> Response:
        login = login_of_token(self.access.people, request)
        if login is not None and self._at_limit(Call(login, request.channel, None)):
            return self.answers.refused(Refused(409, "CHALLENGE_LIMIT_EXCEEDED"))
        return await super().push(request)

    def _at_limit(self, call: Call) -> bool:
        """Whether one more would be refused; what the question itself uses up is rolled back."""
        try:
            with self.store.transaction():
                self.check_challenges(call)
                raise LookupError
        except Refused:
            return True
        except LookupError:
            return False


class _StateFirst(Service):
    """A service that looks at the channels of some who may not ask."""

    state = ""

    async def push(self, request: Request) -> Response:
        login = login_of_token(self.access.people, request)
        if login is not None and login.state == self.state:
            try:
                self.check_channel(self.read(login, request))
            except Refused as refused:
                return self.answers.refused(refused)
        return await super().push(request)


@fault("impersonator-told-enrolment", "who stands in for a user is refused after the user's channels were looked up",
       "auth-first", "impersonator-refused")  # fmt: skip
class ImpersonatorToldEnrolment(_StateFirst):
    state = "impersonator"


@fault("logged-out-told-enrolment", "the session is looked up last", "auth-first", "logged-out-refused")
class LoggedOutToldEnrolment(_StateFirst):
    state = "logged_out"


@fault("foreign-user-told", "the message of a 403 says of whom it is", "refusals-alike")
class ForeignUserTold(Service):
    async def push(self, request: Request) -> Response:
        response = await super().push(request)
        login = login_of_token(self.access.people, request)
        if response.status == 403 and login is not None and login.state == "active":
            told = "is" if request.channel in login.enrolled else "is not"
            return self.answers.problem(403, "FORBIDDEN", f"the user {told} enrolled, with another programme")
        return response


@fault(
    "id-recased-on-replay", "what is remembered is kept in a column that turns it to upper case", "idempotent-replay"
)
class IdRecasedOnReplay(Service):
    def known(self, call: Call) -> str | None:
        known = super().known(call)
        return known.upper() if known else known


class _OtherRef(Service):
    """A service that reads something else for the ref that it was sent."""

    def reference(self, ref: str) -> str:
        return ref

    def read(self, login: Login, request: Request) -> Call:
        return super().read(login, request._replace(refs=[self.reference(ref) or ref for ref in request.refs]))


@fault("ref-cut-at-comma", "a header is a list, and the first of it counts", "ref-exact")
class RefCutAtComma(_OtherRef):
    def reference(self, ref: str) -> str:
        return ref.partition(",")[0]


@fault("ref-decoded", "refs are decoded like parts of an address", "ref-exact")
class RefDecoded(_OtherRef):
    def reference(self, ref: str) -> str:
        return unquote(ref)


@fault("bad-request-no-fields", "the list of fields at fault is made, and never filled", "bad-request-names-field")
class BadRequestNoFields(Service):
    class Text(Answers):
        def json(self, status: int, value: Any, headers: Any = ()) -> Response:
            told = {**value, "syntaxErrors": {"invalidFields": []}} if status == 400 else value
            return super().json(status, told, headers)

    def make_answers(self) -> Answers:
        return self.Text(self.settings.retry_after)
