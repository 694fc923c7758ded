"""Schemathesis as this stage uses it: the document with a seed, our sender as its transport, our rules as its check."""

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

import requests
import schemathesis
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from schemathesis import CheckContext, Response
from urllib3 import HTTPHeaderDict, HTTPResponse

from harness.pool import User
from harness.spec import load_spec, spec_path
from scenarios.conformance.draft import AUTHORIZATION, Draft
from scenarios.conformance.stage import GATEWAY, Reply, Stage

SPEC: Final = load_spec()
BUILT_IN: Final = ("not_a_server_error", "response_schema_conformance", "content_type_conformance")


Case = schemathesis.Case[Any]
Test = TypeVar("Test", bound=Callable[..., None])


class Document(Protocol):
    """What a loaded document does for a test."""

    def parametrize(self) -> Callable[[Test], Test]: ...


class Unanswered(requests.ConnectionError):
    """No answer came; `reply` says what was sent."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.answer.error)
        self.reply = reply


def schema_of(seed: int, phase: str, mode: str = "all", examples: int = 100, *, credentials: bool = False) -> Document:
    """The document for one phase (`coverage` or `fuzzing`); with `credentials`, those are generated too."""
    phases = {name: {"enabled": name == phase} for name in ("examples", "coverage", "fuzzing", "stateful")}
    generation = {
        "mode": mode, "max-examples": examples, "with-security-parameters": credentials, "database": "none",
    }  # fmt: skip
    config = {"seed": seed, "suppress-health-check": ["all"], "phases": phases, "generation": generation}
    document: Document = schemathesis.openapi.from_path(spec_path(), config=schemathesis.Config.from_dict(config))
    return document


class Through(BaseAdapter):
    """Sends what `requests` has prepared through the stage, so that it is recorded like everything else."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        reply = self._stage.send(draft_of(request, self._stage.wire.prefix, self._stage.nonce))
        if not reply.status:
            raise Unanswered(reply)
        headers = HTTPHeaderDict(list(reply.answer.headers))
        response = requests.Response()
        response.status_code = reply.status
        response.headers = CaseInsensitiveDict(headers)
        response.raw = HTTPResponse(headers=headers, version=11, status=reply.status)
        response._content = reply.answer.body
        response.url, response.request = request.url or "", request
        request.stepup_reply = reply  # type: ignore[attr-defined]
        return response

    def close(self) -> None:
        """The stage's connection is the stage's to close."""


def draft_of(request: requests.PreparedRequest, prefix: str, nonce: str) -> Draft:
    """What a prepared request asks for; its refs get a tail, as another run may have thought of the same ones."""
    draft = Draft(method=request.method or "", path=request.path_url.removeprefix(prefix))
    draft.headers = [(_text(name), _text(value)) for name, value in request.headers.items()]
    body = request.body or b""
    draft.body = body if isinstance(body, bytes) else str(body).encode()
    if not draft.values("content-length") and not draft.values("transfer-encoding"):
        draft.set("Content-Length", str(len(draft.body)))
    draft.set(SPEC.ref_header, *(ref + nonce if ref else ref for ref in draft.values(SPEC.ref_header)))
    refs = draft.values(SPEC.ref_header)
    draft.ref = refs[0] if refs else None
    draft.channel = _channel(draft.path)
    return draft


def _channel(path: str) -> str:
    from urllib.parse import unquote

    return unquote(path.partition("?")[0].removeprefix(SPEC.template.split("{channel}")[0]))


def _text(value: str | bytes) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    try:
        return value.encode("latin-1").decode("latin-1")
    except UnicodeEncodeError:
        return value.encode().decode("latin-1")


def session_for(stage: Stage) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    for scheme in ("http://", "https://"):
        session.mount(scheme, Through(stage))
    return session


@schemathesis.check
def case_allows_answer(_: CheckContext, response: Response, __: Case) -> bool | None:
    """The answer is among the outcomes that follow from what was sent; `default` does not make every status right."""
    reply, stage = reply_of(response), STAGE[0]
    problem = stage.problem(reply)
    if problem:
        raise AssertionError(stage.failure(reply, problem))
    return None


def reply_of(response: Response) -> Reply:
    reply: Reply = response.request.stepup_reply  # type: ignore[attr-defined]
    return reply


STAGE: Final[list[Stage]] = []  # a check is given no fixtures; the one stage of the process stands here


def send(case: Case, stage: Stage, session: requests.Session, user: User | None) -> None:
    """Send a generated case with the credentials of `user`, or with those that were generated, and check the answer."""
    STAGE[:] = [stage]
    headers = {} if user is None else {AUTHORIZATION: f"Bearer {user.token}", SPEC.key_header: user.api_key}
    try:
        response = case.call(stage.profile.target.base_url, session, headers, allow_redirects=False)
    except Unanswered as lost:
        problem = stage.problem(lost.reply)
        if problem:
            raise AssertionError(stage.failure(lost.reply, problem)) from None
        return
    except (requests.exceptions.InvalidHeader, requests.exceptions.InvalidURL, UnicodeError):
        return  # `requests` refuses to send it; what breaks HTTP is sent raw by other scenarios
    reply = reply_of(response)
    if reply.limited or reply.used_before:
        return
    checks: list[Any] = [case_allows_answer]
    if reply.intent not in GATEWAY and reply.draft.method != "HEAD":
        checks += [check for check in schemathesis.checks.CHECKS.get_all() if check.__name__ in BUILT_IN]
    case.validate_response(response, checks)
