"""The history of a run: every exchange as one row, written in shards, read back as one table."""

from typing import TYPE_CHECKING, Any

from harness.history.columns import COLUMNS, OPERATIONS, OUTCOMES, SCHEMA, TIMES, Exchange, outcome_of
from harness.history.recorder import Recorder, Tally
from harness.history.shards import compact

if TYPE_CHECKING:
    from harness.history.reader import History, history_of, read_history

__all__ = [
    "COLUMNS",
    "OPERATIONS",
    "OUTCOMES",
    "SCHEMA",
    "TIMES",
    "Exchange",
    "History",
    "Recorder",
    "Tally",
    "compact",
    "history_of",
    "outcome_of",
    "read_history",
]


def __getattr__(name: str) -> Any:
    # Reading needs pandas, which takes longer to import than a stage that only writes should wait for.
    if name in ("History", "history_of", "read_history"):
        from harness.history import reader

        return getattr(reader, name)
    raise AttributeError(name)
