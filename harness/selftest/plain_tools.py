"""What the tools find as they come, on the same target: `st run` with the document, and a plain Locust script."""

import csv
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.profile import Profile, load_profile
from harness.spec import spec_path
from harness.targets.embedded import embedded

SECONDS: Final = 8  # of the Locust script
USERS: Final = 20
LIMIT_S: Final = 120.0
SCRIPT: Final = spec_path().parent / "scenarios" / "load" / "plain.py"
# Secrets come by environment variables: the command line of a process is for everyone to see.
CONFIG: Final = '[headers]\napi-key = "${PLAIN_KEY}"\nAuthorization = "Bearer ${PLAIN_TOKEN}"\n'


@dataclass(frozen=True)
class Found:
    """Whether each tool reports something of a faulty target that it doesn't report of the correct one."""

    schemathesis: bool
    locust: bool


class PlainTools:
    """Both tools against the embedded service; what they say of the correct one is noise, and counts for nothing."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._noise = self._said(None)

    def found(self, fault: str) -> Found:
        """What they find of one planted fault."""
        pairs = zip(self._said(fault), self._noise, strict=True)
        schemathesis, locust = (bool(said - noise) for said, noise in pairs)
        return Found(schemathesis, locust)

    def _said(self, fault: str | None) -> tuple[set[str], set[str]]:
        with embedded(self._seed, fault) as profile:
            by_schemathesis = found_by_schemathesis(profile, self._seed)
        with embedded(self._seed, fault) as profile:
            return by_schemathesis, found_by_locust(profile, profile.with_name("users.json"))


def found_by_schemathesis(profile_path: Path, seed: int) -> set[str]:
    """The kinds of failures that `st run` reports with one user's credentials."""
    profile = load_profile(profile_path)
    user = next(user for user in profile.pool.active if len(user.usable) > 1)
    env = {**os.environ, "PLAIN_TOKEN": user.token, "PLAIN_KEY": user.api_key}
    with tempfile.TemporaryDirectory() as folder:
        told, config = Path(folder) / "report.json", Path(folder) / "schemathesis.toml"
        config.write_text(CONFIG)
        argv = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", str(spec_path())]
        argv += ["--url", profile.target.base_url, "--seed", str(seed), "--report-json-path", str(told)]
        _run([*argv, "--no-color", "--continue-on-failure"], env)
        return {_kind(failure) for failure in _report(told).get("failures", [])}


def found_by_locust(profile_path: Path, users_path: Path) -> set[str]:
    """The failures that a plain Locust script reports."""
    profile: Profile = load_profile(profile_path)
    env = {**os.environ, "PLAIN_USERS": str(users_path)}
    with tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, "-m", "locust", "-f", str(SCRIPT), "--headless", "--host", profile.target.base_url]
        argv += ["-u", str(USERS), "-r", str(USERS), "-t", f"{SECONDS}s", "--csv", f"{folder}/plain", "--only-summary"]
        _run(argv, env)
        try:
            with (Path(folder) / "plain_failures.csv").open(newline="", encoding="utf-8") as file:
                return {row["Error"] for row in csv.DictReader(file)}
        except OSError:
            return set()


def _run(argv: list[str], env: dict[str, str]) -> None:
    subprocess.run(argv, env=env, timeout=LIMIT_S, check=False, capture_output=True)


def _report(path: Path) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told


def _kind(failure: dict[str, Any]) -> str:
    return str(failure.get("title") or failure.get("check") or failure.get("type") or "failure")
