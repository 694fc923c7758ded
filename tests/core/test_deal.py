"""Users are dealt to the stages so that none uses up what another needs."""

from typing import Any

from harness.deal import deal
from harness.pool import Pool, pool_of


def pool(count: int, **more: Any) -> Pool:
    return pool_of([{"token": f"t{i}", "api_key": f"k{i % 3}", "channels": ["AUTHY"], **more} for i in range(count)])


def test_a_small_pool_is_shared_by_both_stages() -> None:
    assert deal(pool(3), ["conformance", "load"]) == {"conformance": [0, 1, 2], "load": [0, 1, 2]}


def test_one_stage_gets_everybody() -> None:
    assert deal(pool(50), ["load"]) == {"load": list(range(50))}


def test_a_large_pool_is_split_and_every_programme_is_in_both_parts() -> None:
    dealt = deal(pool(40), ["conformance", "load"])
    assert sorted(dealt["conformance"] + dealt["load"]) == list(range(40))
    assert {index % 3 for index in dealt["conformance"]} == {index % 3 for index in dealt["load"]} == {0, 1, 2}
    assert len(dealt["conformance"]) == 12


def test_all_tokens_of_a_person_go_to_one_stage() -> None:
    rows = [{"token": f"t{i}", "api_key": "k", "channels": ["AUTHY"], "user": f"person-{i // 2}"} for i in range(40)]
    dealt = deal(pool_of(rows), ["conformance", "load"])
    persons = [{index // 2 for index in part} for part in dealt.values()]
    assert not persons[0] & persons[1]


def test_tokens_that_may_do_nothing_go_to_conformance() -> None:
    rows = [
        {"token": f"t{i}", "api_key": "k", "channels": ["AUTHY"], "state": "logged_out" if i > 17 else "active"}
        for i in range(20)
    ]
    assert {18, 19} <= set(deal(pool_of(rows), ["conformance", "load"])["conformance"])
