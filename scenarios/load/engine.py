"""Locust alone in this process: its users are our connections, its events begin and end the turns of the load."""

import signal
import socket
from typing import Any, Final

from locust.env import Environment

from harness.errors import ExitCode, HarnessError
from harness.redact import Redactor
from scenarios.load import green
from scenarios.load.conclusions import conclusions
from scenarios.load.locust_reports import LocustReports
from scenarios.load.part import Deal
from scenarios.load.process import LoadProcess, shard
from scenarios.load.progress import Progress, say, write_facts
from scenarios.load.setup import Setup
from scenarios.load.users import user_class

LOOPBACK: Final = "127.0.0.1"


class Alone:
    """A load from this process only."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._deals: list[Deal] = []
        self._results: list[dict[str, Any]] = []
        self._stop = stop_event()
        self._ended = green.Event()
        self._environment = make_environment(setup)
        self._runner: Any = self._environment.create_local_runner()
        users = user_class(setup.options.fast_http)
        self._process = LoadProcess(
            setup.profile, shard(setup.profile, setup.folder.history, 0), 0, self._environment, users
        )
        self._process.ended = self._ended.set
        events = self._environment.events
        events.test_start.add_listener(self._deal_again)
        events.spawning_complete.add_listener(lambda **_: self._process.begin())
        events.test_stopping.add_listener(self._end)

    def run(self) -> ExitCode:
        """Run the plan to its end, or until a signal; with Locust's page, go on until a signal."""
        page = serve_page(self._environment, self._setup.options.web_ui)
        connections = self._setup.plan.connections
        reports = follow(self._environment, self._setup)
        try:
            self._deal()  # not left to the event: what an event's listener raises would be lost
            self._runner.start(connections, spawn_rate=connections)
            progress = Progress(self._environment, self._deals[-1], self._process.late_ms)
            while not self._stop.is_set():
                green.wait_any([self._ended, self._stop])
                self._runner.stop()
                self._ended.clear()
                if page is None:
                    break
            self._runner.quit()
            progress.stop()
        finally:
            self._process.close()
        self._results[-1:] = [self._process.result()]  # with what closing the shard has shown
        if reports is not None:
            reports.write()
        return conclude(self._setup, self._deals, self._results, interrupted=self._stop.is_set(), lost={})

    def _deal_again(self, **_: Any) -> None:
        """Locust's page has started the load anew."""
        if len(self._results) == len(self._deals):
            self._deal()

    def _deal(self) -> None:
        made, orders = self._setup.orders(len(self._deals))
        self._deals.append(made)
        self._ended.clear()
        self._process.take(orders[0])
        for note in made.notes:
            say(note)

    def _end(self, **_: Any) -> None:
        self._process.end()
        self._results.append(self._process.result())


def stop_event() -> Any:
    """An event that SIGINT and SIGTERM set."""
    event = green.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        green.on_signal(number, event.set)
    return event


def make_environment(setup: Setup) -> Any:
    """Locust's environment for the target."""
    users: list[Any] = [user_class(setup.options.fast_http)]
    return Environment(user_classes=users, host=setup.profile.target.base_url, stop_timeout=0)


def serve_page(environment: Any, port: int | None) -> Any:
    """Locust's own page on loopback, None where it was not asked for; HarnessError where the port is in use."""
    if port is None:
        return None
    try:
        socket.create_server((LOOPBACK, port)).close()
    except OSError as error:
        raise HarnessError(f"--web-ui {port}: {error.strerror}", hint="Name another port.") from error
    page = environment.create_web_ui(LOOPBACK, port)
    say(f"Locust's page: http://{LOOPBACK}:{port}/")
    return page


def follow(environment: Any, setup: Setup) -> LocustReports | None:
    """Locust's own reports of a load that now begins, None where they were not asked for."""
    if not setup.options.locust_reports:
        return None
    return LocustReports(environment, setup.folder.path, Redactor(setup.profile.secrets()))


def conclude(
    setup: Setup, deals: list[Deal], results: list[dict[str, Any]], *, interrupted: bool, lost: dict[str, str]
) -> ExitCode:
    """Write load.json, say what went wrong; the exit code. `lost` are workers, and how they ended."""
    errors = [result["error"] for result in results if result["error"]]
    broken = [result["broken"] for result in results if result["broken"]]
    gone = [result["gone"] for result in results if result["gone"]]
    ended = "failed" if errors or broken else "gone" if gone else "interrupted" if interrupted else "complete"
    found = conclusions(setup.folder, results)
    write_facts(setup.folder, setup.plan.name, deals, results, ended, lost, found)
    for sentence in found.sentences:
        say(sentence)
    if broken:
        say(broken[0])
        return ExitCode.USAGE
    if errors:
        say(errors[0].rstrip())
        return ExitCode.INTERNAL
    if gone and len(gone) == len(results):
        say(f"the target at {setup.profile.target.base_url} is gone: {gone[0]}")
        return ExitCode.UNREACHABLE
    return ExitCode.INTERRUPTED if interrupted else ExitCode.PASS
