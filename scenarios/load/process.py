"""What one process of the load holds for its whole life, and how a turn of it begins and ends."""

import gc
import resource
import traceback
from collections.abc import Callable
from pathlib import Path
from time import monotonic_ns
from typing import Any, Final

import pyarrow as pa

from harness.answer import read_answer
from harness.errors import HarnessError
from harness.history import Recorder
from harness.profile import Profile
from harness.redact import Redactor
from scenarios.load import green
from scenarios.load.client import Connection
from scenarios.load.desk import Desk
from scenarios.load.feed import Feed
from scenarios.load.journal import Journal
from scenarios.load.order import Order
from scenarios.load.rows import Row
from scenarios.load.session import Session, run_prefix
from scenarios.load.steering import Steering
from scenarios.load.turn import Turn
from scenarios.load.watch import Watch
from scenarios.load.wire import Dialler

FLUSH_S: Final = 0.5  # the most that a kill can lose of a slow trickle of exchanges
STOPPED_WAIT_S: Final = 3.0  # for answers under way when the load is stopped early
STEERING_WAIT_S: Final = 12.0  # longer than a control call can take
STATM: Final = Path("/proc/self/statm")
NUMBERS: Final = 10_000_000  # connection numbers of one process


class LoadProcess:
    """One process: its shard, its connections, its turns. `ended` is called when all parts of a turn have ended.

    Locust's users bring connections (`connect`, `disconnect`) and its events begin and end turns.
    """

    def __init__(self, profile: Profile, recorder: Recorder, number: int, environment: Any, users: Any) -> None:
        _warm_up()
        self.name = f"w{number}"
        self.desk = Desk()
        self.ended: Callable[[], object] = lambda: None
        self.watch = Watch()
        self._profile = profile
        self._recorder = recorder
        self.journal = Journal(self._recorder)
        self.journal.watched = self.watch.note
        self._steering = Steering(profile, self._recorder, "lifecycle")
        self.feed = Feed(environment, self.journal, self._steering, by_locust=users.by_locust)
        self._users = users
        users.process = self
        self._number = number
        self._order: Order | None = None
        self._session: Session | None = None
        self._turn: Turn | None = None
        self._memory_mb = 0.0
        self._error = ""
        self._services = [green.serve(self.desk.reap), green.serve(self._keep_up)]

    def take(self, order: Order) -> None:
        """What the next turn is to do; its connections can be made from now on."""
        self._order, self._turn, self._error = order, None, ""
        target = self._profile.target
        self._dialler = Dialler(target.base_url, target.ca_file, order.timeout_s)
        prefix = run_prefix(order.run, order.seed, order.process, order.turn)
        self._session = Session(self._profile, self._dialler, self.desk, order.usage, prefix)
        self._users.prepare(self._profile, order.timeout_s)
        self.watch.restart(order.timeout_s)
        self.desk.answered = self._answered if self._profile.rate else _unlimited
        self.desk.stopped, self.desk.unsent = False, 0
        bursting = any(part.stage.scenario != "background" for part in order.parts)
        self.desk.reserve = order.connections // 2 if bursting else 0

    def connect(self) -> Connection:
        """A connection for a new user."""
        return self.adopt(lambda journal, timeout_s, number: Connection(self._dialler, journal, timeout_s, number))

    def adopt(self, make: Callable[[Journal, float, int], Connection]) -> Connection:
        """A connection made from the journal, the seconds to wait for an answer, and the number to count from."""
        assert self._order is not None
        connection = make(self.journal, self._order.timeout_s, self._number * NUMBERS)
        self.desk.add(connection)
        return connection

    def disconnect(self, connection: Connection) -> None:
        """A user has gone."""
        self.desk.remove(connection)

    def begin(self) -> None:
        """Begin the turn, once, as users are there."""
        if self._order is None or self._session is None or self._turn is not None:
            return
        self._turn = Turn(self._order, self._session, self._steering)
        self._memory_mb = memory_mb()
        gc.collect()
        gc.freeze()  # what lives as long as the process is not looked through again and again
        green.serve(self._run, self._turn)

    def end(self) -> None:
        """End the turn, early or not: begin nothing new, wait a while for what is under way, give up the rest."""
        self.desk.drain(STOPPED_WAIT_S)
        self._wait_for_steering()
        green.end_all()
        self.feed.flush()

    def result(self) -> dict[str, Any]:
        """What became of the turn: occasions by scenario, notes, counts, and what went wrong."""
        turn = self._turn
        return {
            "worker": self.name,
            "turn": self._order.turn if self._order else 0,
            "done": turn.done() if turn else {},
            "notes": list(turn.notes) if turn else [],
            "phases": [list(phase) for phase in turn.phases()] if turn else [],
            "findings": turn.findings() if turn else [],
            "memory_mb": [self._memory_mb, memory_mb()],
            "enough": bool(self._session and self._session.enough),
            "sent": self.journal.sent + self._steering.calls,
            "engine": self.feed.engine,
            "unsent": self.desk.unsent,
            "gone": self.watch.gone,
            "error": self._error,
            "broken": str(self.journal.broken or ""),
        }

    def late_ms(self) -> float:
        """The 99th percentile of how late arrivals were dealt with since the last time that this was asked."""
        late = sorted(self._session.late) if self._session else []
        if self._session:
            self._session.late.clear()
        return round(late[len(late) * 99 // 100] / 1e6, 2) if late else 0.0

    def close(self) -> None:
        """Close the shard; nothing can be sent any more. A second time does nothing."""
        if not self._services:
            return
        for service in self._services:
            service.kill()
        self._services = []
        self.feed.flush()
        self._steering.close()
        # A shard that could not be written to its end is not closed, and is named as a gap for it.
        try:
            self._recorder.close(sent=self.journal.sent + self._steering.calls, engine=self.feed.engine)
        except (HarnessError, OSError) as error:
            self.journal.broken = self.journal.broken or HarnessError(
                f"history: {error}", hint="Free some disk space, or choose another run folder with --out DIR."
            )

    def _run(self, turn: Turn) -> None:
        assert self._order is not None
        try:
            turn.run()
        except Exception:  # whatever a scenario did: the load ends, and what was recorded is kept
            self._error = traceback.format_exc()
        else:
            self.desk.drain(self._order.timeout_s + 1)
            self._wait_for_steering()
        self.feed.flush()
        self.ended()

    def _wait_for_steering(self) -> None:
        deadline = monotonic_ns() + round(STEERING_WAIT_S * 1e9)
        while self._steering.busy and monotonic_ns() < deadline:
            green.sleep(0.01)

    def _answered(self, row: Row) -> None:
        assert self._session is not None
        pacer = self._session.tokens[row.call.user].pacer
        pacer.give_back(row.received, lost=row.said.outcome == "unknown")

    def _keep_up(self) -> None:
        """Feed Locust's statistics, keep the shard on disk up to date, and see whether the target is still there."""
        while True:
            green.sleep(FLUSH_S)
            self.feed.flush()
            self._flush()
            if self._turn is not None and not self.desk.stopped and (self.journal.broken or self.watch.look()):
                self.desk.drain(0.0)
                self.ended()

    def _flush(self) -> None:
        try:
            self._recorder.flush()
        except HarnessError as error:
            self.journal.broken = self.journal.broken or error


def shard(profile: Profile, folder: Path, number: int) -> Recorder:
    """The recorder of a process that can write to the run folder."""
    return Recorder(folder, "load", f"w{number}", Redactor(profile.secrets()))


def memory_mb() -> float:
    """The memory that this process has in use, in megabytes; 0 where the system does not tell."""
    try:
        return round(int(STATM.read_text().split()[1]) * resource.getpagesize() / 1e6, 1)
    except (OSError, ValueError, IndexError):
        return 0.0


def _unlimited(_: Row) -> None:
    """No rate is declared, so that nothing is given back."""


def _warm_up() -> None:
    """Do once what is slow the first time only: it would stall the load for a tenth of a second and more."""
    pa.array(("",), pa.string())  # imports pandas
    read_answer(409, "application/json", b'{"errorCode": "STATE_INVALID"}')  # reads the document, makes a validator
