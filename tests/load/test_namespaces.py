"""One master and four workers, each in a network of its own, as if they were five hosts that share no disk."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import ExitCode
from tests.load.targets import finish, plan_file, profile_file, run_folder, small_target, start_load, users
from tests.load.test_stage import BOTH, _until_recorded

WORKERS = 4
NET = "198.18"  # the range set aside for benchmarks of networks (RFC 2544)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextlib.contextmanager
def namespaces() -> Iterator[list[str]]:
    """Network namespaces, each joined to ours by a pair of links; skips where the system does not let us make them."""
    names = [f"stepup{os.getpid()}-{number}" for number in range(WORKERS)]
    try:
        for number, name in enumerate(names):
            try:
                _ip("netns", "add", name)
            except (OSError, subprocess.CalledProcessError):
                pytest.skip("needs `ip netns`, and the right to use it")
            here, there = f"su{os.getpid() % 10000}h{number}", f"su{os.getpid() % 10000}t{number}"
            _ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
            _ip("addr", "add", f"{NET}.{number}.1/30", "dev", here)
            _ip("link", "set", here, "up")
            _ip("-n", name, "addr", "add", f"{NET}.{number}.2/30", "dev", there)
            _ip("-n", name, "link", "set", there, "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def test_four_hosts_bring_their_records_and_one_that_is_killed_is_named(tmp_path: Path) -> None:
    pool = users(120, keys=40)
    with namespaces() as names, small_target(tmp_path / "target", "--host", "0.0.0.0") as target:
        profile = profile_file(tmp_path, target.port, pool)
        folder = run_folder(tmp_path / "run", profile)
        plan = plan_file(tmp_path, BOTH.replace('"2s"', '"5s"'))
        master = start_load(profile, folder, plan, "--processes", str(WORKERS), "--master", "0.0.0.0:0")
        assert master.stdout is not None
        port = master.stdout.readline().split(";")[0].rpartition(":")[2]
        workers = []
        for number, name in enumerate(names):
            own = profile_file(tmp_path / name, target.port, pool)
            text = (
                own.read_text().replace("127.0.0.1", f"{NET}.{number}.1").replace("[target]", "[target]\nallow = true")
            )
            own.write_text(text)
            argv = ["ip", "netns", "exec", name, sys.executable, "-m", "scenarios.load"]
            argv += ["--profile", str(own), "--worker", f"{NET}.{number}.1:{port}"]
            workers.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT))
        _until_recorded(master, *(folder.history / f"load-w{number}.arrow" for number in range(WORKERS)))
        workers[0].kill()
        done = finish(master, folder)
        ends = [worker.wait(30) for worker in workers]
    assert done.code == ExitCode.PASS, done.output
    assert ends == [-9, 0, 0, 0]
    (lost,) = done.facts["lost"]
    history = done.history
    assert {tally.worker for tally in history.tallies if not tally.clean} == {lost}
    assert all(tally.sent == tally.recorded == tally.engine for tally in history.tallies if tally.clean)
    assert set(history.frame["worker"]) == {f"w{number}" for number in range(WORKERS)}
    assert (history.frame["received"] >= history.frame["sent"]).all()
