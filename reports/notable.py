"""The exchanges that a reader should look at: the slowest, the oddest, witnesses of failures; all cut to size."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.case import allows
from harness.history import SCHEMA, History
from harness.history.columns import GIVEN_UP
from reports.escape import visible
from reports.lean import pushed, pushes_of

Values = npt.NDArray[Any]
SHOWN: Final = 10
KINDS_TRIED: Final = 2000  # a target that answers differently every time has no rarest kind
KEPT: Final = (
    "row", "stage", "worker", "scenario", "case", "operation", "intent", "method", "user", "key", "channel", "ref",
    "status", "outcome", "error_code", "challenge_id", "retry_after", "body_fault", "error", "connection", "told",
    "intended_ms", "sent_ms", "received_ms",
)  # fmt: skip
WITNESS_MOST: Final = 60


def shown(exchange: dict[str, Any]) -> dict[str, Any]:
    """An exchange as a reader sees it: known fields only, every text printable and cut, empty ones left out."""
    cut = {name: exchange[name] for name in KEPT if exchange.get(name) not in (None, "")}
    return {name: visible(value, 96) if isinstance(value, str) else value for name, value in cut.items()}


def slowest(history: History) -> list[dict[str, Any]]:
    """The pushes that waited longest for their answer, or for none; `service_ms` says how long."""
    times = pushes_of(history, ["sent", "received"])
    took = times["received"].to_numpy() - times["sent"].to_numpy()
    first = max(0, len(took) - SHOWN)
    least = np.partition(took, first)[first] if len(took) else 0
    places = np.flatnonzero(took >= least)  # all that took as long as the last one shown
    shown = places[np.argsort(-took[places], kind="stable")][:SHOWN]
    return _rows(history, np.flatnonzero(pushed(history))[shown])


def oddest(history: History, kinds: pd.DataFrame, limits: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """One exchange of each kind of outcome that its case does not allow or that is no sound answer, rarest kind first.

    `kinds` are those of `frames.kinds`. `seen` says how many of the kind there were, `why` what is odd.
    `limits` are outcomes, such as `429`, of declared limits: they may come at any time, so they are not odd.
    """
    names = ["allowed", "status", "error_code", "body_fault", "error"]
    grouped = kinds.groupby(names, observed=True, sort=False, dropna=False)
    counted = grouped.agg(count=("count", "sum"), first=("first", "min")).reset_index()
    table = counted.sort_values(["count", "first"]).head(KINDS_TRIED)
    found: list[dict[str, Any]] = []
    for kind in table.to_dict("records"):
        why = _why(kind, limits)
        if why:
            (row,) = _rows(history, np.array([kind["first"]], np.int64))
            found.append({**row, "seen": int(kind["count"]), "why": visible(why)})
        if len(found) == SHOWN:
            break
    return found


def _why(kind: dict[Any, Any], limits: tuple[str, ...]) -> str:
    status = int(kind["status"])
    if str(kind["error"]).startswith(GIVEN_UP):
        return ""
    if kind["error"]:
        return f"no answer: {kind['error']}"
    if kind["body_fault"]:
        return str(kind["body_fault"])
    if status >= 500:
        return "server error"
    allowed = (*str(kind["allowed"]).split(","), *limits)
    if status and not allows(allowed, status, str(kind["error_code"])):
        return f"the case allows {kind['allowed']}"
    return ""


def _rows(history: History, numbers: Values) -> list[dict[str, Any]]:
    """The exchanges of these numbers in full."""
    frame = history.at(numbers, SCHEMA.names)
    return [_row(int(place), told) for place, told in zip(frame.index, frame.to_dict("records"), strict=True)]


def _row(place: int, told: dict[Any, Any]) -> dict[str, Any]:
    plain = {str(name): _plain(value) for name, value in told.items()}
    times = {f"{name}_ms": round(plain[name] / 1e6, 3) for name in ("intended", "sent", "received")}
    took = round((plain["received"] - plain["sent"]) / 1e6, 3)
    return {**shown({"row": place, **plain, **times}), "service_ms": took}


def _plain(value: Any) -> Any:
    if value is None or pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
