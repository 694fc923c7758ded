"""The columns of a history: what is kept of one request and what came back."""

from typing import Final, NamedTuple

import pyarrow as pa

VERSION: Final = "1"
OUTCOMES: Final = ("ok", "refused", "unknown")
OPERATIONS: Final = ("push", "again", "accept", "decline", "pushes", "reset")  # `again`: a push of an earlier run's
TIMES: Final = ("intended", "sent", "received")
# How the `error` of a call begins that its own sender gave up: that it has no answer says nothing of the target.
GIVEN_UP: Final = ("closed by us", "the load was stopped")
_WORD = pa.dictionary(pa.int32(), pa.string())  # for columns of few distinct values


class Exchange(NamedTuple):
    """One request and what came back, as the hot path records it.

    Times are nanoseconds of the machine's monotonic clock: `intended` when the schedule wanted it sent, `sent` taken
    before the first byte is written, `received` after the answer is read or when it was given up. `user` is the index
    of the token in the pool (-1: none or not of the pool), `key` the number of the api-key sent (-1 likewise).
    `status` 0 means that no answer came. `outcome` is `ok` (2xx), `refused` (surely without effect: 3xx, 4xx, or never
    sent) or `unknown` (5xx, or lost after it was sent). `allowed` lists what the case allows, such as
    `200,409:STATE_INVALID`. `body_fault` says what is wrong with the answer's form, empty when nothing is. `error` is
    a transport failure. `headers` and `body` are JSON and text of the answer, redacted, kept where they matter.
    `told` is what a control call counted (pushes).
    """

    scenario: str
    case: str
    operation: str
    intent: str
    allowed: str
    method: str
    user: int
    key: int
    channel: str
    ref: str | None
    intended: int
    sent: int
    received: int
    status: int
    outcome: str
    error_code: str
    challenge_id: str
    retry_after: str | None
    body_fault: str
    error: str
    connection: int
    headers: str | None
    body: str | None
    told: int


_TYPES = {
    "scenario": _WORD,
    "case": _WORD,
    "operation": _WORD,
    "intent": _WORD,
    "allowed": _WORD,
    "method": _WORD,
    "user": pa.int32(),
    "key": pa.int32(),
    "channel": _WORD,
    "ref": pa.string(),
    "intended": pa.int64(),
    "sent": pa.int64(),
    "received": pa.int64(),
    "status": pa.int16(),
    "outcome": _WORD,
    "error_code": _WORD,
    "challenge_id": pa.string(),
    "retry_after": pa.string(),
    "body_fault": _WORD,
    "error": _WORD,
    "connection": pa.int32(),
    "headers": pa.string(),
    "body": pa.string(),
    "told": pa.int64(),
}
COLUMNS: Final = Exchange._fields
RECORDED: Final = pa.schema([(name, _TYPES[name]) for name in COLUMNS])
# A reader adds who recorded the row, and its number there, which shows gaps and doubles.
SCHEMA: Final = pa.schema([("stage", _WORD), ("worker", _WORD), ("seq", pa.int64()), *RECORDED])


def outcome_of(status: int, *, was_sent: bool = True) -> str:
    """The outcome of an answer with this status; 0 is no answer, which is unknown unless nothing had been sent."""
    if status == 0:
        return "unknown" if was_sent else "refused"
    if 200 <= status < 300:
        return "ok"
    return "refused" if 300 <= status < 500 else "unknown"
