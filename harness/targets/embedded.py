"""The embedded service as a target: started in a temporary folder, with profile and credentials pool, and ended."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.errors import HarnessError, suggest


@contextlib.contextmanager
def embedded(seed: int, fault: str | None = None) -> Iterator[Path]:
    """Run the embedded service; gives the path of its profile. Its secrets stay in a folder that goes with it."""
    from dataclasses import replace

    from harness.reference.faults import FAULTS
    from harness.reference.server import Server
    from harness.reference.settings import Settings

    settings = Settings(seed=seed)
    if fault is not None:
        if fault not in FAULTS:
            raise HarnessError(f"fault {fault!r}: not planted here", hint=suggest(fault, sorted(FAULTS)))
        settings = replace(settings, fault=fault, **FAULTS[fault].needs)
    with tempfile.TemporaryDirectory(prefix="stepup-service-") as folder, Server(settings, Path(folder)) as server:
        yield server.profile_path
