"""Kinds of answers: numbering them is exact, whatever the columns hold, and quick on many rows."""

import random
from typing import Any

import pytest

from harness.case import INTENTS
from harness.pool import User
from harness.profile import Profile
from harness.rules.answers.kinds import OTHER, Kind, kinds_of
from tests.history_files import POOL, make_history

CODES = ["", "STATE_INVALID", "CHANNEL_NOT_REGISTERED", "CHALLENGE_LIMIT_EXCEEDED", "MADE_UP", "made up"]
CHANNELS = ["AUTHY", "BIOMETRIC", "", "SMS", "authy", "é"]


def random_row(rng: random.Random, number: int) -> dict[str, Any]:
    operation = rng.choice(["push"] * 9 + ["accept", "pushes"])
    return {
        "t": [number, number + rng.random() * 20],
        "op": operation,
        "intent": rng.choice(list(INTENTS)),
        "method": rng.choice(["POST", "GET", "BREW"]),
        "user": rng.randrange(-2, len(POOL) + 2),
        "key": rng.randrange(-1, 4),
        "channel": rng.choice(CHANNELS),
        "status": rng.choice([0, 101, 200, 201, 302, 400, 401, 403, 404, 409, 429, 500, 503, 999]),
        "code": rng.choice(CODES),
        "body_fault": rng.choice(["", "", "wrong", "another"]),
        "allowed": rng.choice(["200", "4xx", "", "409:MADE_UP,200"]),
    }


def kind_one_by_one(row: dict[Any, Any], profile: Profile) -> Kind:
    """What a row's kind is, read off the row and the pool as the words say it."""
    users = profile.pool.users
    user: User | None = users[row["user"]] if 0 <= row["user"] < len(users) else None
    key = "own"
    if row["key"] == -1:
        key = "unknown"
    elif user is not None and not any(u.key == row["key"] and u.programme == user.programme for u in users):
        key = "foreign"
    code, channel = row["error_code"], row["channel"]
    return Kind(
        intent=row["intent"],
        allowed=tuple(one for one in row["allowed"].split(",") if one),
        method=row["method"],
        status=row["status"],
        code=code if code != "made up" else OTHER,
        fault=row["body_fault"] != "",
        channel=channel if channel in ("", "AUTHY", "BIOMETRIC") else OTHER,
        state=user.state if user else "",
        enrolled=user is not None and channel in user.channels,
        offered=user is None or channel not in user.unsupported,
        unsaid=user is not None
        and channel in ("AUTHY", "BIOMETRIC")
        and channel not in user.unsupported
        and not any(channel in u.channels for u in users if u.programme == user.programme),
        key=key,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("seed", range(15))
def test_kinds_are_what_the_rows_say(seed: int) -> None:
    rng = random.Random(seed)
    history, profile = make_history([random_row(rng, number) for number in range(300)])
    rows = history.frame.to_dict("records")
    pushes = [place for place, row in enumerate(rows) if row["operation"] == "push" and row["status"] != 0]
    kinds = kinds_of(history, profile)
    assert kinds.rows.tolist() == pushes
    expected = [kind_one_by_one(rows[place], profile) for place in pushes]
    assert [kinds.each[number] for number in kinds.code] == expected
    for number, kind in enumerate(kinds.each):
        of_kind = [place for place, one in zip(pushes, expected, strict=True) if one == kind]
        assert (kinds.first[number], kinds.count[number]) == (of_kind[0], len(of_kind))
        assert kinds.rows_of([number]).tolist() == of_kind


def test_a_history_of_nothing_has_no_kinds() -> None:
    for rows in ([], [{"t": [0, 1], "status": 0, "error": "timeout"}], [{"t": [0, 1], "op": "reset"}]):
        history, profile = make_history(rows)
        kinds = kinds_of(history, profile)
        assert (kinds.each, len(kinds.rows), len(kinds.rows_of([]))) == ((), 0, 0)


def test_a_target_that_makes_up_texts_makes_no_more_kinds() -> None:
    rows = [
        {"t": [n, n + 1], "status": 409, "code": f"CODE_{n}", "body_fault": f"fault {n}", "channel": f"c{n}"}
        for n in range(500)
    ]
    history, profile = make_history(rows)
    assert len(kinds_of(history, profile).each) == 1
