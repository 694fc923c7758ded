"""Rules on challenge ids and push counts: what witnesses hold, what can be guessed, and what counts can show."""

import random
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from harness.judge import verdict_on, with_known_gaps
from harness.rules import RULES
from harness.rules.identifiers import ENOUGH_BITS
from harness.rules.refs.counting import spans_of
from harness.rules.refs.guessing import fresh_bits
from tests.history_files import make_history
from tests.rules.refs_model import DEFECTS, simulate
from tests.rules.test_idempotency import JUDGED, SEEDS

PROFILE: dict[str, Any] = {"target": {"late_effect": "4s"}, "control": {"pushes": "GET /pushes"}}
COUNTED = "push-at-most-once"
MANY = 2000


def push(sent: float, **given: Any) -> dict[str, Any]:
    return {"t": [sent, sent + 1], **given}


def count(sent: float, told: int, **given: Any) -> dict[str, Any]:
    return {"op": "pushes", "t": [sent, sent + 1], "told": told, **given}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_witness_alone_still_shows_the_failure_and_no_part_of_it_does(defect: str) -> None:
    seeds = (make_history(simulate(seed, defect), PROFILE) for seed in range(SEEDS))
    broken = ((*made, rule) for made in seeds for rule in DEFECTS[defect] if RULES[rule].check(*made).violations)
    history, profile, rule = next(broken)
    for violation in RULES[rule].check(history, profile).violations[:2]:
        witness = [_line(history.frame.loc[row]) for row in sorted(violation.rows)]
        alone, _ = make_history(witness, PROFILE)
        assert RULES[rule].check(alone, profile).violations, f"{rule}: {violation.message}"
        for left_out in range(min(len(witness), 24)):
            fewer, _ = make_history(witness[:left_out] + witness[left_out + 1 :], PROFILE)
            assert not RULES[rule].check(fewer, profile).violations, f"{rule}: {violation.message}"


def _line(row: Any) -> dict[str, Any]:
    """A row of a history in the form of the recorded ones."""
    names = ("user", "key", "channel", "ref", "status", "outcome", "operation", "intent", "error_code", "told")
    told = {name: row[name] for name in names}
    told["ref"] = told["ref"] if isinstance(told["ref"], str) else None
    return {**told, "challenge_id": row["challenge_id"], "t": [row["sent"] / 1e6, row["received"] / 1e6]}


def numbered(make: Callable[[random.Random, int], str]) -> list[str]:
    rng = random.Random(1)
    return [make(rng, number) for number in range(MANY)]


@pytest.mark.parametrize(
    "make",
    [
        lambda rng, n: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        lambda rng, n: f"{rng.getrandbits(128):032x}",
        lambda rng, n: f"{rng.getrandbits(64):016x}",
        lambda rng, n: f"{rng.randrange(10**18):018d}",
        lambda rng, n: f"ch_{n}_{rng.getrandbits(80):020x}",
        lambda rng, n: f"{1700000000000 + n:012x}7{rng.getrandbits(74):019x}",  # as UUID version 7
        lambda rng, n: "".join(rng.choice("0123456789ABCDEFGHJKMNPQRSTVWXYZ") for _ in range(16)),  # as a ULID's end
    ],
)
def test_random_ids_cannot_be_guessed(make: Callable[[random.Random, int], str]) -> None:
    assert fresh_bits(numbered(make)) >= ENOUGH_BITS


@pytest.mark.parametrize(
    "make",
    [
        lambda rng, n: str(1000 + n),
        lambda rng, n: f"challenge-{n}",
        lambda rng, n: f"{n:032x}",
        lambda rng, n: str(5000 + n // 4 + 100000 * (n % 4)),  # four processes with a counter each
        lambda rng, n: str(1000 + n + rng.randrange(8)),  # answers out of order
        lambda rng, n: str(1700000000000000 + n * 1000 + rng.randrange(1000)),  # microseconds
        lambda rng, n: f"{0x5F3A0000 + n * 100000 + rng.randrange(90000):08x}-11d2-11ee-9c1f-0242ac120002",  # version 1
        lambda rng, n: f"{rng.getrandbits(32):08x}",
        lambda rng, n: f"{0x65000000 + n // 9:08x}5e1f00aa17{n:06x}",  # clock, machine, counter
        lambda rng, n: f"{uuid.uuid5(uuid.NAMESPACE_URL, str(rng.randrange(20)))}-{n}",  # user, counter
        lambda rng, n: "constant",
    ],
)
def test_counters_clocks_and_short_ids_can_be_guessed(make: Callable[[random.Random, int], str]) -> None:
    assert fresh_bits(numbered(make)) < ENOUGH_BITS


def test_ids_that_can_be_guessed_are_no_failure_of_the_run() -> None:
    history, profile = make_history([push(number, id=str(number)) for number in range(300)])
    verdict = verdict_on(RULES["challenge-id-unguessable"], with_known_gaps(history), profile)
    assert (verdict.status, verdict.severity) == ("fail", "should")


def test_a_tokens_owner_is_asked_for_where_two_tokens_seem_to_share_refs() -> None:
    history, profile = make_history([push(0, ref="a", id="c"), push(2, ref="a", id="c", user=1)])
    assert "`user`" in RULES["idempotent-scope"].check(history, profile).violations[0].message


def test_each_shared_id_is_told_by_one_rule() -> None:
    first = push(0, ref="a", id="c")
    second: dict[str, list[dict[str, Any]]] = {
        "idempotent-scope": [{"ref": "a", "user": 1}, {"ref": "a", "channel": "BIOMETRIC"}],
        "ref-exact": [{"ref": "b"}, {"ref": "A"}],
        "no-ref-no-replay": [{}, {"channel": "BIOMETRIC"}, {"user": 13}],
        "challenge-id-unique": [{"ref": "b", "user": 1}, {"user": 1}, {"ref": "b", "channel": "BIOMETRIC"}],
    }
    for rule, cases in second.items():
        for case in cases:
            history, profile = make_history([first, push(2, id="c", **case)])
            found = {name for name in second if RULES[name].check(history, profile).violations}
            assert found == {rule}, case


def test_messages_escape_and_cut_what_others_wrote() -> None:
    hostile = "\x1b[31m<script>" + "x" * 5000
    history, profile = make_history([push(0, ref="a", id=hostile), push(2, ref="a", id=hostile + "2")])
    message = RULES["idempotent-replay"].check(history, profile).violations[0].message
    assert "\x1b" not in message
    assert len(message) < 400


def test_counts_of_one_era_are_compared_with_its_first() -> None:
    rows = [count(0, 5), push(10), count(20, 6), push(30), count(40, 7), {"op": "reset", "t": [50, 51]}, count(60, 0)]
    history, profile = make_history([*rows, push(70), count(80, 1)], PROFILE)
    spans = spans_of(history, profile)
    assert [(span.counted, span.given, span.most) for span in spans] == [(1, 1, 1), (2, 2, 2), (1, 1, 1)]


def test_a_counter_that_begins_anew_begins_a_new_stretch() -> None:
    history, profile = make_history(
        [count(0, 5), push(10), count(20, 6), count(30, 0), push(40), count(50, 1)], PROFILE
    )
    assert [span.counted for span in spans_of(history, profile)] == [1, 1]


@pytest.mark.parametrize(("told", "most"), [(30, 1), (25, 6), (4, 7)])
def test_what_was_counted_on_both_sides_of_a_reset_can_no_longer_come(told: int, most: int) -> None:
    """A push may be late by any time, but no challenge is pushed again: 30 before the reset, one after it."""
    rows = [count(0, 0), *(push(10 + number) for number in range(30)), count(50, 20), {"op": "reset", "t": [60, 61]}]
    history, profile = make_history([*rows, count(80, told), push(90), count(100, told + 1)], {**PROFILE, "target": {}})
    assert spans_of(history, profile)[-1].most == most


def test_counts_that_were_not_told_count_for_nothing() -> None:
    rows = [count(0, 0), push(10), count(20, -1), count(30, 9, status=500), count(40, 1)]
    history, profile = make_history(rows, PROFILE)
    assert [span.counted for span in spans_of(history, profile)] == [1]


@pytest.mark.parametrize(("late", "status"), [("1s", "fail"), ("2m", "inconclusive"), (None, "inconclusive")])
def test_a_push_is_missing_only_once_it_can_no_longer_be_under_way(late: str | None, status: str) -> None:
    profile = {**PROFILE, "target": {"late_effect": late} if late else {}}
    rows = [count(0, 0), *(push(10 + number) for number in range(30)), count(5000, 29)]
    history, made = make_history(rows, profile)
    assert verdict_on(RULES[COUNTED], with_known_gaps(history), made).status == status


def test_what_is_missing_from_the_history_may_have_been_pushed() -> None:
    rows = [count(0, 0), *(push(10 + number) for number in range(30)), count(5000, 31)]
    for gaps, status in (([], "fail"), (["w1 was lost"], "inconclusive")):
        history, profile = make_history(rows, PROFILE, gaps=gaps)
        assert verdict_on(RULES[COUNTED], with_known_gaps(history), profile).status == status


def test_a_large_history_is_decided_in_time_that_grows_with_its_size() -> None:
    def seconds(size: int) -> float:
        rows = [push(n / 10, ref=f"r{n // 3}", id=f"c{n // 3}", user=n // 3 % 8) for n in range(size)]
        history, profile = make_history(rows, PROFILE)
        begun = time.process_time()
        for rule in JUDGED:
            assert not RULES[rule].check(history, profile).violations
        return time.process_time() - begun

    seconds(100)  # what is imported and compiled once
    assert seconds(16_000) < 16 * max(seconds(2_000), 0.05)


def test_what_was_refused_for_breaking_http_may_have_been_pushed() -> None:
    for intent, red in (("http-broken", False), ("channel-unknown", True)):
        rows = [{"op": "reset", "t": [0, 1]}, count(2, 0), push(3, intent=intent, status=400), count(5000, 1)]
        verdict = verdict_on(RULES[COUNTED], *make_history(rows, PROFILE))
        assert (verdict.status == "fail") is red, intent


def test_pushes_are_counted_from_the_time_on_that_leaves_the_least_room() -> None:
    broken = push(10, intent="http-broken", status=400)
    rows = [{"op": "reset", "t": [0, 1]}, count(2, 0), broken, count(5000, 0), push(5010), count(5020, 2)]
    verdict = verdict_on(RULES[COUNTED], *make_history(rows, PROFILE))
    assert verdict.status == "fail"
    assert "counted 2 pushes" in verdict.message
    fine = verdict_on(RULES[COUNTED], *make_history([*rows[:-1], count(5020, 1)], PROFILE))
    assert fine.status != "fail"
