"""Answers known by their bytes say what reading them would, and nothing but whole plain answers is known."""

import pytest

from scenarios.load.answers import whole_answer
from scenarios.load.recall import LONGEST, MOST, Recall
from scenarios.load.rows import Said
from tests.support.raw_server import http

JSON = "Content-Type: application/json"
SAID = Said(200, "ok", "", "c-1", None, "", "", None, None, 13)
OK = http("200 OK", b'{"id": "c-1"}', JSON)


def learnt(*answers: tuple[bytes, Said]) -> Recall:
    recall = Recall()
    for data, said in answers:
        answer = whole_answer(data)
        assert answer is not None
        recall.learn(data, answer, said)
    return recall


def test_the_same_bytes_say_the_same() -> None:
    assert learnt((OK, SAID)).said(bytes(bytearray(OK))) is SAID


def test_head_and_body_are_known_apart() -> None:
    later = http("200 OK", b'{"id": "c-2"}', JSON, "Date: later")
    other = SAID._replace(challenge_id="c-2")
    recall = learnt((OK, SAID), (later, other))
    assert recall.said(http("200 OK", b'{"id": "c-1"}', JSON, "Date: later")) is SAID
    assert recall.said(http("200 OK", b'{"id": "c-2"}', JSON)) is other


@pytest.mark.parametrize(
    "data",
    [OK[:-1], OK + b"x", OK + OK, OK[:20], b"", b"\r\n\r\n", OK.replace(b"200", b"201"),
     OK.replace(b"json", b"text"), OK.replace(b"c-1", b"c-3"), b"HTTP/1.1 100 Continue\r\n\r\n" + OK],
    ids=["cut", "longer", "twice", "half a head", "nothing", "no head", "status", "type", "body", "interim"],
)  # fmt: skip
def test_anything_else_is_to_be_read(data: bytes) -> None:
    assert learnt((OK, SAID)).said(data) is None


def test_a_head_of_another_type_does_not_share_what_bodies_say() -> None:
    text = http("200 OK", b'{"id": "c-1"}', "Content-Type: text/plain")
    fresh = http("200 OK", b'{"id": "c-9"}', "Content-Type: text/plain")
    assert learnt((OK, SAID), (fresh, SAID._replace(challenge_id="c-9"))).said(text) is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (http("409 Conflict", b"{}", JSON), SAID),
        (OK, SAID._replace(body_fault="wrong")),
        (http("200 OK", b'{"id": "c"}', JSON, "Connection: close"), SAID),
        (http("200 OK", b'{"id": "' + b"c" * LONGEST + b'"}', JSON), SAID),
    ],
    ids=["status", "fault", "close", "long"],
)
def test_what_depends_on_more_than_the_bytes_is_not_learnt(data: bytes, said: Said) -> None:
    assert learnt((data, said)).said(data) is None


def test_no_more_is_remembered_than_has_room() -> None:
    recall = learnt((OK, SAID))
    for number in range(MOST):
        data = http("200 OK", b'{"id": "%d"}' % number, JSON)
        answer = whole_answer(data)
        assert answer is not None
        recall.learn(data, answer, SAID)
    assert recall.said(OK) is None
    assert recall.said(http("200 OK", b'{"id": "%d"}' % (MOST - 1), JSON)) is SAID
