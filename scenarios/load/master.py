"""A load from several processes: Locust's master here, and worker processes that it deals the work to."""

import subprocess
import sys
from time import monotonic
from typing import Any, Final

from harness.errors import ExitCode, HarnessError
from scenarios.load import green
from scenarios.load.engine import LOOPBACK, conclude, make_environment, serve_page, stop_event
from scenarios.load.options import Options
from scenarios.load.planner import Deal
from scenarios.load.progress import Progress, say
from scenarios.load.setup import Setup
from scenarios.load.worker import ENDED, HELLO, ORDER

START_S: Final = 60.0  # for all workers to be there
LOOK_S: Final = 0.1
END_S: Final = 30.0  # for a worker to close its shard and end


class Master:
    """The master of worker processes on this machine."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._count = setup.options.processes
        self._deals: list[Deal] = []
        self._results: dict[tuple[int, str], dict[str, Any]] = {}
        self._lost: dict[str, str] = {}
        self._stop = stop_event()
        self._environment = make_environment(setup)
        self._runner: Any = self._environment.create_master_runner(LOOPBACK, 0)
        self._clients: dict[str, dict[str, Any]] = {}  # what each said of itself, by Locust's name for it
        self._processes: list[subprocess.Popen[bytes]] = []
        self._runner.register_message(HELLO, self._hello)
        self._runner.register_message(ENDED, self._result)
        self._environment.events.test_start.add_listener(self._deal_again)

    def run(self) -> ExitCode:
        """Start the workers, run the plan to its end or until a signal, and end the workers."""
        page = serve_page(self._environment, self._setup.options.web_ui)
        try:
            self._start_workers()
            self._deal()
            connections = self._setup.plan.connections
            self._runner.start(connections, spawn_rate=connections)
            progress = Progress(self._environment, self._deals[-1].seconds)
            self._wait_for_results()
            self._runner.stop()
            while page is not None and not self._stop.is_set():
                green.sleep(LOOK_S)
                if self._over() and self._runner.user_count:
                    self._runner.stop()
            self._runner.quit()
            progress.stop()
            self._wait_for_workers()
        finally:
            self._kill_workers()
        for name, why in self._lost.items():
            say(f"worker {name} was lost: {why}")
        results = list(self._results.values())
        return conclude(self._setup, self._deals, results, interrupted=self._stop.is_set(), lost=self._lost)

    def _start_workers(self) -> None:
        argv = [
            sys.executable,
            "-m",
            "scenarios.load",
            *_worker_arguments(self._setup.options, self._runner.server.port),
        ]
        self._processes = [subprocess.Popen(argv, stdin=subprocess.DEVNULL) for _ in range(self._count)]
        deadline = monotonic() + START_S
        while len(self._clients) < self._count and not self._stop.is_set():
            failed = [process.returncode for process in self._processes if process.poll() is not None]
            if failed:
                raise HarnessError(
                    f"a worker ended with exit code {failed[0]} before the load began",
                    hint="What it printed above says why.", code=_code(failed[0]),
                )  # fmt: skip
            if monotonic() > deadline:
                raise HarnessError(f"only {len(self._clients)} of {self._count} workers came within {START_S:.0f} s",
                                   hint="Is the machine overloaded?", code=ExitCode.INTERNAL)  # fmt: skip
            green.sleep(LOOK_S)

    def _deal_again(self, **_: Any) -> None:
        """Locust's page has started the load anew."""
        if self._deals and self._over():
            self._deal()

    def _deal(self) -> None:
        turn = len(self._deals)
        made, orders = self._setup.orders(turn)
        self._deals.append(made)
        for client, told in self._clients.items():
            number = int(told["worker"][1:])
            self._runner.send_message(ORDER, orders[number].facts(), client_id=client)
        for note in made.notes:
            say(note)

    def _hello(self, msg: Any, **_: Any) -> None:
        self._clients[msg.node_id] = msg.data

    def _result(self, msg: Any, **_: Any) -> None:
        self._results[len(self._deals), msg.data["worker"]] = msg.data

    def _wait_for_results(self) -> None:
        while not self._over() and not self._stop.is_set():
            self._look_for_lost()
            green.sleep(LOOK_S)

    def _over(self) -> bool:
        """Whether every worker has told its result of this turn, or is lost."""
        turn = len(self._deals)
        names = [told["worker"] for told in self._clients.values()]
        return all((turn, name) in self._results or name in self._lost for name in names)

    def _look_for_lost(self) -> None:
        codes = {process.pid: process.poll() for process in self._processes}
        for told in self._clients.values():
            code = codes.get(told["pid"])
            if code is not None and told["worker"] not in self._lost:
                self._lost[told["worker"]] = f"signal {-code}" if code < 0 else f"exit code {code}"

    def _wait_for_workers(self) -> None:
        deadline = monotonic() + END_S
        while any(process.poll() is None for process in self._processes) and monotonic() < deadline:
            green.sleep(LOOK_S)
        self._look_for_lost_at_end()

    def _look_for_lost_at_end(self) -> None:
        for told in self._clients.values():
            process = next(process for process in self._processes if process.pid == told["pid"])
            if process.poll() != 0 and told["worker"] not in self._lost:
                code = process.poll()
                self._lost[told["worker"]] = "did not end" if code is None else f"exit code {code} at its end"

    def _kill_workers(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()


def _worker_arguments(options: Options, port: int) -> list[str]:
    arguments = ["--profile", str(options.profile), "--run", str(options.run), "--worker", f"{LOOPBACK}:{port}"]
    return [*arguments, "--fast-http"] if options.fast_http else arguments


def _code(code: int) -> ExitCode:
    return ExitCode(code) if code in (ExitCode.USAGE, ExitCode.UNREACHABLE) else ExitCode.INTERNAL
