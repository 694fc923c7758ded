"""The closed model: whatever connection nobody else wants gets the next call as soon as its last one is answered."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from scenarios.load import green
from scenarios.load.client import Connection
from scenarios.load.rows import Call, Row

if TYPE_CHECKING:
    from scenarios.load.desk import Desk


class Stream:
    """Takes connections of a desk and sends what `choose` gives, until it is ended; `answered` is told of each row.

    All answers that have come together are read before the next calls are chosen and written, one after the other:
    that takes a target's process and ours fewer turns than to write after each.
    """

    def __init__(self, desk: "Desk", choose: Callable[[], Call | None], answered: Callable[[Row], object]) -> None:
        self.ended = False
        self._desk: Final = desk
        self._choose = choose
        self._answered = answered
        self._free: list[Connection] = []

    def take(self, connection: Connection) -> None:
        """A connection that is idle."""
        if not self._free:
            green.soon(self._send)
        self._free.append(connection)

    def _send(self) -> None:
        free, self._free = self._free, []
        for place, connection in enumerate(free):
            call = None if self.ended or self._desk.stopped else self._choose()
            if call is None:
                for one in free[place:]:
                    self._desk.put(one)
                return
            connection.dispatch(call, self._ended)

    def _ended(self, row: Row, connection: Connection) -> None:
        self._desk.answered(row)
        self._answered(row)
        self._desk.returned(connection)
