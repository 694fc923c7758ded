"""Help is immediate and teaches."""

import resource
import subprocess
import sys

import pytest

from harness.cli import cli

LIMIT_S = 0.15  # of processor time, which does not depend on what else the machine does


def test_help_costs_next_to_nothing() -> None:
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "harness", "--help"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(spent) < LIMIT_S


@pytest.mark.parametrize("verb", sorted(cli.commands))
def test_every_verb_explains_itself(verb: str) -> None:
    done = subprocess.run([sys.executable, "-m", "harness", verb, "--help"], check=True, capture_output=True, text=True)
    assert f"stepup {verb}" in done.stdout.replace("python -m harness", "stepup")
