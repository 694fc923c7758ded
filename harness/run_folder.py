"""A run's folder: where each stage leaves what the next one reads, and what was run, without secrets."""

import json
import os
import platform
import re
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import __version__
from harness.allowances import allowances_in
from harness.config import check, schema
from harness.errors import HarnessError
from harness.pool import Pool, pool_from_facts
from harness.profile import ChallengeLimit, Control, Policy, Profile, RateLimit, Target

VERSION = 1
FACTS = "run.json"
SUMMARY = "summary.json"
FILES = "folder.schema.json"


class RunFolder:
    """The files of one run below `path`; `facts` is the content of run.json."""

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self.path = path
        self.facts = facts

    @property
    def history(self) -> Path:
        return self.path / "history"

    @property
    def profile(self) -> Profile:
        """The profile that was tested, without secrets."""
        return profile_from_facts(self.facts["profile"], self.facts["pool"])

    def save(self) -> None:
        """Write run.json anew."""
        write_json(self.path / FACTS, self.facts)

    def read(self, name: str) -> dict[str, Any]:
        """A JSON object that a stage left in the folder; empty where it left none or did not finish it."""
        try:
            told = json.loads((self.path / name).read_text(encoding="utf-8"))
            if name.removesuffix(".json") in schema(FILES)["$defs"]:
                check_file(told, name.removesuffix(".json"), name)
        except (OSError, ValueError, RecursionError, HarnessError):
            return {}
        return told if isinstance(told, dict) else {}


def create(path: Path | None, name: str, profile: Profile, *, seed: int, command: str) -> RunFolder:
    """A new run folder at `path` or `runs/<time>-<name>`; HarnessError where it is not empty or cannot be written."""
    started = datetime.now(UTC)
    short = re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")[:40] or "target"
    where = path if path is not None else unused(Path("runs") / f"{started:%Y%m%dT%H%M%S}-{short}")
    facts = {
        "version": VERSION,
        "name": short,
        "started": started.isoformat(),
        "seed": seed,
        "command": command,
        "interrupted": False,
        "stages": {},
        "profile": facts_of(profile),
        "pool": profile.pool.facts(),
        "environment": _environment(),
    }
    folder = RunFolder(where, facts)
    try:
        if where.exists() and (not where.is_dir() or any(where.iterdir())):
            raise HarnessError(f"run folder {where}: not empty", hint="Name a new folder with --out DIR.")
        folder.history.mkdir(parents=True, exist_ok=True)
        folder.save()
    except OSError as error:
        raise HarnessError(f"run folder {where}: {error.strerror}", hint="Name a writable one: --out DIR.") from error
    if path is None:
        _point_latest(where)
    return folder


def open_run(path: Path) -> RunFolder:
    """The run folder at `path`; HarnessError where it is none, is damaged, or of another version."""
    where = path / FACTS
    try:
        facts = json.loads(where.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise HarnessError(
            f"{path}: not a run folder: it has no {FACTS}", hint="Name one, such as runs/latest."
        ) from error
    except (OSError, ValueError) as error:
        raise HarnessError(f"{where}: cannot be read: {error}", hint="The run folder is damaged.") from error
    if not isinstance(facts, dict) or facts.get("version") != VERSION:
        told = facts.get("version", "unknown") if isinstance(facts, dict) else "unknown"
        raise HarnessError(
            f"{where}: version {told}, but this harness reads {VERSION}", hint="Use the harness that wrote it."
        )
    folder = RunFolder(path, facts)
    check_file(facts, "run", str(where))
    try:
        _ = folder.profile, allowances_in(facts)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise HarnessError(f"{where}: damaged: {error}", hint="Run the test again.") from error
    facts.setdefault("stages", {})
    return folder


def open_what_is_left(path: Path) -> RunFolder:
    """The run folder at `path`, also where run.json cannot be used; its facts name under `unreadable` what cannot.

    HarnessError where nothing there was left by a run.
    """
    try:
        return open_run(path)
    except HarnessError as error:
        if not (path / "history").is_dir():
            raise
        return RunFolder(path, {**_unknown(path.name), "unreadable": {FACTS: error.message}})


def _unknown(name: str) -> dict[str, Any]:
    """The facts of a run of which nothing is known."""
    profile = Profile(Target(base_url="unknown"), pool_from_facts([]))
    facts = {"version": VERSION, "name": name, "started": "", "seed": 0, "command": "", "interrupted": False}
    return {**facts, "stages": {}, "profile": facts_of(profile), "pool": [], "environment": {}}


def facts_of(profile: Profile) -> dict[str, Any]:
    """A profile as run.json keeps it: control headers by name only, no pool."""
    target = {**asdict(profile.target), "ca_file": str(profile.target.ca_file) if profile.target.ca_file else None}
    return {
        "target": target,
        "policy": asdict(profile.policy),
        "challenges": asdict(profile.challenges) if profile.challenges else None,
        "rate": asdict(profile.rate) if profile.rate else None,
        "control": {**asdict(profile.control), "headers": dict.fromkeys(profile.control.headers, "")},
        "outcomes": {name: list(values) for name, values in profile.outcomes.items()},
    }


def profile_from_facts(facts: dict[str, Any], pool: list[dict[str, Any]]) -> Profile:
    """The profile that `facts_of` and `Pool.facts` were made from, without secrets."""
    target = {**facts["target"], "ca_file": Path(facts["target"]["ca_file"]) if facts["target"]["ca_file"] else None}
    users: Pool = pool_from_facts(pool)
    return Profile(
        target=Target(**target),
        pool=users,
        policy=Policy(**facts["policy"]),
        challenges=ChallengeLimit(**facts["challenges"]) if facts["challenges"] else None,
        rate=RateLimit(**facts["rate"]) if facts["rate"] else None,
        control=Control(**facts["control"]),
        outcomes={name: tuple(values) for name, values in facts["outcomes"].items()},
    )


def check_file(told: Any, name: str, where: str) -> None:
    """HarnessError where the content of a file of a run folder has not the form of `name` in folder.schema.json."""
    try:
        check(told, {"$ref": f"#/$defs/{name}", **schema(FILES)}, f"{where}: damaged")
    except HarnessError as error:
        raise HarnessError(error.message, hint="Run the test again.") from error


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file so that a reader sees the old one or the new one, never a part."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")
    fresh.replace(path)


def unused(path: Path) -> Path:
    """The path, or the first one with a number behind it: two runs may start in one second."""
    numbered = (path.with_name(f"{path.name}-{n}") for n in range(2, 1000))
    return next((one for one in (path, *numbered) if not one.exists()), path)


def _point_latest(where: Path) -> None:
    """Let runs/latest name this run; a file system without links does without."""
    link = where.parent / "latest"
    fresh = where.parent / f".latest-{os.getpid()}"
    try:
        fresh.symlink_to(where.name)
        fresh.replace(link)
    except OSError:
        fresh.unlink(missing_ok=True)


def _environment() -> dict[str, Any]:
    return {
        "harness": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": os.cpu_count() or 1,
        "executable": Path(sys.executable).name,
    }
