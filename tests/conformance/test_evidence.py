"""The command that a failure prints sends the same request again, with no secret in it."""

import socket
import subprocess
import threading

import pytest

from scenarios.conformance.draft import Draft, draft_for
from scenarios.conformance.evidence import Evidence, answered
from scenarios.conformance.oddities import ODDITIES
from scenarios.conformance.wire import Answer
from tests.conformance.people import profile
from tests.support.raw_server import http, raw_server

PROFILE = profile()
USER, OTHER = PROFILE.pool.users[0], PROFILE.pool.users[2]
# curl puts these right in its own way; what is sent otherwise is told by the raw form, byte by byte.
REFS = ["plain", 'it\'s "quoted" $HOME `id` \\n', "caf\xe9", "tab\there", "semi;colon & pipe|"]


def sent_by(draft: Draft) -> bytes:
    """The head that arrives at a server when the printed command is run by a shell."""
    heads: list[bytes] = []
    arrived = threading.Event()

    def behave(connection: object, head: bytes) -> None:
        heads.append(head)
        arrived.set()
        connection.sendall(http("200 OK", b"{}", "Connection: close"))  # type: ignore[attr-defined]
        connection.shutdown(socket.SHUT_WR)  # type: ignore[attr-defined]

    with raw_server(behave) as port:
        command = Evidence(PROFILE, f"127.0.0.1:{port}", "").curl(draft)
        assert not any(secret in command for secret in PROFILE.secrets())
        env = {"TOKEN": USER.token, "API_KEY": USER.api_key, "API_KEY_2": OTHER.api_key, "PATH": "/usr/bin:/bin"}
        subprocess.run(["bash", "-c", command], env=env, capture_output=True, timeout=60, check=False)
        assert arrived.wait(10), command
        expected = draft.data(f"127.0.0.1:{port}", "").partition(b"\r\n\r\n")[0]
    return b"same" if sorted(_lines(heads[0])) == sorted(_lines(expected)) else heads[0]


def _lines(head: bytes) -> list[bytes]:
    first, *rest = head.split(b"\r\n")
    own = (b"user-agent:", b"host:")
    return [first, *(line for line in rest if not line.lower().startswith(own))]


@pytest.mark.parametrize("ref", REFS)
def test_any_ref_survives_the_shell(ref: str) -> None:
    assert sent_by(draft_for(USER, "AUTHY", ref)) == b"same"


@pytest.mark.parametrize(
    "name", ["line-folded", "blank-before-colon", "control-in-header", "nul-in-header", "whole-url", "http-1.2"]
)
def test_what_curl_would_mend_is_sent_as_bytes(name: str) -> None:
    draft = draft_for(USER, "AUTHY", "ref")
    ODDITIES[name](draft)
    assert sent_by(draft) == b"same"


def test_two_secrets_have_two_names() -> None:
    draft = draft_for(USER, "AUTHY")
    draft.set("api-key", USER.api_key, OTHER.api_key)
    command = Evidence(PROFILE, "127.0.0.1:1", "").curl(draft)
    assert "$TOKEN = users[0].token, $API_KEY = users[0].api_key, $API_KEY_2 = users[2].api_key" in command
    assert sent_by(draft) == b"same"


def test_hostile_bodies_are_shown_on_one_line() -> None:
    shown = answered(Answer(200, (), b"\x1b[31m\r\nred\x00" + b"x" * 5000, "", 0, 0))
    assert shown.isprintable()
    assert len(shown) < 400
