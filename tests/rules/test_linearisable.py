"""The search against every order there is, its witnesses, its budget, and persons, resets and limits in the rule."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from harness.judge import verdict_on
from harness.rules import RULES
from harness.rules.reading.operations import FOREVER
from harness.rules.search import LIMITED, MAYBE, MAYBE_SETTLED, REFUSED, SERVED, SETTLED, Call, Terms, reduce, search
from harness.rules.search.likely import explained
from harness.rules.search.reduce import weakened
from harness.rules.search.tables import Eras, Table
from harness.verdict import Verdict
from tests.history_files import make_history
from tests.rules.random_calls import crowded_calls, random_calls, random_terms
from tests.rules.slow_search import fits

RULE = RULES["stepup-linearisable"]
STATE: dict[str, Any] = {"status": 409, "code": "STATE_INVALID"}
LIMIT: dict[str, Any] = {"status": 409, "code": "CHALLENGE_LIMIT_EXCEEDED"}
SETTLES: dict[str, Any] = {"control": {"accept": "POST /accept/{challenge_id}"}}


def mixed(seed: int) -> tuple[list[Call], Terms]:
    """Calls of all kinds and some terms."""
    rng = random.Random(seed)
    terms = random_terms(rng)
    return random_calls(rng), terms


def crowded(seed: int) -> tuple[list[Call], Terms]:
    """Calls that overlap on a limit whose window slides."""
    return crowded_calls(random.Random(seed))


@pytest.mark.parametrize(("make", "histories"), [(mixed, 4_000), (crowded, 1_000)])
def test_the_search_agrees_with_trying_every_order(
    make: Callable[[int], tuple[list[Call], Terms]], histories: int
) -> None:
    for seed in range(histories):
        calls, terms = make(seed)
        outcome = search(calls, terms)
        assert outcome.decided, seed
        assert (outcome.failed < 0) == fits(calls, terms), seed


def test_looking_at_one_order_first_changes_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.rules.search import frontier

    for make, histories in ((mixed, 1_000), (crowded, 400)):
        for seed in range(histories):
            calls, terms = make(seed)
            monkeypatch.setattr(frontier, "WIDTHS", ())
            all_orders = search(calls, terms)
            monkeypatch.setattr(frontier, "WIDTHS", (1,))
            assert search(calls, terms).failed == all_orders.failed, seed


@pytest.mark.parametrize(("make", "histories"), [(mixed, 3_000), (crowded, 1_500)])
def test_what_a_likely_order_explains_the_search_passes(
    make: Callable[[int], tuple[list[Call], Terms]], histories: int
) -> None:
    likely = passed = 0
    for seed in range(histories):
        calls, terms = make(seed)
        fine = search(calls, terms).failed < 0
        if explained(table(calls), [terms]).all():
            assert fine, seed
            likely += 1
        passed += fine
    assert likely > passed / 3  # or it would save nothing


def table(calls: list[Call]) -> Table:
    """The calls as one group."""
    columns = {name: np.array([getattr(call, name) for call in calls], np.int64) for name in Call._fields}
    alone = {name: np.zeros(len(calls), np.int64) for name in ("person", "era", "group")}
    eras = Eras(np.array([-1]), np.array([FOREVER]), np.array([False]))
    return Table(**columns, **alone, bites=np.ones(1, np.bool_), eras=eras)


def test_what_has_left_the_window_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.rules.search import frontier

    monkeypatch.setattr(frontier, "WIDTHS", ())
    rng = random.Random(3)
    terms = Terms(most=3, fewest=3, window_surely=200, window_possibly=200, cold=-1)
    starts = sorted(rng.randrange(30_000) for _ in range(300))
    outcome = search([Call(n, MAYBE, 0, n, start, start + 40) for n, start in enumerate(starts)], terms)
    assert (outcome.failed, outcome.decided) == (-1, True)
    assert outcome.spent < 10_000


def test_the_random_histories_are_of_both_kinds_on_all_terms() -> None:
    kinds = set()
    for seed in range(600):
        calls, terms = mixed(seed)
        kinds.add((terms.one_pending, terms.most is not None, search(calls, terms).failed < 0))
    assert len(kinds) == 8


def test_no_call_of_a_witness_can_be_spared_and_what_is_left_still_fits_no_order() -> None:
    seen = 0
    for seed in range(3_000):
        calls, terms = mixed(seed)
        outcome = search(calls, terms)
        if outcome.failed < 0:
            continue
        seen += 1
        rows = {call.row for call in reduce(calls, terms, outcome.failed)}
        assert not fits(_weaker(calls, rows), terms), seed
        assert all(fits(_weaker(calls, rows - {row}), terms) for row in rows), seed
    assert seen > 1_000


def _weaker(calls: list[Call], kept: set[int]) -> list[Call]:
    weaker = [call if call.row in kept else weakened(call) for call in calls]
    return [call for call in weaker if call is not None]


def test_calls_that_overlap_too_much_are_undecided_within_the_budget() -> None:
    terms = Terms(most=12, fewest=12, window_surely=39_990, window_possibly=39_991, cold=-1)
    calls = [Call(n, SERVED, 0, n, n, 40_000 - n) for n in range(30)]
    outcome = search(calls, terms, budget=1_000)
    assert not outcome.decided
    assert outcome.spent <= 2_000


def test_a_long_history_of_one_user_takes_few_configurations() -> None:
    calls = [Call(n, MAYBE if n % 9 == 0 else SERVED, 0, n, 10 * n, FOREVER if n % 9 == 0 else 10 * n + 75)
             for n in range(3_000)]  # fmt: skip
    calls.append(Call(3_000, REFUSED, 0, 5_000, 40_000, 40_010))
    calls.append(Call(3_001, SETTLED, 0, 1, 40_005, 40_020, 3))
    outcome = search(calls, Terms())
    assert (outcome.failed, outcome.decided) == (-1, True)
    assert outcome.spent < 10_000


def test_touching_intervals_may_go_either_way() -> None:
    settle = Call(1, SETTLED, 0, 1, 20, 30, 3)
    first = Call(0, SERVED, 0, 1, 0, 10)
    assert search([first, settle, Call(2, SERVED, 0, 2, 30, 40)], Terms()).failed == -1
    assert search([first, settle, Call(2, SERVED, 0, 2, 31, 40)], Terms()).failed == 2


def test_a_lost_settle_may_come_at_any_later_time() -> None:
    first, lost = Call(0, SERVED, 0, 1, 0, 10), Call(1, MAYBE_SETTLED, 0, 1, 20, FOREVER, 3)
    assert (
        search([first, lost, Call(2, SERVED, 0, 2, 500, 510), Call(3, REFUSED, 0, 3, 900, 910)], Terms()).failed == -1
    )
    assert search([first, lost, Call(2, REFUSED, 0, 2, 500, 510), Call(3, SERVED, 0, 3, 900, 910)], Terms()).failed == 3


def test_a_lost_request_counts_towards_the_limit_or_not() -> None:
    terms = Terms(most=2, fewest=2, cold=-1)
    served, lost = Call(0, SERVED, 0, 1, 0, 10), Call(1, MAYBE, 0, 2, 0, FOREVER)
    limited, more = Call(2, LIMITED, 0, 3, 20, 30), Call(3, SERVED, 0, 4, 40, 50)
    assert search([served, lost, limited], terms).failed == -1
    assert search([served, lost, more], terms).failed == -1
    assert search([served, lost, limited, more], terms).failed == 3


def judged(rows: list[dict[str, Any]], profile: dict[str, Any] | None = None, pool: Any = None) -> Verdict:
    history, made = make_history(rows, profile, pool)
    return verdict_on(RULE, history, made)


def accept(sent: float, received: float, challenge: str, user: int = 0, **more: Any) -> dict[str, Any]:
    return {"t": [sent, received], "op": "accept", "user": user, "id": challenge, **more}


def test_tokens_of_one_person_share_the_limit_but_not_what_was_settled() -> None:
    limit: dict[str, Any] = {"limits": {"challenges": {"count": 2, "window": "1h"}}, **SETTLES}
    rows: list[dict[str, Any]] = [
        {"t": [0, 5], "op": "reset"},
        {"t": [10, 20], "id": "a"},
        accept(30, 40, "a"),
        {"t": [50, 60], "user": 13, "id": "b"},
        *({"t": [70 + n, 80 + n], "user": 13, **LIMIT} for n in range(9)),
    ]
    assert judged(rows, limit).status == "pass"
    assert judged([*rows, {"t": [200, 210], "user": 13, "id": "c"}], limit).status == "fail"
    assert judged([*rows, {"t": [200, 210], "user": 13, **STATE}], limit).status == "fail"
    assert judged([*rows, {"t": [200, 210], "user": 0, **STATE}], limit).status == "pass"


def test_a_limit_of_the_programme_is_not_held_against_one_user() -> None:
    limit: dict[str, Any] = {"limits": {"challenges": {"count": 2, "window": "1h", "scope": "programme"}}}
    rows: list[dict[str, Any]] = [{"t": [0, 5], "op": "reset"}, *({"t": [10 + n, 20 + n], **LIMIT} for n in range(10))]
    assert judged(rows, limit).status == "pass"
    replay: list[dict[str, Any]] = [{"t": [6, 8], "ref": "r", "id": "a"}, {"t": [30, 40], "ref": "r", **LIMIT}]
    assert judged([*rows, *replay], limit).status == "fail"


def test_what_a_reset_of_unknown_outcome_may_have_changed_is_not_judged() -> None:
    rows: list[dict[str, Any]] = [{"t": [0, 10], "id": "a"}, accept(20, 30, "a"), {"t": [60, 70], "id": "b"}]
    assert judged(rows, SETTLES).status == "fail"
    assert judged([*rows, {"t": [40, 50], "op": "reset", "status": 0}], SETTLES).status != "fail"
    early = {"t": [-30, -29], "op": "reset", "status": 503}
    assert judged([*rows, early], SETTLES).status != "fail"
    bound = {**SETTLES, "target": {"late_effect": "5ms"}}
    assert judged([*rows, early], bound).status == "fail"


def test_an_operation_with_two_ids_is_left_to_the_rules_about_replays() -> None:
    rows: list[dict[str, Any]] = [{"t": [0, 10], "ref": "r", "id": "a"}, {"t": [0, 10], "ref": "r", "id": "b"}]
    rows += [accept(20, 30, "a"), {"t": [40, 50], **STATE}, {"t": [60, 70], "ref": "r", "id": "c"}]
    assert judged(rows, SETTLES).status != "fail"


def test_the_user_of_undecided_calls_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.rules import linearisable

    monkeypatch.setattr(linearisable, "BUDGET", 3)
    limit: dict[str, Any] = {"limits": {"challenges": {"count": 9, "window": "410ms"}}, **SETTLES}
    rows = [{"t": [n, 400 - n], "user": 3, "id": f"{n}"} for n in range(30)]
    verdict = judged(rows, limit)
    assert verdict.status == "inconclusive"
    assert verdict.message.endswith(": 3")


def test_more_than_the_limit_is_wrong_though_nothing_was_refused() -> None:
    limit: dict[str, Any] = {"limits": {"challenges": {"count": 2, "window": "1h"}}}
    rows: list[dict[str, Any]] = [{"t": [10 * n, 10 * n + 5], "id": f"{n}"} for n in range(3)]
    assert judged(rows, limit).status == "fail"
    assert judged(rows[:2], limit).status != "fail"


def test_two_pending_at_once_are_wrong_though_nothing_was_refused() -> None:
    rows: list[dict[str, Any]] = [{"t": [0, 5], "id": "a"}, {"t": [10, 15], "id": "b"}]
    assert judged(rows, {"policy": {"in_flight": "reject"}}).status == "fail"
    assert judged(rows).status != "fail"


def test_a_settle_of_nobody_knows_whose_challenge_may_explain_any_later_refusal() -> None:
    rows: list[dict[str, Any]] = [{"t": [0, 5], "id": "a"}, {"t": [50, 55], **STATE}]
    assert judged(rows, SETTLES).status == "fail"
    stray = {"t": [20, 25], "op": "accept", "id": "unseen"}
    assert judged([*rows, stray], SETTLES).status != "fail"
    assert judged([*rows, {**stray, "t": [60, 65]}], SETTLES).status == "fail"


def test_where_pending_may_be_refused_or_served_a_refusal_is_no_evidence() -> None:
    rows: list[dict[str, Any]] = [{"t": [0, 5], "id": "a"}, {"t": [50, 55], **STATE}]
    assert judged(rows, {"outcomes": {"pending": ["200", "409:STATE_INVALID"]}}).status != "fail"


def test_a_second_reset_begins_another_count() -> None:
    limit: dict[str, Any] = {"limits": {"challenges": {"count": 2, "window": "1h"}}, **SETTLES}
    rows: list[dict[str, Any]] = []
    for n in range(3):
        rows.append({"t": [100 * n, 100 * n + 5], "op": "reset"})
        rows += [{"t": [100 * n + 10 * k, 100 * n + 10 * k + 5], "id": f"{n}-{k}"} for k in (1, 2)]
        rows.append({"t": [100 * n + 30, 100 * n + 35], **LIMIT})
    assert judged(rows, limit).status != "fail"
    assert judged([*rows, {"t": [240, 245], "id": "more"}], limit).status == "fail"
    early = [row for row in rows if row.get("id") != "2-2"]
    assert judged(early, limit).status == "fail"


def test_settling_a_challenge_of_an_operation_with_two_ids_makes_room_for_another() -> None:
    freed: dict[str, Any] = {"policy": {"in_flight": "reject"}, "outcomes": {"after-accept": ["200"]}, **SETTLES}
    freed["limits"] = {"challenges": {"count": 1, "window": "20ms"}}  # so that a refusal shows that b was issued
    rows: list[dict[str, Any]] = [{"t": [0, 5], "ref": "r", "id": "a"}, {"t": [1, 50], "ref": "r", "id": "b"}]
    rows += [{"t": [10, 20], "op": "reset"}, {"t": [52, 55], **LIMIT}, accept(60, 65, "b"), {"t": [80, 85], "id": "c"}]
    rows += [{"t": [90, 95], **STATE} for _ in range(9)]
    assert judged(rows, freed).status == "pass"


def test_what_was_refused_for_breaking_http_may_have_been_handed_on_before() -> None:
    limit: dict[str, Any] = {"limits": {"challenges": {"count": 2, "window": "1h"}}}
    for intent, status in (("http-broken", "pass"), ("channel-unknown", "fail")):
        rows: list[dict[str, Any]] = [
            {"t": [0, 5], "op": "reset"},
            {"t": [10, 20], "id": "a"},
            {"t": [30, 40], "intent": intent, "status": 400},
            *({"t": [50 + n, 60 + n], **LIMIT} for n in range(10)),
        ]
        assert judged(rows, limit).status == status, intent


def test_a_duplicate_may_meet_one_that_was_spelt_otherwise_and_lost() -> None:
    conflict = {"policy": {"concurrent_duplicate": "conflict"}, "target": {"late_effect": "2s"}, **SETTLES}
    known: list[dict[str, Any]] = [
        {"t": [0, 5], "op": "reset"},
        *({"t": [6, 8], "user": n, "id": f"{n}"} for n in (0, 2)),
    ]
    rows = [*known, {"t": [10, 20], "intent": "http-legal", "ref": "r", "status": 0}]
    assert judged([*rows, {"t": [30, 40], "ref": "r", **STATE}], conflict).status != "fail"
    assert judged([*rows, {"t": [3000, 3010], "ref": "r", **STATE}], conflict).status == "fail"
    assert judged([*rows, {"t": [30, 40], "user": 2, "ref": "r", **STATE}], conflict).status == "fail"
