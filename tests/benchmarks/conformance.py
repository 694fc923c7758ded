"""Cases per second of the conformance stage and of plain `st run`, each against a service of the same kind.

Run by hand: `.venv/bin/python -m tests.benchmarks.conformance`. The service is correct and its limits are off, so that
neither is slowed down by them; each gets a service of its own. Requests are counted where they arrive: in our history,
and in the report of `st run`.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness.reference.server import Server
from harness.reference.settings import Settings
from harness.spec import spec_path
from tests.conformance.stage import run

SETTINGS = Settings(rate_count=None, challenge_count=None)
EXAMPLES = 300
LIMIT_S = 300.0


def ours(folder: Path) -> tuple[int, float]:
    """Requests and seconds of the stage, its start included."""
    with Server(SETTINGS, folder / "service") as server:
        began = time.monotonic()
        done = run(server.profile_path, folder / "run")
        return int(done.told["cases"]), time.monotonic() - began


def plain(folder: Path) -> tuple[int, float]:
    """Requests and seconds of `st run` with a user's credentials, its start included."""
    with Server(SETTINGS, folder / "service") as server:
        user = json.loads((server.directory / "users.json").read_text())[0]
        report = folder / "events.ndjson"
        command = [str(Path(sys.executable).with_name("st")), "run", str(spec_path()), "--url", server.base_url]
        command += ["-H", f"Authorization: Bearer {user['token']}", "-H", f"api-key: {user['api_key']}"]
        command += ["--max-examples", str(EXAMPLES), "--continue-on-failure", "--seed", "1"]
        command += ["--report", "ndjson", "--report-ndjson-path", str(report)]
        began = time.monotonic()
        subprocess.run(command, capture_output=True, timeout=LIMIT_S, check=False, cwd=folder, env=os.environ)
        took = time.monotonic() - began
        return report.read_text().count('"status_code":'), took


def main() -> None:
    for name, measure in (("stepup conformance", ours), ("st run", plain)):
        with tempfile.TemporaryDirectory() as folder:
            requests, seconds = measure(Path(folder))
        print(f"{name:20} {requests:6,} requests {seconds:7.1f} s {requests / seconds:7.1f} requests/s")


if __name__ == "__main__":
    main()
