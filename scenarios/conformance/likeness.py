"""What of an answer stays the same when the same is asked again: the part by which two cases can be told apart."""

import json
from typing import Any, Final

from scenarios.conformance.wire import Answer

# Headers that tell of the connection or the moment and not of the request.
PASSING: Final = frozenset({"date", "connection", "keep-alive", "age", "set-cookie", "via", "server-timing"})
VARIES: Final = "varies"


def stable_parts(first: Answer, again: Answer) -> dict[str, Any]:
    """Status, headers and body of two answers to the same question; what differs between them counts as `varies`."""
    one, other = _parts(first), _parts(again)
    return {name: one[name] if one[name] == other.get(name) else VARIES for name in one}


def _parts(answer: Answer) -> dict[str, Any]:
    headers = {name.lower(): value for name, value in answer.headers if name.lower() not in PASSING}
    return {"status": answer.status, **headers, **_body(answer.body)}


def _body(body: bytes) -> dict[str, Any]:
    """A JSON object's members each by itself, so that one that holds a trace id does not hide the rest."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        return {"body": body}
    return {f"body.{name}": json.dumps(part, sort_keys=True) for name, part in value.items()}
