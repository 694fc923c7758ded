"""How surely `stepup compare` tells a slower service from an equal one: pairs of runs of a service whose time is known.

`python -m tests.benchmarks.compare [--pairs 20] [--service-ms 20] [--slower 0.1] [--runs 1]`: a server on loopback
sleeps for a random time (log-normal, a fifth wide) before each answer. Each pair compares `--runs` runs of it with as
many of the same service, and with as many of one that is slower throughout, made one after the other in turn. Prints a
line a pair; the last line is JSON: `false`, comparisons of equals in which anything was claimed, and `found`, those of
a slower one in which the service was called slower, each of `pairs`.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import socket
from typing import Final

from reports.compare import Comparison, Difference, compare
from reports.figures import SERVICE, Figures, measure
from tests.load.targets import load, plan_file, profile_file, run_folder, users
from tests.support.raw_server import http, raw_server

WIDTH: Final = 0.2  # the standard deviation of the logarithm of service times
LONGEST_S: Final = 3600.0  # that a server lives by itself
PLAN: Final = 'connections = 48\n[[stages]]\nscenario = "background"\nduration = "{0}s"\nrate = {1}\n'


def main() -> None:
    """Make the pairs of runs and print what was claimed of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--service-ms", type=float, default=20.0)
    parser.add_argument("--slower", type=float, default=0.1, help="by which share the other service is slower")
    parser.add_argument("--runs", type=int, default=1, help="on each side of a comparison")
    parser.add_argument("--rate", type=int, default=300)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--serve", nargs=3, metavar=("PORT_FILE", "MS", "SEED"), help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.serve:
        serve(Path(flags.serve[0]), float(flags.serve[1]), int(flags.serve[2]))
        return
    false = found = 0
    for pair in range(flags.pairs):
        sides = runs_of(flags, pair)
        equal, slower = (compare(sides[0], side) for side in sides[1:])
        false += any(one.claim != "no difference shown" for one in equal.differences)
        found += service_of(slower).claim == "worse"
        print(f"{pair + 1:>3}  {told(equal)}  |  {told(slower)}", flush=True)
    print(json.dumps({"pairs": flags.pairs, "false": false, "found": found, "service_ms": flags.service_ms,
                      "slower": flags.slower, "runs": flags.runs}))  # fmt: skip


def runs_of(flags: argparse.Namespace, pair: int) -> list[list[Figures]]:
    """Runs of the service, of the same one again, and of the slower one, made in turn."""
    factors, plan = (1.0, 1.0, 1.0 + flags.slower), PLAN.format(flags.seconds, flags.rate)
    sides: list[list[Figures]] = [[] for _ in factors]
    for run in range(flags.runs):
        for place, factor in enumerate(factors):
            seed = (pair * flags.runs + run) * len(factors) + place
            sides[place].append(figures(flags.service_ms * factor, seed, plan))
    return sides


def figures(service_ms: float, seed: int, plan: str) -> Figures:
    """The figures of one load against a server that takes so long."""
    with tempfile.TemporaryDirectory(prefix="stepup-compare-") as name:
        folder = Path(name)
        with server(folder / "port", service_ms, seed) as port:
            profile = profile_file(folder, port, users(60))
            done = load(profile, run_folder(folder / "run", profile), plan_file(folder, plan))
        assert done.code == 0, done.output
        return Figures(f"run {seed}", "", plan, "", {}, {}, tuple(measure(done.history.pushes)))


@contextmanager
def server(port_file: Path, service_ms: float, seed: int) -> Iterator[int]:
    """The server in a process of its own; gives its port."""
    argv = [sys.executable, "-m", "tests.benchmarks.compare", "--serve", str(port_file), str(service_ms), str(seed)]
    process = subprocess.Popen(argv)
    try:
        while not (port_file.exists() and port_file.read_text()):
            assert process.poll() is None, "the server did not start"
            time.sleep(0.01)
        yield int(port_file.read_text())
    finally:
        process.kill()
        process.wait()


def serve(port_file: Path, service_ms: float, seed: int) -> None:
    """Answer every request after a random time."""
    rng, lock = random.Random(seed), threading.Lock()

    def behave(connection: socket, _: bytes) -> None:
        with lock:
            took_s, number = service_ms / 1e3 * rng.lognormvariate(0.0, WIDTH), rng.getrandbits(64)
        time.sleep(took_s)
        connection.sendall(http("200 OK", json.dumps({"id": f"{number:x}"}).encode(), "Content-Type: application/json"))

    with raw_server(behave) as port:
        port_file.write_text(str(port))
        time.sleep(LONGEST_S)


def service_of(comparison: Comparison) -> Difference:
    """The difference of how long the service took."""
    return next(one for one in comparison.differences if (one.group, one.metric) == ("load", SERVICE))


def told(comparison: Comparison) -> str:
    """A comparison's change of the service time, its interval, and the claim."""
    one = service_of(comparison)
    return f"{100 * one.change:+6.2f} % ({100 * one.low:+6.2f} to {100 * one.high:+6.2f})  {one.claim:<19}"


if __name__ == "__main__":
    main()
