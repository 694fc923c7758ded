"""One worker of a load: takes its orders from Locust's master, sends, records, and tells what became of it."""

import os
import signal
import socket
from typing import Any, Final

from locust.env import Environment

from harness.errors import ExitCode, HarnessError
from harness.history import Recorder
from harness.profile import load_profile
from harness.redact import Redactor
from harness.run_folder import open_run
from scenarios.load import green
from scenarios.load.clock import AGAIN_S, Clock, now
from scenarios.load.courier import Courier
from scenarios.load.messages import CLOCK, CLOSE, CLOSED, ENDED, HELLO, ORDER, READY, ROWS, WELCOME, terms_of
from scenarios.load.options import Address, Options
from scenarios.load.order import order_of
from scenarios.load.process import LoadProcess, shard
from scenarios.load.setup import raise_file_limit
from scenarios.load.users import user_class

QUESTIONS: Final = 12  # to the master's clock at first; the quickest answer is the best
WELCOME_S: Final = 30.0


def work_for(options: Options, master: Address) -> ExitCode:
    """Work for this master until it says that all is over; HarnessError where it does not want us."""
    return _Worker(options, master).run()


class _Worker:
    def __init__(self, options: Options, master: Address) -> None:
        self._options = options
        self._master = master
        self._profile = load_profile(options.profile)
        self._users = user_class(options.fast_http)
        users: list[Any] = [self._users]
        self._environment: Any = Environment(user_classes=users, host=self._profile.target.base_url, stop_timeout=0)
        self._clock = Clock()
        self._heard = green.Event()
        self._welcome = green.Event()
        self._refused = ""
        self._runner: Any = None

    def run(self) -> ExitCode:
        """From the first word to the last."""
        for number in (signal.SIGINT, signal.SIGTERM):
            green.on_signal(number, _nothing)  # Ctrl-C reaches all processes of a terminal; the master says what to do
        try:
            self._runner = self._environment.create_worker_runner(*self._master)
        except ConnectionError as error:
            host, port = self._master
            raise HarnessError(f"no master answers at {host}:{port}", hint="Start it first.",
                               code=ExitCode.UNREACHABLE) from error  # fmt: skip
        self._runner.register_message(CLOCK, self._told_time)
        self._runner.register_message(WELCOME, self._welcomed)
        if self._options.run is None:
            self._set_clock()
        self._introduce()
        process = LoadProcess(
            self._profile, self._recorder(), self._runner.worker_index, self._environment, self._users
        )
        self._listen(process)
        self._runner.send_message(READY, {})
        try:
            self._runner.greenlet.join()
        finally:
            process.close()
        return ExitCode.PASS

    def _introduce(self) -> None:
        """Say who we are, and wait to be let in."""
        self._runner.send_message(HELLO, {
            "pid": os.getpid(), "host": socket.gethostname(), "worker": f"w{self._runner.worker_index}",
            "remote": self._options.run is None, "terms": terms_of(self._profile),
            "clock_error_ns": self._clock.error_ns,
        })  # fmt: skip
        if not self._welcome.wait(WELCOME_S):
            raise HarnessError("the master did not let this worker in", hint="Is it of another version?")
        if self._refused:
            raise HarnessError(f"the master refused this worker: {self._refused}",
                               hint="Give it the harness, profile and credentials pool of the master.")  # fmt: skip

    def _recorder(self) -> Recorder:
        number, profile = self._runner.worker_index, self._profile
        if self._options.run is not None:
            return shard(profile, open_run(self._options.run).history, number)
        return Courier(
            Redactor(profile.secrets()), self._clock,
            lambda rows: self._runner.send_message(ROWS, {"worker": f"w{number}", "rows": rows}),
        )  # fmt: skip

    def _listen(self, process: LoadProcess) -> None:
        runner, events = self._runner, self._environment.events

        def told(kind: str = ENDED) -> None:
            result = process.result()
            offset = self._clock.offset_ns  # the master has its own time
            result["phases"] = [
                [name, start + offset, end + offset, rate] for name, start, end, rate in result["phases"]
            ]
            runner.send_message(kind, result)

        def take(msg: Any, **_: Any) -> None:
            order = order_of(msg.data)
            raise_file_limit(order.connections)
            process.take(order)

        def end(**_: Any) -> None:
            process.end()
            told()

        def close(**_: Any) -> None:
            process.close()
            told(CLOSED)

        process.ended = told
        events.report_to_master.add_listener(lambda data, **_: data.update(late_ms=process.late_ms()))
        runner.register_message(ORDER, take)
        runner.register_message(CLOSE, close)
        events.spawning_complete.add_listener(lambda **_: process.begin())
        events.test_stopping.add_listener(end)

    def _set_clock(self) -> None:
        """Ask the master what time it has, several times now and then again and again."""
        for _ in range(QUESTIONS):
            self._heard.clear()
            self._runner.send_message(CLOCK, {"asked": now()})
            if not self._heard.wait(WELCOME_S):
                raise HarnessError("the master does not tell its time", hint="Is it of another version?")
        green.serve(self._keep_time)

    def _keep_time(self) -> None:
        while True:
            green.sleep(AGAIN_S)
            self._runner.send_message(CLOCK, {"asked": now()})

    def _told_time(self, msg: Any, **_: Any) -> None:
        heard = now()
        self._clock.learn(msg.data["asked"], msg.data["told"], heard, msg.data["boot"])
        self._heard.set()

    def _welcomed(self, msg: Any, **_: Any) -> None:
        self._refused = msg.data["refused"]
        self._welcome.set()


def _nothing() -> None:
    """Takes a signal that is the master's to act on."""
