"""Turns each exchange of a process into its row of the history, and counts it for Locust and the progress line."""

import json
import re
from typing import Any, Final, NamedTuple

from harness.answer import NOTHING, read_answer
from harness.answer import Answer as Read
from harness.case import allows
from harness.errors import HarnessError
from harness.history import Exchange, Recorder, outcome_of
from scenarios.load.answers import Answer

LONGEST_BODY: Final = 2048  # characters kept of an odd answer
LONGEST_HEADERS: Final = 4096
# The plain success, by far the most frequent body, can be read without a JSON parser and means the same.
_tuple: Any = tuple.__new__
_PLAIN: Final = re.compile(rb'\{"id": ?"([0-9A-Za-z._:-]{1,200})"\}')


class Call(NamedTuple):
    """What to send: the columns of its row up to `ref`, and its bytes."""

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
    wire: bytes


class Journal:
    """Records exchanges. `sent` counts those that were begun; `fresh` gathers rows for statistics until taken; `broken`
    says why exchanges can be kept no longer."""

    def __init__(self, recorder: Recorder) -> None:
        self.sent = 0
        self.broken: HarnessError | None = None
        self.fresh: list[tuple[str, int, int, str, str, int]] = []
        self._add = recorder.add
        self._fits: dict[tuple[str, int, str], bool] = {}

    def note(
        self, call: Call, intended: int, sent: int, received: int, connection: int, answer: Answer | None,
        error: str = "", *, written: bool = True,
    ) -> Exchange:  # fmt: skip
        """Record what became of a call; `error` says why there is no answer.

        `written` is False when not one byte of it can have reached the target.
        """
        self.sent += 1
        status, read, retry_after, size = 0, NOTHING, None, 0
        kept: tuple[str | None, str | None] = (None, None)
        if answer is not None:
            head = answer.head
            status, retry_after, size = head.status, head.retry_after, len(answer.body)
            read = _read(answer)
            if status != 200 or read.fault or answer.extra:
                kept = self._kept(call, answer, read)
        outcome = "ok" if status == 200 else outcome_of(status, was_sent=written)
        error_code, challenge_id, fault = read
        # Made as the tuple that it is: naming all its fields would cost a tenth of what sending a request does.
        exchange: Exchange = _tuple(Exchange, (
            *call[:10], intended, sent, received, status, outcome, error_code, challenge_id, retry_after, fault, error,
            connection, *kept, 0,
        ))  # fmt: skip
        try:
            self._add(exchange)
        except HarnessError as error:  # the disk is full: said once, where the load can be ended in good order
            self.broken = self.broken or error
        self.fresh.append((call[0], received - intended, status, outcome, error, size))
        return exchange

    def _kept(self, call: Call, answer: Answer, read: Read) -> tuple[str | None, str | None]:
        """Headers and body, where they could matter to a reader of the history."""
        status = answer.head.status
        asked = (call.allowed, status, read.error_code)
        fits = self._fits.get(asked)
        if fits is None:
            fits = self._fits[asked] = allows(tuple(call.allowed.split(",")), status, read.error_code)
        odd = bool(read.fault) or not fits
        headers = json.dumps(answer.head.headers)[:LONGEST_HEADERS] if odd or status == 429 else None
        return headers, answer.body[:LONGEST_BODY].decode("utf-8", "replace") if odd else None


def _read(answer: Answer) -> Read:
    head = answer.head
    if head.status == 200 and head.content_type == "application/json" and not answer.extra:
        plain = _PLAIN.fullmatch(answer.body)
        if plain:
            return Read("", plain[1].decode(), "")
    read = read_answer(head.status, head.content_type, answer.body)
    if answer.extra and not read.fault:
        return read._replace(fault="bytes after the end of the answer")
    return read
