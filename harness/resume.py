"""What a run leaves for a later one: refs and the challenges they were given, found in its history by who used them.

A run keeps marks of its pool, by which a later run knows the same users again without either holding a secret: salted
and so short that many other tokens have the same.
"""

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.errors import HarnessError
from harness.history import COLUMNS, TIMES
from harness.pool import Pool, User
from harness.profile import Profile
from harness.run_folder import RunFolder, open_run

if TYPE_CHECKING:
    from harness.history import History

RESUMED: Final = "resume.json"  # in the folder of the later run: what it asks for again
MOST: Final = 120  # refs asked for again; persons come first, then how many of each
MARGIN_S: Final = 60.0  # two runs may be of two machines, whose clocks differ
MARK: Final = 5  # hexadecimal digits: wrong once in a million, and far too few to find a token by


@dataclass(frozen=True)
class Resumed:
    """Refs to ask for again: `exchanges` as `earlier.json` keeps them, users those of the pool now; `left_out`: why."""

    exchanges: list[dict[str, Any]]
    left_out: dict[str, int]


def marks_of(pool: Pool) -> dict[str, Any]:
    """A mark of each user's token and, where the pool names it, of the person, for run.json."""
    salt = secrets.token_hex(8)
    users = [[_mark(salt, user.token), _mark(salt, user.name) if user.name else ""] for user in pool.users]
    return {"salt": salt, "users": users}


def resume(folder: Path, profile: Profile, now_s: float | None = None) -> Resumed:
    """The refs of the run in `folder` that `profile` can ask for at `now_s` (since 1970, None for now).

    HarnessError where it is another target's or pool's, is no run folder, is damaged, or leaves nothing to ask for.
    """
    from harness.history import read_history

    run = open_run(folder)
    tested = run.profile.target.base_url
    if tested != profile.target.base_url:
        raise HarnessError(
            f"--resume {folder}: that run tested {tested}, and the profile names {profile.target.base_url}",
            hint="Refs are remembered by the target that was sent them: name a run of this one.",
        )
    known = _users_now(run, profile.pool, folder)
    found = _Found(known, datetime.now(UTC).timestamp() if now_s is None else now_s, {})
    exchanges = list(found.kept(left_by(read_history(run.history), run.profile)))
    if not exchanges:
        told = "; ".join(f"{reason}: {count}" for reason, count in found.left_out.items())
        raise HarnessError(
            f"--resume {folder}: leaves no ref to ask for again ({told or 'none was issued after its last reset'})",
            hint="Name a run of the last 24 hours, such as runs/latest.",
        )
    return Resumed(exchanges, found.left_out)


@dataclass
class _Found:
    """Sorts what a run left by whether it can be asked for now."""

    users: dict[int, User]
    now_s: float
    left_out: dict[str, int]

    def kept(self, exchanges: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        from harness.rules.refs.repeats import RETENTION_NS

        oldest_s = RETENTION_NS / 1e9 - MARGIN_S
        for one in exchanges:
            user, age_s = self.users.get(one["user"]), self.now_s - one["sent"] / 1e9
            if user is None:
                self._leave("the token was replaced, and the pool does not name whose it is")
            elif age_s > oldest_s:
                self._leave("over 24 hours old, when a target may have forgotten")
            else:
                yield {**one, "user": user.index, "key": user.key}

    def _leave(self, reason: str) -> None:
        self.left_out[reason] = self.left_out.get(reason, 0) + 1


def _users_now(run: RunFolder, pool: Pool, folder: Path) -> dict[int, User]:
    """For each user of an earlier run the one of the pool who has the same token, or is the same person."""
    marks: Any = run.facts.get("marks")
    try:
        salt, then = str(marks["salt"]), [(str(token), str(name)) for token, name in marks["users"]]
    except (KeyError, TypeError, ValueError) as error:
        raise HarnessError(
            f"--resume {folder}: its run.json has no marks of the pool", hint="An older harness made that run, or "
            "it is damaged; make another."
        ) from error  # fmt: skip
    active = [user for user in pool.active if user.usable]
    tokens = {_mark(salt, user.token): user for user in active}
    names = {_mark(salt, user.name): user for user in active if user.name}
    found = {place: tokens.get(token) or names.get(name) for place, (token, name) in enumerate(then)}
    known = {place: user for place, user in found.items() if user is not None}
    if not known:
        raise HarnessError(
            f"--resume {folder}: that run had another pool: none of its {len(then)} users is in this one",
            hint="Name the profile that it was made with, or give persons a name ('user') that outlives their tokens.",
        )
    return known


def _mark(salt: str, text: str) -> str:
    return hashlib.sha256(f"{salt}:{text}".encode()).hexdigest()[:MARK]


def left_by(history: "History", profile: Profile) -> Iterator[dict[str, Any]]:
    """The answers by which refs were first given their challenge, a round of each person's first one, then a second
    round and so on; times in ns since 1970. What a reset may have made the target forget is left out, and so are the
    refs of tokens that were settled and of those given several challenges, which the run's own report tells."""
    import pandas as pd

    from harness.rules.reading.operations import resets_of
    from harness.rules.refs.repeats import clear_pushes

    pushes, frame = clear_pushes(history, profile), history.frame
    reset = int(resets_of(history, profile).end.max(initial=-1))
    settled = frame.loc[frame["operation"].isin(["accept", "decline"]), "user"]
    given = pd.DataFrame({"op": pushes.op, "id": pushes.id, "row": pushes.row, "person": pushes.person,
                          "received": pushes.received, "sent": pushes.sent, "token": pushes.token})  # fmt: skip
    given = given[pushes.success & pushes.entitled & (pushes.status == 200)].sort_values("received", kind="stable")
    given = given[given.groupby("op")["id"].transform("nunique") == 1].drop_duplicates("op")
    given = given[(given["sent"] > reset) & ~given["token"].isin(settled)]
    given = given.assign(round=given.groupby("person").cumcount()).sort_values(["round", "received"], kind="stable")
    for row in given["row"].head(MOST):
        yield _exchange(frame.loc[row, list(COLUMNS)], history.wall_offset_ns)


def _exchange(row: Any, offset_ns: int) -> dict[str, Any]:
    import pandas as pd

    plain = {name: value.item() if hasattr(value, "item") else value for name, value in row.items()}
    told: dict[str, Any] = {name: None if value is None or pd.isna(value) else value for name, value in plain.items()}
    return told | {name: told[name] + offset_ns for name in TIMES}
