"""Runs the conformance stage as the process it is, on any target, and reads what it leaves."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.deal import deal
from harness.history import History, read_history
from harness.profile import load_profile
from harness.run_folder import create
from scenarios.conformance import pytest_arguments
from tests.conformance.people import ROWS

LIMIT_S = 240.0  # far more than any of these takes on an idle machine


@dataclass(frozen=True)
class Done:
    """How the stage ended: `told` is conformance.json."""

    exit: int
    output: str
    told: dict[str, Any]
    folder: Path

    @property
    def history(self) -> History:
        return read_history(self.folder / "history")


def profile_file(folder: Path, base_url: str, rows: list[dict[str, Any]] | None = None) -> Path:
    """A profile of a target at `base_url` with a small pool."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "users.json").write_text(json.dumps(ROWS if rows is None else rows))
    path = folder / "profile.toml"
    path.write_text(f'[target]\nbase_url = "{base_url}"\n[credentials]\nusers = "users.json"\n')
    return path


def command(profile: Path, out: Path, *extra: str, seed: int = 1) -> tuple[list[str], dict[str, str]]:
    """Command line and environment of a stage, with its run folder made."""
    create(out, "test", load_profile(profile), seed=seed, command="test")
    return arguments(profile, out, *extra, seed=seed)


def arguments(profile: Path, out: Path, *extra: str, seed: int = 1) -> tuple[list[str], dict[str, str]]:
    """Command line and environment of a stage in a run folder that is there already."""
    env = {"STEPUP_PROFILE": str(profile), "STEPUP_RUN": str(out), "STEPUP_SEED": str(seed)}
    cache = ["-o", f"cache_dir={out / 'cache'}"]
    return [sys.executable, *pytest_arguments(seed, [*cache, *extra])], {**os.environ, **env}


def run(profile: Path, out: Path, *extra: str, seed: int = 1) -> Done:
    create(out, "test", load_profile(profile), seed=seed, command="test")
    return run_in(profile, out, *extra, seed=seed)


def run_before_load(profile: Path, out: Path, *extra: str, seed: int = 1) -> Done:
    """The stage of a run whose load uses the same users afterwards."""
    loaded = load_profile(profile)
    folder = create(out, "test", loaded, seed=seed, command="test")
    folder.facts["deal"] = deal(loaded.pool, ["conformance", "load"])
    folder.save()
    return run_in(profile, out, *extra, seed=seed)


def run_in(profile: Path, out: Path, *extra: str, seed: int = 1) -> Done:
    """The stage in a run folder that is there already."""
    argv, env = arguments(profile, out, *extra, seed=seed)
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=LIMIT_S)
    return Done(done.returncode, done.stdout + done.stderr, _told(out), out)


def _told(out: Path) -> dict[str, Any]:
    path = out / "conformance.json"
    told: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return told
