"""Runs pytest as a stage: its exit codes become those that every stage has."""

import sys
from typing import Final

import pytest

from harness.errors import ExitCode

CODES: Final = {
    pytest.ExitCode.INTERRUPTED: ExitCode.INTERRUPTED,
    pytest.ExitCode.INTERNAL_ERROR: ExitCode.INTERNAL,
    pytest.ExitCode.USAGE_ERROR: ExitCode.USAGE,
}


def main(arguments: list[str]) -> int:
    """Run the scenarios; 0 and 1 as pytest has them, 5 only where the target could not be tested."""
    code = pytest.main(arguments)
    return int(CODES.get(pytest.ExitCode(code), code) if code in set(pytest.ExitCode) else code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
