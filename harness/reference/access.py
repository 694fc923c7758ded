"""Who may: both credentials are looked at before anything else of a request, and nothing else is told without them."""

from harness.reference.answers import Refused, Request
from harness.reference.people import Login, People


class Access:
    """Finds the login that a request may act for."""

    def __init__(self, people: People) -> None:
        self.people = people

    def login(self, request: Request) -> Login:
        """The login; Refused with 401 where a credential is not valid, 403 where they are but may not do this."""
        programme = self.programme(request)
        login = self.bearer(request)
        self.check(login, programme)
        return login

    def programme(self, request: Request) -> str:
        """The programme of the one api-key."""
        programme = self.people.programmes.get(request.api_key[0]) if len(request.api_key) == 1 else None
        if programme is None:
            raise Refused(401)
        return programme

    def bearer(self, request: Request) -> Login:
        """The login of the one bearer token."""
        if len(request.authorization) != 1:
            raise Refused(401)
        scheme, _, token = request.authorization[0].partition(" ")
        login = self.people.logins.get(token.strip(" ")) if scheme.lower() == "bearer" else None
        if login is None or login.state == "logged_out":
            raise Refused(401)
        return login

    def check(self, login: Login, programme: str) -> None:
        """Whether the two credentials belong together, and to the person and not to somebody who stands in."""
        if login.programme != programme or login.state == "impersonator":
            raise Refused(403)
