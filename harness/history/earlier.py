"""Answers of an earlier run to calls that this one made again: a file beside the shards, judged with the history.

An exchange that makes such a call again has the operation `again`. For limits and states it is no call of this run, as
a target that remembers does nothing for it; the rules on refs see it, and the earlier answer, as one more push.
"""

import json
from pathlib import Path
from typing import Any, Final

import pandas as pd

from harness.history.columns import COLUMNS, SCHEMA, TIMES

EARLIER: Final = "earlier.json"


def write_earlier(folder: Path, exchanges: list[dict[str, Any]]) -> None:
    """Keep exchanges of an earlier run, times in ns since 1970, beside the history in `folder`."""
    fresh = folder / (EARLIER + ".new")
    fresh.write_text(json.dumps(exchanges, ensure_ascii=False), encoding="utf-8")
    fresh.replace(folder / EARLIER)


def read_earlier(folder: Path, start_ns: int) -> pd.DataFrame | None:
    """These exchanges with the columns of a history whose time 0 is `start_ns` since 1970, numbered …, -2, -1.

    None where there are none; ValueError where the file is damaged.
    """
    try:
        told = json.loads((folder / EARLIER).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    if not isinstance(told, list) or not all(isinstance(one, dict) and set(COLUMNS) <= set(one) for one in told):
        raise ValueError("not a list of exchanges")
    rows = [{"stage": "earlier", "worker": "earlier", "seq": number, **one} for number, one in enumerate(told)]
    frame = pd.DataFrame(rows, columns=SCHEMA.names, index=range(-len(rows), 0))
    for name in TIMES:
        frame[name] = frame[name].astype("int64") - start_ns
    return frame if len(frame) else None


def joined(frame: pd.DataFrame, earlier: pd.DataFrame) -> pd.DataFrame:
    """Both as one, earlier exchanges first, in which calls made again are pushes like the first ones."""
    operation = frame["operation"].astype(str)
    now = frame.assign(operation=operation.where(operation != "again", "push"))
    whole = pd.concat([earlier, now])
    return whole.astype({name: "category" for name in whole if isinstance(frame[name].dtype, pd.CategoricalDtype)})
