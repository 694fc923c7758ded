"""Operations: which exchanges belong together, when they had their effect, and what resets cut apart."""

import random
from typing import Any

import numpy as np
import pytest

from harness.history import History
from harness.profile import Profile
from harness.rules.reading.groups import count_until, divided, earliest, next_after, pairs
from harness.rules.reading.operations import FOREVER, effects_of, pushes_of, resets_of
from harness.rules.refs.repeats import repeats_of
from tests.history_files import make_history

Rows = list[dict[str, Any]]


def ops(rows: Rows, profile: dict[str, Any] | None = None) -> list[int]:
    history, made = make_history(rows, profile)
    return list(map(int, pushes_of(history, made).op))


def push(sent: float, **given: Any) -> dict[str, Any]:
    return {"t": [sent, sent + 1], **given}


def test_one_person_channel_and_ref_is_one_operation_whatever_the_token() -> None:
    rows = [
        push(0, ref="a"),
        push(1, ref="a", user=13),
        push(2, ref="a", user=1),
        push(3, ref="a", channel="BIOMETRIC"),
    ]
    assert ops([*rows, push(4, ref="a", status=429)]) == [0, 0, 1, 2, 0]


def test_without_a_ref_each_exchange_is_an_operation() -> None:
    assert ops([push(0), push(1), push(2, ref="a")]) == [0, 1, 2]


def test_blanks_around_a_ref_are_not_part_of_it() -> None:
    assert ops([push(0, ref="a"), push(1, ref=" a\t"), push(2, ref="a b"), push(3, ref="a  b")]) == [0, 0, 1, 2]


@pytest.mark.parametrize("ref", ["", " ", "ä", "a\tb", "a\x00", "x" * 41])
def test_what_a_target_may_read_in_two_ways_belongs_to_no_ref(ref: str) -> None:
    assert ops([push(0, ref=ref), push(1, ref=ref)], {"policy": {"longest_ref": 40}}) == [0, 1]


def test_a_vague_exchange_joins_the_operation_whose_id_it_was_given() -> None:
    rows = [push(0, ref="", id="c"), push(1, ref="a", id="c"), push(2, ref="é", id="c"), push(3, ref="é", id="d")]
    assert ops([*rows, push(4, ref="b", intent="ref-twice", id="d"), push(5, ref="a", user=-1, id="c")]) == [
        *(0, 0, 0, 1, 1, 2)
    ]


def test_a_record_that_is_there_twice_counts_once() -> None:
    rows = [push(0, id="c", seq=7), push(0, id="c", seq=7), push(0, id="d", seq=8), push(0, id="c", seq=7, worker="w1")]
    history, profile = make_history(rows)
    assert pushes_of(history, profile).row.tolist() == [0, 2, 3]


def test_kinds_of_answers_are_told_apart() -> None:
    rows = [
        push(0), push(1, status=200, id=""), push(2, status=0), push(3, status=503), push(4, status=429),
        push(5, status=0, outcome="refused"), push(6, status=409, code="CHALLENGE_LIMIT_EXCEEDED"),
        push(7, status=409, code="STATE_INVALID"),
    ]  # fmt: skip
    history, profile = make_history(rows)
    pushes = pushes_of(history, profile)
    shown = {
        name: np.flatnonzero(getattr(pushes, name)).tolist()
        for name in ("success", "unknown", "refused", "limited", "exhausted", "state_invalid")
    }
    assert shown == {
        "success": [0], "unknown": [1, 2, 3], "refused": [4, 6, 7], "limited": [4], "exhausted": [6],
        "state_invalid": [7],
    }  # fmt: skip


def test_entitled_is_who_may_be_sent_a_push_there() -> None:
    rows = [
        push(0), push(1, key=1), push(2, user=10), push(3, user=11), push(4, user=12, channel="BIOMETRIC"),
        push(5, user=12), push(6, user=14, channel="BIOMETRIC"), push(7, user=-1), push(8, user=99),
        push(9, channel="authy"), push(10, method="GET"),
    ]  # fmt: skip
    history, profile = make_history(rows)
    assert pushes_of(history, profile).sent[pushes_of(history, profile).entitled].tolist() == [0, 5_000_000]


def test_tokens_that_the_pool_does_not_hold_are_persons_of_their_own() -> None:
    assert ops([push(0, ref="a", user=200), push(1, ref="a", user=201), push(2, ref="a", user=200)]) == [0, 1, 0]


def test_an_effect_is_between_the_first_sending_and_the_first_success() -> None:
    rows: Rows = [
        {"t": [5, 9], "ref": "a", "status": 0}, {"t": [6, 20], "ref": "a"}, {"t": [10, 12], "ref": "a"},
        {"t": [0, 30], "ref": "a", "status": 429}, {"t": [1, 2], "ref": "b", "status": 0},
        {"t": [3, 4], "ref": "b", "status": 500}, {"t": [7, 8], "ref": "c", "status": 401},
    ]  # fmt: skip
    declared: dict[str, Any] = {"target": {"late_effect": "10s"}}
    for table, end in (({}, FOREVER), (declared, 10_004 * 10**6)):
        history, profile = make_history(rows, table)
        pushes = pushes_of(history, profile)
        effects = effects_of(pushes, profile)
        a, b, c = (int(pushes.op[np.flatnonzero(pushes.ref == n)[0]]) for n in (0, 1, 2))
        assert (effects.start[a], effects.end[a], effects.sure[a]) == (5 * 10**6, 12 * 10**6, True)
        assert (effects.start[b], effects.end[b], effects.sure[b]) == (10**6, end, False)
        assert not effects.possible[c]


def test_resets_cut_times_into_eras_and_what_touches_one_is_in_none() -> None:
    rows = [
        push(0), {"op": "reset", "t": [10, 20]}, {"op": "reset", "t": [30, 40], "status": 403},
        {"op": "reset", "t": [50, 60], "status": 0},
    ]  # fmt: skip
    history, profile = make_history(rows, {"target": {"late_effect": "1s"}})
    resets = resets_of(history, profile)
    ms = 10**6
    sent = np.array([0, 0, 20, 21, 61, 1061], np.int64) * ms
    received = np.array([9, 10, 25, 49, 70, 1070], np.int64) * ms
    assert resets.straddled(sent, received).tolist() == [False, True, True, False, True, False]
    assert resets.era(sent)[~resets.straddled(sent, received)].tolist() == [0, 1, 2]


def test_an_empty_history_has_empty_columns() -> None:
    history, profile = make_history([])
    assert len(pushes_of(history, profile)) == 0
    assert len(repeats_of(history, profile).place) == 0


def test_columns_are_kept_for_one_history_and_profile_only() -> None:
    first, profile = make_history([push(0)])
    second, other = make_history([push(0), push(1)])
    assert pushes_of(first, profile) is pushes_of(first, profile)
    assert len(pushes_of(second, profile)) == 2
    assert pushes_of(second, other) is not pushes_of(second, profile)


def test_group_questions_agree_with_looking_at_each_row() -> None:
    rng = np.random.default_rng(4)
    for _ in range(100):
        size = int(rng.integers(0, 12))
        group, time = rng.integers(-1, 3, size), rng.integers(0, 8, size)
        chosen = rng.random(size) < 0.7
        asked, at = rng.integers(0, 4, 6), rng.integers(-1, 9, 6)
        found = earliest(group, time, chosen)
        for number in range(int(group.max(initial=-1)) + 1):
            rows = [n for n in range(size) if group[n] == number and chosen[n]]
            assert (min(time[rows]) if rows else None) == (time[found[number]] if found[number] >= 0 else None)
        assert found[-1] == -1
        after = next_after(group, time, asked, at)
        until = count_until(group, time, asked, at)
        for question in range(6):
            rows = [n for n in range(size) if group[n] == asked[question]]
            later = [time[n] for n in rows if time[n] > at[question]]
            assert (time[after[question]] if after[question] >= 0 else None) == (min(later) if later else None)
            assert until[question] == sum(time[n] <= at[question] for n in rows)
        codes = pairs(group, time)
        same = [(group[i], time[i]) == (group[j], time[j]) for i in range(size) for j in range(size)]
        assert same == [codes[i] == codes[j] for i in range(size) for j in range(size)]


def slow_operations(history: History, profile: Profile) -> list[list[int]]:
    """The clear operations, found by comparing every exchange with every other."""
    groups: dict[Any, list[int]] = {}
    for row, told in history.pushes.iterrows():
        person = profile.pool.users[told["user"]].person
        groups.setdefault((person, told["channel"], told["ref"].strip()), []).append(int(str(row)))
    return sorted(groups.values())


def test_grouping_agrees_with_a_dictionary_on_random_histories() -> None:
    rng = random.Random(5)
    for _ in range(20):
        rows = [
            push(rng.randrange(50), user=rng.choice((0, 1, 13)), channel=rng.choice(("AUTHY", "BIOMETRIC")),
                 ref=rng.choice(("a", "A", " a", "b")))
            for _ in range(12)
        ]  # fmt: skip
        history, profile = make_history(rows)
        pushes = pushes_of(history, profile)
        found: dict[int, list[int]] = {}
        for row, op in zip(pushes.row.tolist(), pushes.op.tolist(), strict=True):
            found.setdefault(op, []).append(row)
        assert sorted(found.values()) == slow_operations(history, profile)


def test_clocks_of_two_load_machines_widen_a_reset() -> None:
    rows = [push(0), {"op": "reset", "t": [500, 501]}]
    hosts = [{"stage": "load", "worker": f"w{n}", "host": f"host-{n}"} for n in range(2)]
    near = np.array([410], np.int64) * 10**6
    for tallies, straddled in ((hosts[:1], False), (hosts, True)):
        history, profile = make_history(rows, tallies=tallies)
        assert resets_of(history, profile).straddled(near, near).tolist() == [straddled]


def test_groups_are_divided_by_value_as_pairs_number_them() -> None:
    random = np.random.default_rng(5)
    for size in (0, 1, 30):
        for values in (1, 2, 9):
            group, value = random.integers(0, 8, size), random.integers(-1, values - 1, size)
            numbers, below = divided(group, 8, value)
            assert numbers.max(initial=-1) < below
            assert len(set(zip(numbers.tolist(), pairs(group, value).tolist(), strict=True))) == len(set(numbers))
            assert len(set(numbers)) == len(set(pairs(group, value)))
