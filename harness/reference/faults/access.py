"""Missing authorisation: who is let in though they should not be, and what is told or done before they are known."""

# ruff: noqa: ARG002  (what a fault overrides looks at more than the fault does)

from harness.reference.access import Access
from harness.reference.answers import Refused, Request, Response
from harness.reference.faults.catalogue import fault
from harness.reference.people import Login, People
from harness.reference.service import Service


def login_of_token(people: People, request: Request) -> Login | None:
    """Whose token a request carries, if anybody's, whatever else is wrong with it."""
    return people.logins.get(request.authorization[0].partition(" ")[2]) if request.authorization else None


class OtherAccess(Service):
    """A service with other checks of credentials."""

    Checks: type[Access] = Access

    def make_access(self, people: People) -> Access:
        return self.Checks(people)


@fault("key-missing-served", "a service behind the gateway trusts that the gateway has seen the key", "auth-required")
class KeyMissingServed(OtherAccess):
    class Checks(Access):
        def login(self, request: Request) -> Login:
            return super().login(request) if request.api_key else self.bearer(request)


@fault("key-empty-served", "an empty key is falsy, and so is not checked", "auth-required")
class KeyEmptyServed(OtherAccess):
    class Checks(Access):
        def login(self, request: Request) -> Login:
            return self.bearer(request) if request.api_key == [""] else super().login(request)


@fault("key-unknown-served", "any key will do, as only its presence is checked", "auth-required")
class KeyUnknownServed(OtherAccess):
    class Checks(Access):
        def programme(self, request: Request) -> str:
            login = login_of_token(self.people, request)
            key = request.api_key[0] if request.api_key else None
            return self.people.programmes.get(key, login.programme) if key and login else super().programme(request)


@fault("key-of-any-tenant", "key and token are both valid, and nobody compares whose they are", "tenant-isolation")
class KeyOfAnyTenant(OtherAccess):
    class Checks(Access):
        def check(self, login: Login, programme: str) -> None:
            super().check(login, login.programme)


@fault("key-twice-served", "of two keys the last one is taken, where the gateway took the first", "credentials-once")
class KeyTwiceServed(OtherAccess):
    class Checks(Access):
        def login(self, request: Request) -> Login:
            known = [key for key in request.api_key if key in self.people.programmes]
            return super().login(request._replace(api_key=known[:1]))


@fault("token-scheme-ignored", "the token is whatever follows the first space", "auth-required")
class TokenSchemeIgnored(OtherAccess):
    class Checks(Access):
        def bearer(self, request: Request) -> Login:
            tokens = [value.partition(" ")[2] for value in request.authorization]
            return super().bearer(request._replace(authorization=[f"Bearer {token}" for token in tokens]))


@fault("token-prefix-served", "tokens are looked up by their first sixteen characters", "auth-required")
class TokenPrefixServed(OtherAccess):
    class Checks(Access):
        def __init__(self, people: People) -> None:
            super().__init__(people)
            self.short = {token[:16]: token for token in people.logins}

        def bearer(self, request: Request) -> Login:
            given = request.authorization[0].partition(" ")[2] if request.authorization else ""
            whole = self.short.get(given[:16], given)
            return super().bearer(request._replace(authorization=[f"Bearer {whole}"] * len(request.authorization)))


@fault("token-padded-served", "what follows a token is cut off, so that an extension of it is let in", "auth-required")
class TokenPaddedServed(OtherAccess):
    class Checks(Access):
        def bearer(self, request: Request) -> Login:
            length = len(next(iter(self.people.logins)))
            values = [value[: len("Bearer ") + length] for value in request.authorization]
            return super().bearer(request._replace(authorization=values))


@fault("logged-out-served", "a token is valid until it expires, and logging out does not end it", "logged-out-refused")
class LoggedOutServed(OtherAccess):
    class Checks(Access):
        def bearer(self, request: Request) -> Login:
            login = login_of_token(self.people, request)
            return login if login is not None and login.state == "logged_out" else super().bearer(request)


@fault("impersonator-served", "a role that is checked in the back office only", "impersonator-refused")
class ImpersonatorServed(OtherAccess):
    class Checks(Access):
        def check(self, login: Login, programme: str) -> None:
            if login.programme != programme:
                raise Refused(403)


@fault("token-unknown-forbidden", "one exception for authentication and authorisation: 403 for an unknown token",
       "auth-required")  # fmt: skip
class TokenUnknownForbidden(OtherAccess):
    class Checks(Access):
        def bearer(self, request: Request) -> Login:
            try:
                return super().bearer(request)
            except Refused:
                raise Refused(403) from None


@fault("tenant-unauthorised", "a key of another tenant is answered like an unknown token", "tenant-isolation")
class TenantUnauthorised(OtherAccess):
    class Checks(Access):
        def check(self, login: Login, programme: str) -> None:
            if login.programme != programme:
                raise Refused(401)
            super().check(login, programme)


@fault("logged-out-told", "the body of a 401 tells a token that was logged out from one that never was",
       "refusals-alike")  # fmt: skip
class LoggedOutTold(Service):
    async def push(self, request: Request) -> Response:
        response = await super().push(request)
        login = login_of_token(self.access.people, request)
        if response.status == 401 and login is not None and login.state == "logged_out":
            return self.answers.problem(401, "SESSION_ENDED", "the token was logged out", response.headers[1:])
        return response


@fault("form-before-credentials", "path parameters are validated by the framework, before the filter that asks who it "
       "is", "auth-first")  # fmt: skip
class FormBeforeCredentials(Service):
    async def push(self, request: Request) -> Response:
        try:
            self.read(next(iter(self.access.people.logins.values())), request)
        except Refused as refused:
            return self.answers.refused(refused)
        return await super().push(request)


@fault("state-before-credentials", "the user's enrolment is looked up by the token before the key is checked",
       "auth-first")  # fmt: skip
class StateBeforeCredentials(Service):
    async def push(self, request: Request) -> Response:
        login = login_of_token(self.access.people, request)
        try:
            if login is not None:
                self.check_channel(self.read(login, request))
        except Refused as refused:
            return self.answers.refused(refused)
        return await super().push(request)


@fault("work-before-credentials", "the challenge is issued while the key is still being checked elsewhere",
       "auth-first", "push-at-most-once", "challenge-limit-lower")  # fmt: skip
class WorkBeforeCredentials(Service):
    async def push(self, request: Request) -> Response:
        response = await super().push(request)
        login = login_of_token(self.access.people, request)
        if response.status == 401 and login is not None and login.state == "active":
            try:
                with self.store.transaction():
                    self.issue(self.read(login, request)._replace(ref=None))
            except Refused:
                pass
        return response
