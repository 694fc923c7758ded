"""Answers are read against the document: what is wrong with their form is named."""

import pytest

from harness.answer import NOTHING, Answer, read_answer

JSON = "application/json"


@pytest.mark.parametrize(
    ("status", "content_type", "body", "expected"),
    [
        (200, JSON, b'{"id": "c1"}', Answer("", "c1", "")),
        (200, "application/json; charset=utf-8", b' {"id": "c1", "more": 1} ', Answer("", "c1", "")),
        (200, "application/problem+json", b'{"id": "c1"}', Answer("", "c1", "")),
        (409, JSON, b'{"errorCode": "STATE_INVALID"}', Answer("STATE_INVALID", "", "")),
        (400, JSON, b"{}", NOTHING),
        (401, "text/html", b"<html>", NOTHING),
        (429, "", b"", NOTHING),
        (404, JSON, b'{"code": "NOT_FOUND", "message": "no"}', NOTHING),
    ],
)
def test_an_answer_of_the_documented_form_has_no_fault(
    status: int, content_type: str, body: bytes, expected: Answer
) -> None:
    assert read_answer(status, content_type, body) == expected


@pytest.mark.parametrize(
    ("status", "content_type", "body", "fault"),
    [
        (200, JSON, b"{}", "'id' is a required property"),
        (200, JSON, b'{"id": ""}', "id: '' should be non-empty"),
        (200, JSON, b'{"id": 7}', "id: 7 is not of type 'string'"),
        (200, JSON, b'{"id": "c1"}x', "body is not JSON"),
        (200, JSON, b'{"id": "c1"', "body is not JSON"),
        (200, JSON, b'{"id": "c1", "id": "c2"}', "a name stands twice"),
        (200, JSON, b'{"id": "c1", "n": NaN}', "NaN is not JSON"),
        (200, JSON, b"", "body is not JSON"),
        (200, JSON, b'"c1"', "body is str, not an object"),
        (200, JSON, b"\xff\xfe", "body is not JSON"),
        (200, JSON, b"[" * 100_000, "body is not JSON"),
        (200, "text/plain", b'{"id": "c1"}', "content type is 'text/plain'"),
        (200, "", b'{"id": "c1"}', "content type is 'missing'"),
        (409, JSON, b'{"errorCode": "STATE_INVALD"}', "errorCode: 'STATE_INVALD' is not one of"),
        (409, JSON, b"{}", "'errorCode' is a required property"),
        (400, JSON, b'{"syntaxErrors": {"invalidFields": [{"error": "WRONG"}]}}', "'WRONG' is not one of"),
        (404, JSON, b'{"message": "no"}', "'code' is a required property"),
    ],
)
def test_what_is_wrong_with_an_answers_form_is_named(status: int, content_type: str, body: bytes, fault: str) -> None:
    assert fault in read_answer(status, content_type, body).fault
