"""The history of a run: every exchange as one row, written in shards, read back as one table."""

from harness.history.columns import COLUMNS, OPERATIONS, OUTCOMES, SCHEMA, Exchange, outcome_of
from harness.history.reader import History, read_history
from harness.history.recorder import Recorder, Tally
from harness.history.shards import compact

__all__ = [
    "COLUMNS",
    "OPERATIONS",
    "OUTCOMES",
    "SCHEMA",
    "Exchange",
    "History",
    "Recorder",
    "Tally",
    "compact",
    "outcome_of",
    "read_history",
]
