"""Runs pytest as a stage: its exit codes become those that every stage has."""

import sys
from typing import Final

import pytest

from harness.errors import ExitCode
from scenarios.conformance import OURS, interrupt

CODES: Final[dict[int, ExitCode]] = {
    pytest.ExitCode.INTERRUPTED: ExitCode.INTERRUPTED,
    pytest.ExitCode.INTERNAL_ERROR: ExitCode.INTERNAL,
    pytest.ExitCode.USAGE_ERROR: ExitCode.USAGE,
}


def main(arguments: list[str]) -> int:
    """Run the scenarios; 0 and 1 as pytest has them, 5 only where the target could not be tested."""
    interrupt.install()  # its history is closed either way
    code = int(pytest.main(arguments))
    return code - OURS if code >= OURS else int(CODES.get(code, code))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
