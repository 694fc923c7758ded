"""One persistent connection: sends a call, reads its answer in full, and keeps what became of it honest.

A call is sent once. Where no complete answer comes after a byte was written, its outcome is unknown; it is for the
scenario to retry it. A kept connection that the target has closed meanwhile is found out before the write.
"""

from collections.abc import Callable
from itertools import count
from time import monotonic_ns
from typing import Any, Final

from harness.history import Exchange
from scenarios.load import green
from scenarios.load.answers import Answer, BrokenAnswerError, Reader, whole_answer
from scenarios.load.journal import Journal, unanswered
from scenarios.load.recall import Recall
from scenarios.load.rows import Call, Row, Said, make_row
from scenarios.load.wire import Dialler, PlainWire

Done = Callable[[Row, "Connection"], object]
READ: Final = 1  # libev's names for what to watch a socket for
WRITE: Final = 2
FRESH_NS: Final = 1_000_000  # an answer read this short a time ago proves that the connection was open just now
_numbers = count(1)
_recall: Final = Recall()  # of all connections of the process


class Connection:
    """A connection of one user; it has at most one call under way, and tells its end by calling `done`.

    Answers are read in the event loop itself, without a switch to a greenlet, so `done` must not wait. What one turn
    of the loop has brought is read before the next calls go out that it leads to, as long as these are left to `soon`.
    """

    def __init__(self, dialler: Dialler | None, journal: Journal, timeout_s: float, first_number: int = 0) -> None:
        self.call: Call | None = None
        self.number = -1
        self._dialler = dialler
        self._journal = journal
        self._timeout_ns = round(timeout_s * 1e9)
        self._first_number = first_number
        self._wire: PlainWire | None = None
        self._watcher: Any = None
        self._reader: Reader | None = None
        self._done: Done = _nobody
        self._dialling = False
        self._given_up = ""  # why a call is not to be sent any more that waits for the connection to open
        self._intended = self._sent = self._deadline = self._last = 0

    @property
    def open(self) -> bool:
        return self._wire is not None

    @property
    def busy(self) -> bool:
        """Whether a call is under way, or will be as soon as the connection is open."""
        return self.call is not None or self._dialling

    def warm(self) -> bool:
        """Whether a call can be written now: connected, and not closed by the target as far as can be seen."""
        if self._wire is None:
            return False
        if monotonic_ns() - self._last < FRESH_NS:
            return True
        try:
            waiting = self._wire.read()
        except OSError:
            waiting = b""
        if waiting is None:
            self._last = monotonic_ns()
            return True
        self.close()  # closed by the target, or sent what nobody asked for (such as 408 to an idle connection)
        return False

    def connect(self) -> str:
        """Open the connection; waits. Gives '' or why it could not be opened."""
        assert self._dialler is not None
        self.close()
        try:
            wire = self._dialler.dial()
        except (OSError, UnicodeError) as error:
            return f"connect: {getattr(error, 'strerror', None) or error}"[:120]
        self._wire = wire
        self.number = self._first_number + next(_numbers)
        self._last = monotonic_ns()
        # Watched as long as it is open: that costs less than to begin anew for each call, and shows when it is closed.
        self._watcher = green.watcher(wire.fileno, READ)
        self._watcher.start(self._readable)
        return ""

    def send(self, call: Call, done: Done, intended: int = 0) -> None:
        """Send a call on a warm connection, at once; `done` is called with its row later, or now if it fails."""
        assert self.call is None
        wire = self._wire
        self.call, self._done = call, done
        self._sent = sent = monotonic_ns()
        self._intended = intended or sent
        self._deadline = sent + self._timeout_ns
        if wire is None:
            self._finish(None, "connect: closed before the call was sent", written=False)
            return
        try:
            gone = wire.write(call.wire)
        except OSError as error:
            # The connection may have taken a part before it broke, and nobody can tell.
            self._finish(None, f"write: {error.strerror or error}"[:120])
            return
        if not gone:
            self._watch(READ | WRITE, self._movable)

    def ask(self, call: Call, intended: int = 0) -> Exchange:
        """Send a call and wait for its exchange; connects first where needed."""
        reply = green.Reply()
        self.dispatch(call, lambda row, _: reply.give(row.exchange), intended)
        exchange: Exchange = reply.get()
        return exchange

    def dispatch(self, call: Call, done: Done, intended: int = 0) -> None:
        """Send a call now, or once connected; never waits."""
        if self.warm():
            self.send(call, done, intended)
        else:
            intended = intended or monotonic_ns()
            self._dialling = True
            green.spawn(self._connect_and_send, call, done, intended)

    def _connect_and_send(self, call: Call, done: Done, intended: int) -> None:
        began = monotonic_ns()
        error = self.connect() or self._given_up
        self._dialling, self._given_up = False, ""
        if error:
            now = monotonic_ns()
            row = Row(call, unanswered(error, written=False), min(intended, began), now, now, -1)
            self._journal.note(row)
            done(row, self)
        else:
            self.send(call, done, intended)

    def abort(self, why: str, *, reset: bool = False) -> None:
        """Close the connection under a call: what became of it is unknown, and stays so."""
        if self.call is not None:
            self._finish(None, why, reset=reset)
        elif self._dialling:
            self._given_up = why

    def expire(self, now: int) -> None:
        """Give up a call that was not answered in time."""
        if self.call is not None and now > self._deadline:
            got = f", {self._reader.taken} bytes had come" if self._reader else ""
            self._finish(None, f"timeout: no complete answer within {self._timeout_ns / 1e9:g} s{got}")

    def close(self, *, reset: bool = False) -> None:
        """Close the connection; it can be opened again."""
        if self._wire is not None:
            self._watcher.stop()
            self._watcher.close()
            self._wire.close(reset=reset)
            self._wire = self._watcher = None

    def _watch(self, events: int, callback: Callable[[], None]) -> None:
        self._watcher.stop()
        self._watcher.events = events
        self._watcher.start(callback)

    def _movable(self) -> None:
        """More of a long request can be written, or an answer comes before all of it has gone."""
        assert self._wire is not None
        try:
            if self._wire.write(b""):
                self._watch(READ, self._readable)
        except OSError as error:
            self._finish(None, f"write: {error.strerror or error}"[:120])
            return
        self._readable()

    def _readable(self) -> None:
        assert self._wire is not None
        try:
            data = self._wire.read()
        except OSError as error:
            data, broken = b"", f"read: {error.strerror or error}"[:120]
        else:
            broken = ""
        if data is None:
            return
        if self.call is None:
            self.close()  # idle, and the target has closed it or sent what nobody asked for
            return
        self._last = monotonic_ns()
        said = _recall.said(data) if self._reader is None else None
        if said is not None and not self._wire.ended:
            self._end(said)
        elif broken:
            self._finish(None, broken)
        else:
            self._take(data)

    def _take(self, data: bytes) -> None:
        """Read more of an answer that is not known by its bytes; b"" is the end of the connection."""
        try:
            answer = self._answer(data)
        except BrokenAnswerError as error:
            self._finish(None, str(error))
            return
        if answer is not None:
            self._finish(answer, "", data if self._reader is None else b"")
        elif data == b"":
            taken = self._reader.taken if self._reader else 0
            self._finish(None, f"closed by the target after {taken} bytes" if taken else "closed by the target")

    def _answer(self, data: bytes) -> Answer | None:
        if self._reader is None:
            answer = whole_answer(data) if data else None
            if answer is not None:
                return answer
            self._reader = Reader()
        if data == b"":
            return self._reader.end()
        self._reader.feed(data)
        return self._reader.complete()

    def _finish(
        self, answer: Answer | None, error: str, whole: bytes = b"", *, written: bool = True, reset: bool = False
    ) -> None:
        """End the call under way with its answer, whose bytes are `whole` if they came in one piece, or an error."""
        call = self.call
        assert call is not None
        if answer is None:
            self._last = monotonic_ns()
            said = unanswered(error, written=written)
        else:
            said = self._journal.said(call, answer)
            if whole:
                _recall.learn(whole, answer, said)
        if answer is None or not answer.head.keep or answer.extra or (self._wire is not None and self._wire.ended):
            self.close(reset=reset)
        self._reader = None
        self._end(said)

    def _end(self, said: Said) -> None:
        """The call is over, as of the last time that something happened here."""
        call, self.call = self.call, None
        row = make_row((call, said, self._intended, self._sent, self._last, self.number))
        self._journal.note(row)
        self._done(row, self)


def _nobody(_row: Row, _connection: Connection) -> None:
    """Takes the row of a call that nobody waits for."""
