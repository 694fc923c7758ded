"""What is shown of limits and replays: the least that was surely admitted, told from numbers alone."""

import random
from typing import Any

from harness.history import History
from harness.profile import ChallengeLimit, Profile, RateLimit
from reports import frames, notable, sections_figures
from reports.limits import Coded, answers_of, challenges_seen, coded, rate_bound, rate_seen, replays_seen
from tests.history_files import make_history

Rows = list[dict[str, Any]]
SECOND = 10**9
RATE = RateLimit(3, SECOND)
RESET: dict[str, Any] = {"op": "reset", "status": 204, "user": -1}


def numbers(history: History, profile: Profile) -> Coded:
    return coded(history, profile, answers_of(history, profile))


def rate(rows: Rows, limit: RateLimit = RATE) -> dict[str, Any]:
    told = rate_seen(numbers(*make_history(rows)), limit)
    assert told is not None
    return told


def challenges(rows: Rows, limit: ChallengeLimit) -> dict[str, Any]:
    told = challenges_seen(numbers(*make_history(rows)), limit)
    assert told is not None
    return told


def test_what_is_not_declared_is_not_shown() -> None:
    pushes = numbers(*make_history([{"t": [0, 1]}]))
    assert (rate_seen(pushes, None), challenges_seen(pushes, None)) == (None, None)


def test_only_what_surely_lies_in_a_window_is_counted() -> None:
    rows = [{"t": [0, 100]}, {"t": [200, 300]}, {"t": [900, 999]}, {"t": [950, 1050]}]
    assert rate(rows)["scopes"] == [{"scope": 0, "most": 3, "admitted": 4, "refused": 0}]
    assert rate(rows[:3])["scopes"][0]["most"] == 3
    assert rate([{"t": [0, 2000]}, {"t": [1, 2]}])["scopes"][0]["most"] == 1  # slower than the window: anywhere


def test_replays_and_refusals_take_no_place_unless_declared() -> None:
    rows: Rows = [{"t": [n, n + 1], "ref": "a", "id": "c"} for n in range(5)]
    rows += [{"t": [9, 10], "status": 429}, {"t": [11, 12], "status": 401}, {"t": [13, 14], "status": 409}]
    assert rate(rows)["scopes"] == [{"scope": 0, "most": 2, "admitted": 2, "refused": 1}]
    counted = RateLimit(3, SECOND, counts_replays=True)
    assert rate(rows, counted)["scopes"] == [{"scope": 0, "most": 6, "admitted": 6, "refused": 1}]


def test_counts_begin_anew_with_a_reset() -> None:
    rows: Rows = [{"t": [0, 1]}, {"t": [2, 3]}, {"t": [10, 20], **RESET}, {"t": [15, 16]}, {"t": [30, 31]}]
    assert rate(rows)["scopes"] == [{"scope": 0, "most": 2, "admitted": 4, "refused": 0}]


def test_scopes_are_keys_users_or_all() -> None:
    rows = [{"t": [n, n + 1], "user": user} for n, user in enumerate((0, 13, 1, 8))]  # 0 and 13 are one person
    assert [row["most"] for row in rate(rows)["scopes"]] == [3, 1]
    assert [row["most"] for row in rate(rows, RateLimit(3, SECOND, scope="user"))["scopes"]] == [2, 1, 1]
    assert [row["most"] for row in rate(rows, RateLimit(3, SECOND, scope="global"))["scopes"]] == [4]


def test_the_fullest_window_is_that_of_an_exhaustive_search() -> None:
    rng = random.Random(5)
    for _ in range(60):
        rows: Rows = [{"t": [at, at + rng.uniform(1, 600)], "user": rng.choice([0, 8])}
                for at in sorted(rng.uniform(0, 4000) for _ in range(rng.randrange(1, 30)))]  # fmt: skip
        found = {row["scope"]: row["most"] for row in rate(rows)["scopes"]}
        for key, user in ((0, 0), (1, 8)):
            times = [[round(t * 1e6) for t in row["t"]] for row in rows if row["user"] == user]
            most = [sum(end - SECOND < s and r <= end for s, r in times) for _, end in times]
            assert found.get(key, 0) == max(most, default=0)


def test_bounds_follow_the_algorithm() -> None:
    assert rate_bound(RateLimit(10, SECOND)) == 10
    assert rate_bound(RateLimit(10, SECOND, "fixed-window")) == 20
    assert rate_bound(RateLimit(10, SECOND, "sliding-window-counter")) == 20
    assert rate_bound(RateLimit(10, SECOND, "token-bucket", burst=4)) == 14
    assert rate_bound(RateLimit(10, SECOND), hosts=3) == 30


def test_hosts_that_count_by_themselves_give_as_much_more() -> None:
    rows: Rows = [{"t": [n, n + 1], "id": str(n)} for n in range(4)]
    limit, pushes = ChallengeLimit(2, SECOND, scope="user"), numbers(*make_history(rows))
    one, two = challenges_seen(pushes, limit), challenges_seen(pushes, limit, hosts=2)
    assert one is not None
    assert two is not None
    assert (one["bound"], one["full"], one["over"]) == (2, 0, 1)
    assert (two["count"], two["bound"], two["full"], two["over"]) == (2, 4, 1, 0)
    assert "2 for each user in 1 s by each of several hosts, 4 in all." in sections_figures._challenges(two)


def test_a_series_shows_the_fullest_window_and_the_refusals_of_each_step() -> None:
    rows: Rows = [{"t": [0, 1]}, {"t": [5, 6]}, {"t": [250, 251], "status": 429}]
    series = rate(rows)["series"]
    assert [(row["at_s"], row["most"], row["refused"]) for row in series] == [(0.0, 2, 0), (0.1, 0, 0), (0.2, 0, 1)]


def test_fill_counts_challenges_not_requests() -> None:
    rows = [{"t": [n, n + 1], "user": 0, "ref": "r", "id": "one"} for n in range(4)]
    rows += [{"t": [10 + n, 11 + n], "user": 1} for n in range(3)]
    rows.append({"t": [20, 21], "user": 1, "status": 409, "code": "CHALLENGE_LIMIT_EXCEEDED"})
    told = challenges(rows, ChallengeLimit(2, 3600 * SECOND))
    assert told["fill"] == [
        {"from": 1, "to": 1, "scopes": 1},
        {"from": 2, "to": 2, "scopes": 0},
        {"from": 3, "to": 3, "scopes": 1},
    ]
    assert (told["full"], told["over"], told["refused"], told["scopes_in_all"]) == (0, 1, 1, 2)


def test_many_counts_share_a_bar() -> None:
    told = challenges([{"t": [0, 1]}], ChallengeLimit(100, SECOND, "programme"))
    assert told["fill"][0] == {"from": 1, "to": 5, "scopes": 1}
    assert told["fill"][-1] == {"from": 96, "to": 100, "scopes": 0}


def test_replays_are_told_by_age_and_by_id() -> None:
    rows: Rows = [
        {"t": [0, 10], "ref": "a", "id": "1"},
        {"t": [5, 12], "ref": "a", "id": "1"},  # overlapping
        {"t": [15, 16], "ref": "a", "id": "1"},  # 5 ms after the first answer
        {"t": [20, 21], "ref": "a", "id": "2"},  # 10 ms, another id
        {"t": [30, 31], "ref": "a", "id": "3", "user": 1},  # another user's call
        {"t": [32, 33], "ref": "a", "id": "4", "channel": "BIOMETRIC"},  # another call
        {"t": [34, 35], "id": "5"},
        {"t": [36, 37], "id": "6"},
        {"t": [2000, 2001], "ref": "a", "id": "1", "user": 13},  # user 0 logged in again
        {"t": [2002, 2003], "ref": "a", "status": 429},
    ]
    found = {row["age"]: (row["same"], row["other"]) for row in replays_seen(answers_of(*make_history(rows)))}
    assert {age: counts for age, counts in found.items() if counts != (0, 0)} == {
        "overlapping": (1, 0),
        "under 10 ms": (1, 0),
        "under 100 ms": (0, 1),
        "under 10 s": (1, 0),
    }


def test_nothing_at_all_is_shown_as_nothing() -> None:
    pushes = numbers(*make_history([]))
    assert sum(row["same"] + row["other"] for row in replays_seen(answers_of(*make_history([])))) == 0
    told = rate_seen(pushes, RATE)
    assert told is not None
    assert (told["scopes"], told["series"], told["busiest"]) == ([], [], -1)


def test_what_the_harness_gave_up_is_neither_lost_nor_odd() -> None:
    rows: Rows = [
        {"t": [0, 1]},
        {"t": [2, 3], "status": 0, "error": "closed by us before the answer"},
        {"t": [4, 5], "status": 0, "error": "timed out"},
        {"t": [6, 7], "status": 503},
        {"t": [8, 9], "status": 429},
    ]
    history = make_history(rows)[0]
    kinds = frames.kinds(history)
    steps = frames.over_time(history.pushes)
    width = 0.1
    assert round(float(steps["lost"].sum()) * width, 6) == 2
    told = [(row["kind"], row["text"]) for row in frames.errors(kinds).to_dict("records")]
    assert told == [
        ("no answer", "timed out"),
        ("given up by the harness", "closed by us before the answer"),
    ]
    assert [one["why"] for one in notable.oddest(history, kinds)] == [
        "no answer: timed out",
        "server error",
        "the case allows 200",
    ]
    assert [one["why"] for one in notable.oddest(history, kinds, ("429",))] == ["no answer: timed out", "server error"]
