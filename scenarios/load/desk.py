"""Hands out a process' connections: one call when it is due, many at the same moment, or one that is cut off."""

from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic_ns
from typing import Final

from harness.history import Exchange
from scenarios.load import green
from scenarios.load.client import Connection, Done
from scenarios.load.rows import Call, Row
from scenarios.load.stream import Stream

REAP_S: Final = 0.05  # how often calls are looked at that may be overdue
Answered = Callable[[Exchange], object]
SPIN_NS: Final = 200_000  # the event loop's timers are late by up to this much; the rest of a pause is spun


class Desk:
    """Connections that scenarios share. Open ones are used in turn, which keeps them warm; closed ones when needed.

    `reserve` connections are left alone by calls that are patient, so that bursts find warm ones whatever else goes on.
    """

    def __init__(self) -> None:
        self.all: dict[Connection, None] = {}  # in the order of their users
        self.stopped = False
        self.unsent = 0  # calls that were due when the load was stopped
        self.answered: Callable[[Row], object] = lambda _: None  # called for every row
        self._open: deque[Connection] = deque()
        self._closed: list[Connection] = []
        self.reserve = 0
        self._waiting: deque[tuple[Call, Answered, int]] = deque()
        self._patient: deque[tuple[Call, Answered, int]] = deque()
        self._stream: Stream | None = None

    def add(self, connection: Connection) -> None:
        """Take a connection into use."""
        self.all[connection] = None
        self._free(connection)

    def remove(self, connection: Connection) -> None:
        """A user has gone: take its connection out of use and close it."""
        self.all.pop(connection, None)
        for idle in (self._open, self._closed):
            if connection in idle:
                idle.remove(connection)
        connection.abort("the load was stopped")
        connection.close()

    def idle(self) -> int:
        return len(self._open) + len(self._closed)

    def backlog(self) -> int:
        """Calls that are due but wait for a connection."""
        return len(self._waiting) + len(self._patient)

    def stream(self, choose: Callable[[], Call | None], answered: Callable[[Row], object]) -> Stream:
        """Keep every connection that nobody else wants busy with what `choose` gives, as a patient caller would, until
        the stream is ended; one that nothing is chosen for becomes idle, until `stir`."""
        self._stream = Stream(self, choose, answered)
        self.stir()
        return self._stream

    def stir(self) -> None:
        """Offer idle connections to the stream."""
        for _ in range(self.idle() - self.reserve):
            connection = self._next()
            if connection is not None:
                self._free(connection)

    def fire(self, call: Call, done: Answered, intended: int = 0, *, patient: bool = False) -> None:
        """Send a call as soon as a connection is free; never waits. `done` gets its exchange."""
        if self.stopped:
            self.unsent += 1
            return
        intended = intended or monotonic_ns()
        if patient and self.idle() <= self.reserve:
            self._patient.append((call, done, intended))
            return
        connection = self._next()
        if connection is None:
            self._waiting.append((call, done, intended))
        else:
            self._use(connection, call, done, intended)

    def ask(self, call: Call, intended: int = 0) -> Exchange:
        """Send a call and wait for its exchange."""
        reply = green.Reply()
        self.fire(call, reply.give, intended)
        exchange: Exchange = reply.get()
        return exchange

    def together(self, calls: Sequence[Call], spread_ns: Sequence[int] = ()) -> list[Exchange]:
        """Send calls at the same moment over connections that are warm, each delayed by its spread; waits for all.

        Gives the exchanges in the order of the calls.
        """
        lent = self._lend(len(calls))
        found: dict[int, Exchange] = {}
        done = green.Event()

        def collect(place: int) -> Answered:
            def take(exchange: Exchange) -> None:
                found[place] = exchange
                if len(found) == len(calls):
                    done.set()

            return take

        takers = [collect(place) for place in range(len(calls))]
        enders = [self._ender(taker) for taker in takers[: len(lent)]]
        start = monotonic_ns()
        # Nothing but the writes is in this loop: it decides how close together the requests arrive.
        for place, (connection, call, taker) in enumerate(zip(lent, calls, enders, strict=False)):
            if spread_ns:
                _until(start + spread_ns[place])
            connection.send(call, taker)
        for place in range(len(lent), len(calls)):
            self.fire(calls[place], takers[place])
        done.wait()
        return [found[place] for place in range(len(calls))]

    def cut(self, call: Call, after_s: float, *, reset: bool) -> Exchange:
        """Send a call and close its connection after a while, answered or not."""
        (connection,) = self._lend(1) or (None,)
        if connection is None:
            return self.ask(call)
        reply = green.Reply()
        connection.send(call, lambda row, _: reply.give(row))
        if connection.call is call:
            if after_s > 0:
                green.sleep(after_s)
            # It may have been answered meanwhile, and even be in use again for the same call: it is lent to us alone.
            connection.abort("closed by us before the answer" + (" (reset)" if reset else ""), reset=reset)
        row: Row = reply.get()
        self.answered(row)
        self.returned(connection)
        return row.exchange

    def reap(self) -> None:
        """Give up overdue calls, for ever; run it in a greenlet of its own."""
        while True:
            green.sleep(REAP_S)
            now = monotonic_ns()
            for connection in list(self.all):
                connection.expire(now)

    def busy(self) -> bool:
        """Whether a call is under way."""
        return any(connection.busy for connection in self.all)

    def drain(self, seconds: float) -> None:
        """Begin nothing new, wait for the calls under way, and give up those that take longer."""
        self.stopped = True
        self.unsent += self.backlog()
        self._waiting.clear()
        self._patient.clear()
        deadline = monotonic_ns() + round(seconds * 1e9)
        while self.busy() and monotonic_ns() < deadline:
            green.sleep(0.01)
        for connection in list(self.all):
            connection.abort("the load was stopped")

    def _lend(self, many: int) -> list[Connection]:
        """Up to `many` warm connections that are taken from the others; opens closed ones first, side by side."""
        lent = [connection for _ in range(many) if (connection := self._next()) is not None]
        cold = [connection for connection in lent if not connection.warm()]
        green.join([green.spawn(connection.connect) for connection in cold])
        return lent

    def _next(self) -> Connection | None:
        """An idle connection, no longer listed as idle; none when the load was stopped."""
        if self.stopped:
            return None
        return self._open.popleft() if self._open else self._closed.pop() if self._closed else None

    def _use(self, connection: Connection, call: Call, done: Answered, intended: int) -> None:
        connection.dispatch(call, self._ender(done), intended)

    def _ender(self, done: Answered) -> Done:
        """What is to happen when a call has ended: its connection is free for the next one, then `done` is told."""

        def ended(row: Row, connection: Connection) -> None:
            self.answered(row)
            self.returned(connection)
            done(row.exchange)

        return ended

    def returned(self, connection: Connection) -> None:
        """A connection that was lent is idle again."""
        if connection in self.all:
            self._free(connection)

    def _free(self, connection: Connection) -> None:
        if self._waiting and not self.stopped:
            self._use(connection, *self._waiting.popleft())
        elif self._patient and not self.stopped and self.idle() >= self.reserve:
            self._use(connection, *self._patient.popleft())
        elif self._stream is not None and not self._stream.ended and not self.stopped and self.idle() >= self.reserve:
            self._stream.take(connection)
        else:
            self.put(connection)

    def put(self, connection: Connection) -> None:
        """Leave a connection until it is wanted."""
        (self._open if connection.open else self._closed).append(connection)


def _until(when: int) -> None:
    """Wait for a moment exactly: sleep for most of it, spin for the rest."""
    left = when - monotonic_ns()
    if left > 2 * SPIN_NS + 1_000_000:
        green.sleep((left - SPIN_NS - 1_000_000) / 1e9)
    while monotonic_ns() < when:
        pass
