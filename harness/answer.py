"""Reads one answer against the document: its error code, its challenge id, and what is wrong with its form."""

import json
from functools import lru_cache
from typing import Any, NamedTuple

from harness.spec import load_spec

LONGEST_FAULT = 160  # characters of a fault's description; the rest of a hostile body helps nobody


class Answer(NamedTuple):
    """What an answer says. `fault` names what is wrong with its form, empty when nothing is."""

    error_code: str
    challenge_id: str
    fault: str


NOTHING = Answer("", "", "")


def read_answer(status: int, content_type: str, body: bytes) -> Answer:
    """Read a body by the schema of its status; a status without a documented body may carry anything."""
    schema = _schema(status)
    if schema is None:
        return NOTHING
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        return Answer("", "", f"content type is {media_type[:60] or 'missing'!r}, not application/json"[:LONGEST_FAULT])
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        return Answer("", "", f"body is not JSON: {_first_line(error)}"[:LONGEST_FAULT])
    return _read_value(status, value)


def _read_value(status: int, value: Any) -> Answer:
    if not isinstance(value, dict):
        return Answer("", "", f"body is {type(value).__name__}, not an object")
    identifier, code = value.get("id"), value.get("errorCode")
    challenge_id = identifier if status == 200 and isinstance(identifier, str) else ""
    error_code = code if isinstance(code, str) else ""
    # The plain success is nearly every answer under load, and needs no validator.
    if status == 200 and challenge_id and len(value) == 1:
        return Answer("", challenge_id, "")
    return Answer(error_code, challenge_id, _fault(status, value))


def _fault(status: int, value: dict[str, Any]) -> str:
    error = next(_validator(status).iter_errors(value), None)
    if error is None:
        return ""
    place = ".".join(str(part) for part in error.absolute_path)
    return f"{place + ': ' if place else ''}{error.message}"[:LONGEST_FAULT]


@lru_cache(maxsize=256)
def _schema(status: int) -> dict[str, Any] | None:
    return load_spec().schema(status)


@lru_cache(maxsize=256)
def _validator(status: int) -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(_schema(status) or {})


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")  # RFC 8259 knows neither NaN nor Infinity


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return value


def _first_line(error: BaseException) -> str:
    return str(error).split("\n")[0] or type(error).__name__
