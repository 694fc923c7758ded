"""What a process keeps of each call under load: parts that many calls share, put into columns only when written."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from harness.history import Exchange


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


class Said(NamedTuple):
    """What became of a call: columns of its row as in `Exchange`, and the bytes of the body. Answers of the same bytes
    share one."""

    status: int
    outcome: str
    error_code: str
    challenge_id: str
    retry_after: str | None
    body_fault: str
    error: str
    headers: str | None
    body: str | None
    size: int


class Row(NamedTuple):
    """One call and what became of it; times and connection as in `Exchange`."""

    call: Call
    said: Said
    intended: int
    sent: int
    received: int
    connection: int

    @property
    def exchange(self) -> Exchange:
        """The same as one flat row of the history."""
        call, said = self.call, self.said
        return Exchange(
            *call[:10], self.intended, self.sent, self.received, *said[:6], said.error, self.connection, said.headers,
            said.body, 0,
        )  # fmt: skip


make_row: Any = Row._make  # from a tuple: half of what naming the fields costs
_CALL: Final = Call._fields[:-1]
_TIMES: Final = ("intended", "sent", "received", "connection")


def columns_of(rows: Sequence[Row]) -> dict[str, Any]:
    """The rows as columns: those of the history by their names, numbers of each row as arrays, and `size`."""
    calls, saids, *numbers = zip(*rows, strict=True)
    columns: dict[str, Any] = dict(zip(_CALL, zip(*calls, strict=True), strict=False))
    columns.update(zip(Said._fields, zip(*saids, strict=True), strict=True))
    count = len(rows)
    columns.update((name, np.fromiter(values, np.int64, count)) for name, values in zip(_TIMES, numbers, strict=True))
    return {**columns, "told": (0,) * count}
