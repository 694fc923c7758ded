"""The run itself: whatever a history lacks is named, and a late generator is told from a slow target."""

from typing import Any

import numpy as np
import pytest

from harness.judge import verdict_on, with_known_gaps
from harness.rules import RULES
from harness.rules.run import gaps_of, own_lateness
from tests.history_files import make_history

ROWS = [{"t": [n, n + 1], "seq": n} for n in range(4)]


def tally(worker: str = "w0", sent: int = 4, **more: Any) -> dict[str, Any]:
    return {"stage": "load", "worker": worker, "sent": sent, "recorded": sent, **more}


@pytest.mark.parametrize(
    ("rows", "tallies", "gaps"),
    [
        (ROWS, [tally()], ()),
        (ROWS, [tally(engine=4)], ()),
        (ROWS, [tally(), tally("w1", 0)], ()),
        (ROWS, [tally(engine=3)], ("load w0: sent 4 exchanges, but the load engine counted 3",)),
        (ROWS, [tally(recorded=3)], ("load w0: sent 4 exchanges, recorded 3",
                                     "load w0: recorded 3 exchanges, of which 4 are there")),
        (ROWS, [tally(sent=6)], ("load w0: recorded 6 exchanges, of which 4 are there",)),
        (ROWS, [tally(clean=False)], ("load w0: lost before it had ended; 4 of its exchanges are there",)),
        (ROWS, [tally(), tally("w1", 2)], ("load w1: its shard with 2 exchanges is missing",)),
        (ROWS, [], ("load w0: no tally says how many exchanges it sent",)),
        ([*ROWS, ROWS[-1]], [tally()], ("load w0: 1 exchanges are there more than once",)),
        ([ROWS[0], ROWS[3]], [tally(sent=2)], ("load w0: 2 exchanges before its last one are missing",)),
        ([ROWS[0], ROWS[0], ROWS[2]], [tally(sent=3)], (
            "load w0: recorded 3 exchanges, of which 2 are there",
            "load w0: 1 exchanges are there more than once", "load w0: 1 exchanges before its last one are missing")),
        ([ROWS[0], {**ROWS[1], "seq": 10**15}], [tally(sent=2)],
         ("load w0: 999,999,999,999,999 exchanges before its last one are missing",)),
    ],
)  # fmt: skip
def test_every_gap_is_named(rows: list[dict[str, Any]], tallies: list[dict[str, Any]], gaps: tuple[str, ...]) -> None:
    history, profile = make_history(rows, tallies=tallies)
    assert gaps_of(history) == gaps
    told = verdict_on(RULES["history-complete"], with_known_gaps(history), profile)
    assert told.status == ("inconclusive" if gaps else "pass")
    assert all(gap in told.message for gap in gaps)


def test_a_gap_is_told_once_however_often_it_is_looked_for() -> None:
    history, _ = make_history(ROWS, tallies=[], gaps=["a shard ends early"])
    once = with_known_gaps(history)
    assert gaps_of(once) == once.gaps == ("a shard ends early", "load w0: no tally says how many exchanges it sent")


def test_shards_of_one_worker_name_in_two_stages_are_two_shards() -> None:
    rows = [{"t": [0, 1], "seq": 0, "stage": "setup"}, {"t": [1, 2], "seq": 0}]
    history, _ = make_history(rows, tallies=[tally(sent=1), {**tally(sent=1), "stage": "setup"}])
    assert gaps_of(history) == ()


def test_a_run_that_was_cut_off_before_anything_was_sent_says_so() -> None:
    history, profile = make_history([], tallies=[tally(sent=0, clean=False)])
    told = verdict_on(RULES["history-complete"], with_known_gaps(history), profile)
    assert (told.status, told.examined) == ("inconclusive", 0)


def test_lateness_within_the_limit_passes_with_its_figures() -> None:
    history, profile = make_history([{"t": [n + 0.5, n + 2], "intended": n, "connection": n} for n in range(100)])
    told = verdict_on(RULES["generator-healthy"], history, profile)
    assert (told.status, told.examined) == ("pass", 100)
    assert "p99 0.50 ms late" in told.message


def test_lateness_counts_from_when_the_connection_was_free() -> None:
    # One connection, a request due every 10 ms, each answered after 100 ms: the queue grows, and none of it is ours.
    rows = [{"t": [n * 100 + 0.1, n * 100 + 100], "intended": n * 10, "connection": 0} for n in range(50)]
    history, _ = make_history(rows)
    late = own_lateness(history)
    assert late.sentence == ""
    assert (late.samples, round(late.longest)) == (49, 100_000)


def test_lateness_of_the_generator_itself_is_inconclusive_and_says_how_late() -> None:
    rows = [{"t": [n * 200 + 60, n * 200 + 61], "intended": n * 200, "connection": n % 2} for n in range(50)]
    history, profile = make_history(rows)
    told = verdict_on(RULES["generator-healthy"], history, profile)
    assert told.status == "inconclusive"
    assert "60.0 ms late" in told.message
    assert "at most 10.0 ms would do" in told.message
    assert "--processes" in told.hint


def test_a_tenth_of_a_long_latency_is_late_enough_to_be_let_go() -> None:
    rows = [{"t": [n * 2000 + 60, n * 2000 + 1000], "intended": n * 2000, "connection": 0} for n in range(50)]
    assert own_lateness(make_history(rows)[0]).sentence == ""


def test_connections_of_two_workers_with_one_number_are_two_connections() -> None:
    # Worker b's connection 0 is free; only by mixing it up with a's, which is busy, could its lateness be excused.
    rows = []
    for n in range(60):
        rows.append({"t": [n * 100, n * 100 + 99], "intended": n * 100, "connection": 0, "worker": "a", "seq": n})
        late = {"t": [n * 100 + 99.5, n * 100 + 99.6], "intended": n * 100, "connection": 0, "worker": "b", "seq": n}
        rows.append(late)
    assert "99.5 ms late" in own_lateness(make_history(rows)[0]).sentence


def test_a_closed_model_has_no_schedule_to_be_late_for() -> None:
    history, profile = make_history([{"t": [n, n + 1]} for n in range(20)])
    assert verdict_on(RULES["generator-healthy"], history, profile).status == "not-exercised"


def test_lateness_agrees_with_counting_it_one_by_one() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        rows = []
        for n in range(200):
            intended = float(n * 5)
            sent = intended + round(float(rng.exponential(30)), 3)
            took = round(float(rng.exponential(10)), 3)
            who = {"connection": int(rng.integers(4)), "worker": f"w{rng.integers(2)}"}
            rows.append({"t": [sent, sent + took], "intended": intended, **who, "seq": n})
        history, _ = make_history(rows)
        slow = _lateness_one_by_one(history.frame.to_dict("records"))
        found = own_lateness(history)
        assert (found.samples, found.longest) == (len(slow), max(slow))
        assert found.p99 == np.percentile(slow, 99)


def _lateness_one_by_one(rows: list[dict[Any, Any]]) -> list[int]:
    last: dict[tuple[str, int], int] = {}
    late = []
    for row in rows:
        name = (row["worker"], row["connection"])
        if name in last:
            late.append(row["sent"] - max(row["intended"], last[name]))
        last[name] = row["received"]
    return late
