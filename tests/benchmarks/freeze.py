"""Freezes a target under a constant arrival rate, and compares what each load generator says with arithmetic.

`python tests/benchmarks/freeze.py [--rate 500] [--seconds 10] [--frozen 2]`: requests arrive evenly; the target is
stopped by SIGSTOP for a while. Those that arrive while it is frozen wait for its end, so a share `frozen / seconds` of
all waits evenly from `frozen` down to 0, and every percentile follows. Prints a table; its last line is JSON.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.benchmarks.generator import HEADERS, PATH, Bench, MissingError
from tests.load.targets import finish, profile_file, run_folder, small_target, start_load, users

POINTS = (50.0, 90.0, 99.0)
SETTLE_S = 1.0  # after the load has begun, before the target is frozen

LOCUST = """
from locust import FastHttpUser, constant_throughput, task

class Plain(FastHttpUser):
    wait_time = constant_throughput({each})

    @task
    def push(self):
        self.client.post("{path}", headers={headers!r})
"""

K6 = """
import http from 'k6/http';
export const options = {{
  summaryTrendStats: ['p(50)', 'p(90)', 'p(99)'],
  scenarios: {{ open: {{ executor: 'constant-arrival-rate', rate: {rate}, timeUnit: '1s', duration: '{seconds}s',
    preAllocatedVUs: 20, maxVUs: 2000 }} }},
}};
const params = {{ headers: {headers} }};
export default function () {{ http.post('{url}', null, params); }}
"""


def expected(rate: int, seconds: float, frozen: float) -> dict[float, float]:
    """The percentiles in ms that follow from the schedule alone, for a target that otherwise answers at once."""
    waits = np.concatenate([np.zeros(round(rate * (seconds - frozen))), np.arange(0, frozen, 1 / rate)])
    return {point: float(np.percentile(waits, point)) * 1e3 for point in POINTS}


class Frozen:
    """The target, and how it is to be frozen."""

    def __init__(self, bench: Bench, pid: int, rate: int, frozen: float) -> None:
        self.bench, self.pid, self.rate, self.frozen = bench, pid, rate, frozen

    def after(self, seconds: float) -> None:
        """Freeze the target that much later, in a thread."""

        def freeze() -> None:
            time.sleep(seconds)
            os.kill(self.pid, signal.SIGSTOP)
            time.sleep(self.frozen)
            os.kill(self.pid, signal.SIGCONT)

        threading.Thread(target=freeze, daemon=True).start()


def lean(case: Frozen) -> dict[float, float]:
    """The load stage: percentiles of its records, counted from the intended time."""
    bench = case.bench
    folder = Path(tempfile.mkdtemp(dir=bench.folder))
    profile = profile_file(folder, bench.port, users(200, keys=200))
    plan = folder / "plan.toml"
    plan.write_text(f'connections = 500\n[[stages]]\nscenario = "background"\nrate = {case.rate}\n'
                    f'duration = "{bench.seconds}s"\n')  # fmt: skip
    made = run_folder(folder / "run", profile)
    process = start_load(profile, made, plan)
    shard = made.history / "load-w0.arrow"
    while not shard.exists() or shard.stat().st_size < 20_000:
        assert process.poll() is None
        time.sleep(0.01)
    case.after(SETTLE_S)
    frame = finish(process, made).history.frame
    latency = (frame["received"] - frame["intended"]).to_numpy() / 1e6
    return {point: float(np.percentile(latency, point)) for point in POINTS}


def locust(case: Frozen) -> dict[float, float]:
    """Plain Locust with constant_throughput, as its documentation suggests for a fixed rate."""
    bench, users_count = case.bench, 50
    script = bench.folder / "freeze_locust.py"
    script.write_text(LOCUST.format(each=case.rate / users_count, path=PATH, headers=HEADERS))
    csv = bench.folder / "freeze"
    process = subprocess.Popen(
        [sys.executable, "-m", "locust", "-f", str(script), "--headless", "-u", str(users_count), "-r",
         str(users_count), "-t", f"{bench.seconds}s", "-H", f"http://127.0.0.1:{bench.port}", "--csv", str(csv)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    while "All users spawned" not in (line := process.stderr.readline()):
        assert line, "locust ended"
    case.after(SETTLE_S)
    process.communicate(timeout=bench.seconds + 60)
    row = (bench.folder / "freeze_stats.csv").read_text().splitlines()
    names, values = row[0].split(","), row[-1].split(",")
    return {point: float(values[names.index(f"{point:g}%")]) for point in POINTS}


def k6(case: Frozen) -> dict[float, float]:
    """k6 with a constant arrival rate."""
    bench = case.bench
    script = bench.folder / "freeze.js"
    script.write_text(K6.format(rate=case.rate, seconds=bench.seconds, url=bench.url, headers=json.dumps(HEADERS)))
    tool = bench.tool("k6")
    case.after(SETTLE_S + 1)
    told = bench.run(tool, "run", "--quiet", "--no-usage-report", str(script))
    line = next(line for line in told.splitlines() if re.match(r"\s*http_req_duration\.", line))
    return {point: _ms(re.findall(rf"p\({point:g}\)=([\d.]+)(µs|ms|s)", line)[0]) for point in POINTS}


def _ms(told: tuple[str, str]) -> float:
    return float(told[0]) * {"µs": 1e-3, "ms": 1.0, "s": 1e3}[told[1]]


GENERATORS: dict[str, Callable[[Frozen], dict[float, float]]] = {"lean": lean, "locust": locust, "k6": k6}


def main() -> None:
    """Freeze the target under each generator, print the table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--frozen", type=float, default=2.0)
    parser.add_argument("--only", action="append", default=[], choices=list(GENERATORS))
    args = parser.parse_args()
    arithmetic = expected(args.rate, args.seconds, args.frozen)
    found: dict[str, dict[float, float] | None] = {"arithmetic": arithmetic}
    print(f"{'':<12}" + "".join(f"{f'p{point:g} ms':>12}" for point in POINTS))
    with tempfile.TemporaryDirectory(prefix="freeze-") as name, small_target(Path(name) / "target") as target:
        case = Frozen(Bench(target.port, Path(name), args.seconds, 50), target.process.pid, args.rate, args.frozen)
        for tool in ["arithmetic", *(args.only or GENERATORS)]:
            try:
                row = arithmetic if tool == "arithmetic" else GENERATORS[tool](case)
            except MissingError as error:
                found[tool] = None
                print(f"{tool:<12} not measured: {error}", flush=True)
                continue
            found[tool] = row
            print(f"{tool:<12}" + "".join(f"{value:>12.1f}" for value in row.values()), flush=True)
    told = {
        tool: {f"p{point:g}": round(row[point], 2) for point in POINTS} if row else None for tool, row in found.items()
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
