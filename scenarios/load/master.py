"""A load from several processes: Locust's master here, and workers, on this host or on others, that it deals to."""

import subprocess
import sys
from time import monotonic
from typing import Any, Final

from harness.errors import ExitCode, HarnessError
from scenarios.load import green
from scenarios.load.clock import boot_id, now
from scenarios.load.courier import Collector
from scenarios.load.engine import LOOPBACK, conclude, follow, make_environment, serve_page, stop_event
from scenarios.load.messages import (
    CLOCK,
    CLOSE,
    CLOSED,
    ENDED,
    HELLO,
    ORDER,
    READY,
    ROWS,
    WELCOME,
    differences,
    terms_of,
)
from scenarios.load.options import Address, Options
from scenarios.load.part import Deal
from scenarios.load.progress import Progress, say
from scenarios.load.setup import Setup

START_S: Final = 60.0  # for all workers of this host to be there
REMOTE_S: Final = 600.0  # for those of other hosts, which somebody has to start
LOOK_S: Final = 0.1
END_S: Final = 30.0  # for a worker to close its shard and end
SILENT_S: Final = 6.0  # without a heartbeat, after which a worker is lost


class Master:
    """The master of worker processes."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._count = setup.options.processes
        self._deals: list[Deal] = []
        self._results: dict[tuple[int, str], dict[str, Any]] = {}
        self._lost: dict[str, str] = {}
        self._closed: set[str] = set()
        self._stop = stop_event()
        self._environment = make_environment(setup)
        self._runner = _bound(self._environment, setup.options.listen)
        self._terms = terms_of(setup.profile)
        self._collector = Collector(setup.profile, setup.folder.history)
        self._clients: dict[str, dict[str, Any]] = {}  # what each said of itself, by Locust's name for it
        self._ready: set[str] = set()
        self._late: dict[str, float] = {}  # ms, of each worker as it last said
        self._silent: dict[str, float] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        listeners = {
            HELLO: self._hello, READY: self._is_ready, CLOCK: self._time, ROWS: self._rows, ENDED: self._result,
            CLOSED: self._end_of_shard,
        }  # fmt: skip
        for kind, listener in listeners.items():
            self._runner.register_message(kind, listener)
        self._environment.events.test_start.add_listener(self._deal_again)
        self._environment.events.worker_report.add_listener(self._reported)

    def run(self) -> ExitCode:
        """Get the workers together, run the plan to its end or until a signal, and end the workers."""
        page = serve_page(self._environment, self._setup.options.web_ui)
        reports = follow(self._environment, self._setup)
        try:
            self._gather()
            if self._stop.is_set():
                return self._conclude()
            self._deal()
            connections = self._setup.plan.connections
            self._runner.start(connections, spawn_rate=connections)
            progress = Progress(self._environment, self._deals[-1], lambda: max(self._late.values(), default=0.0))
            self._wait_for_results()
            self._runner.stop()
            while page is not None and not self._stop.is_set():
                green.sleep(LOOK_S)
                if self._over() and self._runner.user_count:
                    self._runner.stop()
            self._close()
            progress.stop()
        finally:
            self._end_workers()
        if reports is not None:
            reports.write()
        return self._conclude()

    def _conclude(self) -> ExitCode:
        for name, why in self._lost.items():
            say(f"worker {name} was lost: {why}")
        results = list(self._results.values())
        return conclude(self._setup, self._deals, results, interrupted=self._stop.is_set(), lost=self._lost)

    # Getting together

    def _gather(self) -> None:
        listen = self._setup.options.listen
        if listen is None:
            argv = [sys.executable, "-m", "scenarios.load", *_arguments(self._setup.options, self._runner.server.port)]
            self._processes = [subprocess.Popen(argv, stdin=subprocess.DEVNULL) for _ in range(self._count)]
        else:
            say(f"waiting for {self._count} workers at {listen[0]}:{self._runner.server.port}; start each with: "
                f"stepup load --profile FILE --worker HOST:{self._runner.server.port}")  # fmt: skip
        patience_s = START_S if listen is None else REMOTE_S
        deadline = monotonic() + patience_s
        while len(self._ready) < self._count and not self._stop.is_set():
            self._check_started()
            if monotonic() > deadline:
                raise HarnessError(f"only {len(self._ready)} of {self._count} workers came within {patience_s:.0f} s",
                                   hint="What they printed says why.", code=ExitCode.INTERNAL)  # fmt: skip
            green.sleep(LOOK_S)

    def _check_started(self) -> None:
        failed = [process.returncode for process in self._processes if process.poll() is not None]
        if failed:
            raise HarnessError(f"a worker ended with exit code {failed[0]} before the load began",
                               hint="What it printed above says why.", code=_code(failed[0]))  # fmt: skip

    def _hello(self, msg: Any, **_: Any) -> None:
        told = msg.data
        refused = differences(self._terms, told.get("terms"))
        if not refused and len(self._clients) >= self._count:
            refused = f"the {self._count} workers that were asked for are there already"
        if not refused:
            self._clients[msg.node_id] = told
            if told["remote"]:
                self._collector.open(told["worker"])
        self._runner.send_message(WELCOME, {"refused": refused}, client_id=msg.node_id)
        if refused:
            del self._runner.clients[msg.node_id]  # or Locust would give it users

    def _reported(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        self._late[client_id] = float(data.get("late_ms", 0.0))

    def _is_ready(self, msg: Any, **_: Any) -> None:
        self._ready.add(msg.node_id)

    def _time(self, msg: Any, **_: Any) -> None:
        answer = {"asked": msg.data["asked"], "told": now(), "boot": boot_id()}
        self._runner.send_message(CLOCK, answer, client_id=msg.node_id)

    # Turns

    def _deal_again(self, **_: Any) -> None:
        """Locust's page has started the load anew."""
        if self._deals and self._over():
            self._deal()

    def _deal(self) -> None:
        made, orders = self._setup.orders(len(self._deals))
        self._deals.append(made)
        for order, client in zip(orders, self._clients, strict=True):
            self._runner.send_message(ORDER, order.facts(), client_id=client)
        for note in made.notes:
            say(note)

    def _rows(self, msg: Any, **_: Any) -> None:
        self._collector.take(msg.data["worker"], msg.data["rows"])

    def _result(self, msg: Any, **_: Any) -> None:
        self._results[len(self._deals), msg.data["worker"]] = msg.data

    def _wait_for_results(self) -> None:
        while not (self._over() or self._enough() or self._stop.is_set()):
            self._look_for_lost()
            green.sleep(LOOK_S)

    def _over(self) -> bool:
        """Whether every worker has told its result of this turn, or is lost."""
        turn = len(self._deals)
        return all((turn, name) in self._results or name in self._lost for name in self._names())

    def _enough(self) -> bool:
        """Whether a worker has found out what the load is there for."""
        turn = len(self._deals)
        return any(result["enough"] for (of, _), result in self._results.items() if of == turn)

    def _names(self) -> list[str]:
        return [told["worker"] for told in self._clients.values()]

    def _look_for_lost(self) -> None:
        codes = {process.pid: process.poll() for process in self._processes}
        for client, told in self._clients.items():
            name, code = told["worker"], codes.get(told["pid"])
            if code is not None:
                self._lost.setdefault(name, f"signal {-code}" if code < 0 else f"exit code {code}")
            node = self._runner.clients.get(client)
            if node is not None and node.state != "missing":
                self._silent.pop(client, None)
            elif monotonic() - self._silent.setdefault(client, monotonic()) > SILENT_S:
                self._lost.setdefault(name, f"no heartbeat from {told['host']} for {SILENT_S:.0f} s")

    # The end

    def _close(self) -> None:
        """Have all workers close their shards, and wait for it."""
        for client in self._clients:
            self._runner.send_message(CLOSE, {}, client_id=client)
        deadline = monotonic() + END_S
        while set(self._names()) - self._closed - set(self._lost) and monotonic() < deadline:
            self._look_for_lost()
            green.sleep(LOOK_S)
        for name in set(self._names()) - self._closed:
            self._lost.setdefault(name, "did not close its shard")

    def _end_of_shard(self, msg: Any, **_: Any) -> None:
        told = msg.data
        self._closed.add(told["worker"])
        self._results[len(self._deals), told["worker"]] = told
        self._lost.pop(told["worker"], None)
        self._collector.close(told["worker"], told["sent"], told["engine"])

    def _end_workers(self) -> None:
        self._runner.quit()
        deadline = monotonic() + END_S
        while any(process.poll() is None for process in self._processes) and monotonic() < deadline:
            green.sleep(LOOK_S)
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()


def _bound(environment: Any, listen: Address | None) -> Any:
    """Locust's master at an address; HarnessError where it cannot be had."""
    host, port = listen or (LOOPBACK, 0)
    try:
        return environment.create_master_runner(host, port)
    except (SystemExit, Exception) as error:
        if listen is None:
            raise
        raise HarnessError(f"--master {host}:{port}: cannot listen there", hint="Name a free port of this host, "
                           "and an address that the workers reach.") from error  # fmt: skip


def _arguments(options: Options, port: int) -> list[str]:
    arguments = ["--profile", str(options.profile), "--run", str(options.run), "--worker", f"{LOOPBACK}:{port}"]
    return [*arguments, "--fast-http"] if options.fast_http else arguments


def _code(code: int) -> ExitCode:
    return ExitCode(code) if code in (ExitCode.USAGE, ExitCode.UNREACHABLE) else ExitCode.INTERNAL
