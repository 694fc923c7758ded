"""One worker of a load: takes its orders from Locust's master, sends, records, and tells what became of it."""

import os
import signal
from typing import Any

from locust.env import Environment

from harness.errors import ExitCode, HarnessError
from harness.profile import load_profile
from harness.run_folder import open_run
from scenarios.load import green
from scenarios.load.options import Address, Options
from scenarios.load.order import order_of
from scenarios.load.process import LoadProcess
from scenarios.load.setup import raise_file_limit
from scenarios.load.users import user_class

HELLO = "stepup-hello"  # worker to master: I am here, this is my process
ORDER = "stepup-order"  # master to worker: this is what you do, and with how many connections
ENDED = "stepup-ended"  # worker to master: this is what became of it


def work_for(options: Options, master: Address) -> ExitCode:
    """Work for this master until it says that all is over."""
    profile = load_profile(options.profile)
    kind = user_class(options.fast_http)
    users: list[Any] = [kind]
    environment = Environment(user_classes=users, host=profile.target.base_url, stop_timeout=0)
    for number in (signal.SIGINT, signal.SIGTERM):
        green.on_signal(number, _nothing)  # Ctrl-C reaches all processes of a terminal; the master tells us what to do
    try:
        runner: Any = environment.create_worker_runner(*master)
    except ConnectionError as error:
        raise HarnessError(f"no master at {master[0]}:{master[1]}", hint="Start it first.") from error
    process = LoadProcess(profile, open_run(options.run).history, runner.worker_index, environment, kind)
    _listen(runner, environment, process)
    runner.send_message(HELLO, {"pid": os.getpid(), "worker": process.name})
    try:
        runner.greenlet.join()
    finally:
        process.close()
    return ExitCode.PASS


def _listen(runner: Any, environment: Any, process: LoadProcess) -> None:
    def told() -> None:
        runner.send_message(ENDED, process.result())

    def take(msg: Any, **_: Any) -> None:
        order = order_of(msg.data)
        raise_file_limit(order.connections)
        process.take(order)

    def end(**_: Any) -> None:
        process.end()
        told()

    process.ended = told
    runner.register_message(ORDER, take)
    environment.events.spawning_complete.add_listener(lambda **_: process.begin())
    environment.events.test_stopping.add_listener(end)


def _nothing() -> None:
    """Takes a signal that is the master's to act on."""
