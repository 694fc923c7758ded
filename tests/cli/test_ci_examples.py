"""The CI jobs that the README shows: their shell steps are run as they stand there, against a real service."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from harness.errors import ExitCode
from harness.reference.server import Server
from harness.reference.settings import Settings
from harness.spec import spec_path

ROOT = spec_path().parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
JOBS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", README, re.S)]
SHORT = '[[stages]]\nscenario = "idempotency"\nduration = "2s"\n'


def steps_of(job: dict[str, object]) -> list[tuple[str, dict[str, str]]]:
    """Each shell step with its environment, GitHub's or GitLab's."""
    if "contract" in job:
        one = job["contract"]
        assert isinstance(one, dict)
        return [(line, dict(one["variables"])) for line in one["script"]]
    jobs = job["jobs"]
    assert isinstance(jobs, dict)
    return [(step["run"], step.get("env", {})) for step in jobs["contract"]["steps"] if "run" in step]


@pytest.mark.parametrize("job", JOBS, ids=["github", "gitlab"])
def test_the_steps_of_a_job_run_and_leave_what_it_collects(job: dict[str, object], tmp_path: Path) -> None:
    with Server(Settings(users=30), tmp_path / "service") as server:
        pool = server.profile_path.with_name("users.json").read_text()
        profile = re.sub(r"(?m)^users = .*$", 'users_env = "STEPUP_USERS"', server.profile_path.read_text())
        (tmp_path / "profile.toml").write_text(profile)
        (tmp_path / "short.toml").write_text(SHORT)
        # Installing is what made the environment that this test runs in.
        (tmp_path / ".venv").symlink_to(Path(os.environ.get("VIRTUAL_ENV", ROOT / ".venv")))
        summary = tmp_path / "step-summary.md"
        for text, env in steps_of(job):
            if "pip install" in text:
                continue
            known = {name: value for name, value in env.items() if "secrets." not in value}
            known |= {"GITHUB_ACTIONS": "true"} if "jobs" in job else {}
            command = text.replace("stepup run", "stepup load short.toml")
            done = subprocess.run(
                ["bash", "-euc", command], cwd=tmp_path, capture_output=True, text=True, timeout=240,
                env={**os.environ, **known, "STEPUP_POOL": pool, "GITHUB_STEP_SUMMARY": str(summary)},
            )  # fmt: skip
            assert done.returncode == ExitCode.PASS, done.stdout + done.stderr
            assert not any(user["token"] in done.stdout + done.stderr for user in json.loads(pool))
    assert (tmp_path / "contract" / "junit.xml").exists()
    assert (tmp_path / "users.json").stat().st_mode & 0o077 == 0
    assert summary.exists() == ("jobs" in job)
