"""What the end-to-end tests of the load stage share: a small target in a process, profiles, run folders, the stage."""

import contextlib
import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.deal import deal
from harness.history import History, read_history
from harness.profile import load_profile
from harness.run_folder import RunFolder, create


@dataclass
class Small:
    """A running small target."""

    port: int
    process: subprocess.Popen[bytes]


@contextlib.contextmanager
def small_target(folder: Path, *arguments: str) -> Iterator[Small]:
    """Run tests.load.small_target; kills it at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    port_file = folder / "port"
    port_file.unlink(missing_ok=True)
    process = subprocess.Popen([sys.executable, "-m", "tests.load.small_target", str(port_file), *arguments])
    try:
        deadline = time.monotonic() + 20
        while not port_file.exists():
            assert process.poll() is None, "the small target did not start"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield Small(int(port_file.read_text()), process)
    finally:
        process.kill()
        process.wait()


def users(count: int, keys: int = 2, persons_each: int = 1) -> list[dict[str, Any]]:
    """A pool of active users on both channels."""
    return [
        {
            "token": f"token-{n:05d}-secret", "api_key": f"key-{n % keys:03d}-secret-value",
            "channels": ["AUTHY", "BIOMETRIC"] if n % 4 else ["AUTHY"], "state": "active",
            **({"user": f"person {n // persons_each}"} if persons_each > 1 else {}),
        }
        for n in range(count)
    ]  # fmt: skip


def profile_file(folder: Path, port: int, pool: list[dict[str, Any]], more: str = "") -> Path:
    """A profile and its pool in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "users.json").write_text(json.dumps(pool))
    path = folder / "profile.toml"
    path.write_text(f'[target]\nbase_url = "http://127.0.0.1:{port}"\n[credentials]\nusers = "users.json"\n{more}')
    return path


def run_folder(folder: Path, profile: Path) -> RunFolder:
    """An empty run folder, as `stepup` makes it before the load stage."""
    made = create(folder, "test", load_profile(profile), seed=1, command="test")
    made.facts["deal"] = deal(load_profile(profile).pool, ["load"])
    made.save()
    return made


def plan_file(folder: Path, text: str) -> Path:
    path = folder / "plan.toml"
    path.write_text(text)
    return path


@dataclass
class Loaded:
    """What became of a load stage."""

    code: int
    output: str
    folder: RunFolder

    @property
    def history(self) -> History:
        return read_history(self.folder.history)

    @property
    def facts(self) -> dict[str, Any]:
        return self.folder.read("load.json")


def start_load(
    profile: Path, folder: RunFolder, plan: Path, *more: str, largest_file: int | None = None
) -> subprocess.Popen[str]:
    """The load stage as `stepup` starts it; it can write files of at most `largest_file` bytes."""
    argv = [sys.executable, "-m", "scenarios.load", "--profile", str(profile), "--run", str(folder.path)]
    argv += ["--seed", "1", "--plan", str(plan), *more]
    limit = (largest_file, largest_file)
    return subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        preexec_fn=None if largest_file is None else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),  # type: ignore[arg-type]
    )  # fmt: skip


def finish(process: subprocess.Popen[str], folder: RunFolder, limit_s: float = 120.0) -> Loaded:
    """Wait for a load stage."""
    try:
        output, _ = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        output, _ = process.communicate()
        raise AssertionError(f"the load did not end within {limit_s} s: {output[:3000]}") from None
    return Loaded(process.returncode, output, folder)


def load(profile: Path, folder: RunFolder, plan: Path, *more: str, limit_s: float = 120.0) -> Loaded:
    """Run the load stage to its end."""
    return finish(start_load(profile, folder, plan, *more), folder, limit_s)
