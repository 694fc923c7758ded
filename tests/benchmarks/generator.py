"""Measures how fast load generators are against a fixed answer, each on one core, the target on another.

`python tests/benchmarks/generator.py [--seconds 5] [--rounds 3] [--connections 64] [--only NAME]` prints a table and,
as its last line, JSON: requests a second of each, and the ratios of the lean client to its peers. All take turns in
each round, and medians are compared, so that what else a machine does strikes all alike. A peer that is not
installed is named. The lean client reads, checks and records every answer; FastHttpUser and k6 check status and id;
hey and wrk check nothing.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from harness.history import read_history
from tests.load.targets import load, profile_file, run_folder, users

BODY = '{"id":"7d0b3f0e-5f3a-4f7c-9d0c-0a1b2c3d4e5f"}'
PATH = "/stepup/challenges/push/AUTHY"
GENERATOR_CORE, TARGET_CORE = "0", "1"
HEADERS = {"Authorization": "Bearer token-00001-secret", "api-key": "key-001-secret-value", "idempotency-ref": "r" * 20}

NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000000; default_type application/json;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 '{body}'; }} }}
}}
"""

FAST_USER = """
from locust import FastHttpUser, constant, task

class Plain(FastHttpUser):
    wait_time = constant(0)

    @task
    def push(self):
        with self.client.post("{path}", headers={headers!r}, catch_response=True) as response:
            if response.status_code != 200 or not isinstance(response.json().get("id"), str):
                response.failure("wrong answer")
"""

K6 = """
import http from 'k6/http';
import {{ check }} from 'k6';
export const options = {{ vus: {connections}, duration: '{seconds}s', discardResponseBodies: false }};
const params = {{ headers: {headers} }};
export default function () {{
  const answer = http.post('{url}', null, params);
  check(answer, {{ 'answered': (r) => r.status === 200 && typeof r.json('id') === 'string' }});
}}
"""

WRK = 'wrk.method = "POST"\n{headers}'


class MissingError(Exception):
    """A generator that is not installed."""


class Bench:
    """The target's address and how hard to press it."""

    def __init__(self, port: int, folder: Path, seconds: int, connections: int) -> None:
        self.port, self.folder, self.seconds, self.connections = port, folder, seconds, connections
        self.url = f"http://127.0.0.1:{port}{PATH}"

    def tool(self, name: str) -> str:
        found = shutil.which(name) or os.environ.get(f"{name.upper()}_PATH")
        if not found:
            raise MissingError(f"{name} is not installed (or name it in {name.upper()}_PATH)")
        return found

    def run(self, *argv: str) -> str:
        done = subprocess.run(
            ["taskset", "-c", GENERATOR_CORE, *argv], capture_output=True, text=True, timeout=self.seconds + 60
        )
        return done.stdout + done.stderr


def lean(bench: Bench, *more: str) -> float:
    """The load stage as it is, closed model: every answer read, checked and recorded."""
    folder = Path(tempfile.mkdtemp(dir=bench.folder))
    profile = profile_file(folder, bench.port, users(bench.connections, keys=bench.connections))
    plan = folder / "plan.toml"
    plan.write_text(
        f'connections = {bench.connections}\n[[stages]]\nscenario = "background"\narrivals = "closed"\n'
        f'duration = "{bench.seconds}s"\n'
    )
    # The stage inherits our affinity: its cores are the generator's while it is started.
    os.sched_setaffinity(0, {int(core) for core in GENERATOR_CORE.split(",")})
    try:
        done = load(profile, run_folder(folder / "run", profile), plan, *more, limit_s=bench.seconds + 60)
    finally:
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    assert done.code == 0, done.output
    frame = read_history(done.folder.history).frame
    assert (frame["status"] == 200).all()
    return len(frame) / float((frame["received"].max() - frame["sent"].min()) / 1e9)


def fasthttpuser(bench: Bench) -> float:
    """Locust's FastHttpUser with an equal check, as a competent script has it."""
    script = bench.folder / "plain.py"
    script.write_text(FAST_USER.format(path=PATH, headers=HEADERS))
    csv = bench.folder / "locust"
    bench.run(
        sys.executable, "-m", "locust", "-f", str(script), "--headless", "-u", str(bench.connections), "-r",
        str(bench.connections), "-t", f"{bench.seconds}s", "-H", f"http://127.0.0.1:{bench.port}", "--csv", str(csv),
    )  # fmt: skip
    last = (bench.folder / "locust_stats.csv").read_text().splitlines()[-1].split(",")
    assert last[3] == "0", f"failures: {last}"
    return float(last[2]) / bench.seconds


def k6(bench: Bench) -> float:
    """k6 with the same check; the whole run, as k6 counts it."""
    script = bench.folder / "plain.js"
    text = K6.format(connections=bench.connections, seconds=bench.seconds, url=bench.url, headers=json.dumps(HEADERS))
    script.write_text(text)
    told = bench.run(bench.tool("k6"), "run", "--quiet", "--no-usage-report", str(script))
    return float(re.findall(r"http_reqs\.*: \d+\s+([\d.]+)/s", told)[0])


def hey(bench: Bench) -> float:
    """hey, which checks nothing."""
    headers = [part for name, value in HEADERS.items() for part in ("-H", f"{name}: {value}")]
    told = bench.run(
        bench.tool("hey"), "-z", f"{bench.seconds}s", "-c", str(bench.connections), "-cpus", "1", "-m", "POST",
        *headers, bench.url,
    )  # fmt: skip
    return float(re.findall(r"Requests/sec:\s+([\d.]+)", told)[0])


def wrk(bench: Bench) -> float:
    """wrk with one thread, which checks nothing."""
    script = bench.folder / "plain.lua"
    script.write_text(WRK.format(headers="".join(f'wrk.headers["{n}"] = "{v}"\n' for n, v in HEADERS.items())))
    told = bench.run(
        bench.tool("wrk"), "-t1", f"-c{bench.connections}", f"-d{bench.seconds}s", "-s", str(script), bench.url
    )
    return float(re.findall(r"Requests/sec:\s+([\d.]+)", told)[0])


GENERATORS: dict[str, Callable[[Bench], float]] = {
    "lean": lean, "fasthttpuser": fasthttpuser, "k6": k6, "hey": hey, "wrk": wrk,
}  # fmt: skip


@contextlib.contextmanager
def fixed_answer(folder: Path) -> Iterator[int]:
    """nginx with a fixed reply on the target's core."""
    if shutil.which("nginx") is None:
        raise SystemExit("nginx is not installed: it is the target of this benchmark")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, body=BODY))
    folder.chmod(0o755)
    server = subprocess.Popen(
        ["taskset", "-c", TARGET_CORE, "nginx", "-c", str(config), "-e", str(folder / "error.log")],
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert server.poll() is None, (folder / "error.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield port
    finally:
        server.terminate()
        server.wait()


def measure(seconds: int, rounds: int, connections: int, only: list[str]) -> dict[str, float | None]:
    """Median requests a second of each generator; None where it is not installed."""
    found: dict[str, list[float]] = {tool: [] for tool in only or GENERATORS}
    missing: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="generator-") as name, fixed_answer(Path(name)) as port:
        bench = Bench(port, Path(name), seconds, connections)
        for tool in [tool for _ in range(rounds) for tool in found]:
            try:
                found[tool].append(GENERATORS[tool](bench))
            except MissingError as error:
                missing[tool] = str(error)
    for tool, rates in found.items():
        told = ", ".join(f"{rate:,.0f}" for rate in rates)
        line = f"{median(rates):>10,.0f} requests/s   of {told}" if rates else f"not measured: {missing[tool]}"
        print(f"{tool:<14} {line}", flush=True)
    return {tool: median(rates) if rates else None for tool, rates in found.items()}


def main() -> None:
    """Measure, print the table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--only", action="append", default=[], choices=list(GENERATORS))
    args = parser.parse_args()
    found = measure(args.seconds, max(args.rounds, 1), args.connections, args.only)
    ours = found.get("lean")
    told: dict[str, Any] = {"requests_per_s": {name: value and round(value) for name, value in found.items()}}
    for name, value in found.items():
        if name != "lean":
            told[name] = round(ours / value, 3) if ours and value else None
    print(json.dumps(told))


if __name__ == "__main__":
    main()
