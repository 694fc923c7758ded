"""The embedded service as a target: started in a temporary folder, with profile and credentials pool, and ended."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError, suggest

if TYPE_CHECKING:
    from harness.reference.settings import Settings


@contextlib.contextmanager
def embedded(seed: int, fault: str | None = None, policy: tuple[str, ...] = ()) -> Iterator[Path]:
    """Run the embedded service; gives the path of its profile. Its secrets stay in a folder that goes with it."""
    from harness.reference.server import Server
    from harness.reference.settings import Settings

    settings = planted(Settings(seed=seed), fault, policy)
    with tempfile.TemporaryDirectory(prefix="stepup-service-") as folder, Server(settings, Path(folder)) as server:
        yield server.profile_path


def planted(settings: "Settings", fault: str | None, policy: tuple[str, ...]) -> "Settings":
    """The settings with a fault, what that needs to be visible, and other policies; HarnessError where one is wrong."""
    from harness.reference.faults import FAULTS
    from harness.reference.settings import with_policies

    if fault is not None:
        if fault not in FAULTS:
            raise HarnessError(f"fault {fault!r}: not planted here", hint=suggest(fault, sorted(FAULTS)))
        settings = replace(settings, fault=fault, **FAULTS[fault].needs)
    return with_policies(settings, policy)
