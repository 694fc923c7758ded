"""Tokens that a target stops to accept in the middle of a run: expired, or refused without a reason?"""

from typing import NamedTuple

import pandas as pd

from harness.history import History
from harness.rules.reading.columns import Ints


class Lost(NamedTuple):
    """`silent` users may have expired. `flapping` were served after a 401: user, row of the 401, row of the service.

    `denied` counts the 401s of flapping users.
    """

    silent: list[int]
    flapping: list[tuple[int, int, int]]
    denied: int


def lost_tokens(history: History, denied: Ints) -> Lost:
    """What became of the users whose good credentials were answered 401 in the rows `denied`.

    A token can have expired only where some instant parts all its acceptances from all its 401s. A request may be
    decided anywhere between its sending and its answer, so an acceptance shows that the token was good when the
    request was *sent*, and a 401 that it was bad when the answer was *received*.
    """
    if not len(denied):
        return Lost([], [], 0)
    frame = history.frame
    refused = frame.iloc[denied]
    first = refused.groupby("user")["received"].idxmin()  # each user's earliest 401, as a row
    accepted = _accepted(frame, pd.Series(frame["received"].loc[first].to_numpy(), index=first.index))
    rows = dict(zip(first.index.tolist(), first.tolist(), strict=True))
    again = dict(zip(accepted.index.tolist(), accepted.tolist(), strict=True))
    silent = sorted(user for user in rows if user not in again)
    flapping = sorted(((user, rows[user], row) for user, row in again.items()), key=lambda found: found[1])
    return Lost(silent, flapping, int(refused["user"].isin(list(again)).sum()))


def _accepted(frame: pd.DataFrame, worst: "pd.Series[int]") -> "pd.Series[int]":
    """For each user the first row that shows its token good after its earliest 401."""
    own = frame[(frame["operation"] == "push") & frame["user"].isin(worst.index) & frame["status"].isin([200, 409])]
    later = own[own["sent"] > own["user"].map(worst)]
    rows: pd.Series[int] = later.index.to_series().groupby(later["user"]).min()
    return rows
