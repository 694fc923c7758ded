"""What a rule says of a history: its verdict, with a witness where it failed."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from harness.errors import HarnessError
from harness.run_folder import check_file

Status = Literal["pass", "fail", "inconclusive", "not-exercised"]
VERSION = 1
VERDICTS: Final = "verdicts.json"


@dataclass(frozen=True)
class Verdict:
    """One rule's verdict. `examined` counts the occasions on which the rule could have failed.

    `witness` holds the fewest exchanges that contradict the rule, each a dictionary of the history's columns without
    empty ones; `violations` says how often the rule was broken in all. `reproduce` is a command line.
    """

    rule: str
    severity: Literal["must", "should"]
    status: Status
    examined: int
    message: str
    hint: str = ""
    witness: list[dict[str, Any]] = field(default_factory=list)
    reproduce: str = ""
    violations: int = 0


def to_json(verdicts: list[Verdict]) -> dict[str, Any]:
    """The content of verdicts.json."""
    return {"version": VERSION, "verdicts": [asdict(verdict) for verdict in verdicts]}


def from_json(told: dict[str, Any]) -> list[Verdict]:
    """The verdicts in the content of a verdicts.json."""
    return [Verdict(**row) for row in told["verdicts"]]


def read_verdicts(folder: Path) -> list[Verdict]:
    """The verdicts of a run folder; none where it was not judged."""
    where = folder / VERDICTS
    try:
        told = json.loads(where.read_text(encoding="utf-8"))
        check_file(told, "verdicts", str(where))
        return from_json(told)
    except FileNotFoundError:
        return []
    except HarnessError as error:
        raise HarnessError(error.message, hint=f"stepup judge {folder}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise HarnessError(f"{where}: damaged: {error}", hint=f"stepup judge {folder}") from error
