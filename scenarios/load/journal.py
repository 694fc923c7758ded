"""Keeps what became of each call of a process, and writes it to the history in batches; says what an answer told."""

import json
import re
from collections.abc import Callable
from typing import Any, Final

from harness.answer import Answer as Read
from harness.answer import read_answer
from harness.case import allows
from harness.errors import HarnessError
from harness.history import Recorder, outcome_of
from harness.history.recorder import BATCH
from scenarios.load import green
from scenarios.load.answers import Answer
from scenarios.load.rows import Call, Row, Said, columns_of

LONGEST_BODY: Final = 2048  # characters kept of an odd answer
LONGEST_HEADERS: Final = 4096
# The plain success, by far the most frequent body, can be read without a JSON parser and means the same.
_PLAIN: Final = re.compile(rb'\{"id": ?"([0-9A-Za-z._:-]{1,200})"\}')


class Journal:
    """Records rows. `fresh` gathers the columns of written batches for statistics until they are taken; `broken` says
    why rows can be kept no longer; `watched` is told of every batch before it is written."""

    def __init__(self, recorder: Recorder) -> None:
        self.broken: HarnessError | None = None
        self.fresh: list[dict[str, Any]] = []
        self.watched: Callable[[list[Row]], object] = lambda _: None
        self._write = recorder.write
        self._rows: list[Row] = []
        self._written = 0
        self._fits: dict[tuple[str, int, str], bool] = {}

    @property
    def sent(self) -> int:
        """Calls that have ended so far."""
        return self._written + len(self._rows)

    def note(self, row: Row) -> None:
        """Keep what became of a call; it is written when a batch is full, as soon as the event loop has its turn."""
        rows = self._rows
        rows.append(row)
        if len(rows) == BATCH:
            green.soon(self.flush)

    def flush(self) -> None:
        """Write what has gathered."""
        rows, self._rows = self._rows, []
        if not rows:
            return
        self._written += len(rows)
        self.watched(rows)
        columns = columns_of(rows)
        self.fresh.append(columns)
        try:
            self._write(columns)
        except HarnessError as error:  # the disk is full: said once, where the load can be ended in good order
            self.broken = self.broken or error

    def said(self, call: Call, answer: Answer) -> Said:
        """What an answer to a call says, and of its text what could matter to a reader of the history."""
        status, read = answer.head.status, _read(answer)
        kept: tuple[str | None, str | None] = (None, None)
        if status != 200 or read.fault or answer.extra:
            kept = self._kept(call, answer, read)
        outcome = "ok" if status == 200 else outcome_of(status)
        return Said(
            status, outcome, read.error_code, read.challenge_id, answer.head.retry_after, read.fault, "", *kept,
            len(answer.body),
        )  # fmt: skip

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


def unanswered(error: str, *, written: bool) -> Said:
    """Why there is no answer; `written` is False when not one byte of the call can have reached the target."""
    return Said(0, outcome_of(0, was_sent=written), "", "", None, "", error, None, None, 0)


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
