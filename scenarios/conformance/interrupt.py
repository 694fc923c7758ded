"""Remembers that the stage was asked to end: Python drops an interrupt that comes while an object is finalised."""

import signal
from types import FrameType

_asked: list[int] = []


def install() -> None:
    """SIGINT and SIGTERM both ask: whoever ends the stage asks twice before it is killed."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _ask)


def _ask(number: int, _: FrameType | None) -> None:
    _asked.append(number)
    raise KeyboardInterrupt


def end_if_asked() -> None:
    """KeyboardInterrupt once somebody has asked."""
    if _asked:
        raise KeyboardInterrupt
