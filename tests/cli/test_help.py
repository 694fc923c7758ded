"""Help is immediate and teaches."""

import subprocess
import sys

import pytest

from harness.cli import cli

SLOW = {"numpy", "pandas", "pyarrow", "locust", "gevent", "schemathesis", "hypothesis", "httpx", "jsonschema", "pytest"}


def test_help_loads_nothing_that_takes_long() -> None:
    argv = [sys.executable, "-X", "importtime", "-m", "harness", "--help"]
    told = subprocess.run(argv, check=True, capture_output=True, text=True).stderr
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in told.splitlines()}
    assert "click" in loaded
    assert not loaded & SLOW


@pytest.mark.parametrize("verb", sorted(cli.commands))
def test_every_verb_explains_itself(verb: str) -> None:
    done = subprocess.run([sys.executable, "-m", "harness", verb, "--help"], check=True, capture_output=True, text=True)
    assert f"stepup {verb}" in done.stdout.replace("python -m harness", "stepup")
