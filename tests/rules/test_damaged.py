"""Histories that are damaged, odd or at odds with their profile: a clear word, or a right verdict on what is left."""

import contextlib
import random
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from harness.errors import HarnessError
from harness.history import Exchange, Recorder, compact, read_history
from harness.history.shards import MERGED
from harness.judge import judge, verdict_on
from harness.parted import judge_in_parts
from harness.profile import Profile
from harness.rules import RULES, Finding
from harness.rules.bounds.lanes import Lanes, TooLargeError
from harness.verdict import Verdict
from tests.history_files import make_history, make_profile
from tests.rules.test_parted import Here, write

ROW = Exchange(
    scenario="s", case="c", operation="push", intent="valid", allowed="200", method="POST", user=0, key=0,
    channel="AUTHY", ref="r", intended=1_000, sent=1_000, received=2_000, status=200, outcome="ok", error_code="",
    challenge_id="id", retry_after=None, body_fault="", error="", connection=1, headers=None, body=None, told=0,
)  # fmt: skip


def record(folder: Path, rows: int = 60, **changes: Any) -> None:
    """One call repeated, as a worker records it."""
    recorder = Recorder(folder, "load", "w0", batch=10)
    for n in range(rows):
        times: dict[str, Any] = {"sent": 10_000 * n, "intended": 10_000 * n, "received": 10_000 * n + 5_000}
        recorder.add(ROW._replace(**{"user": n % 4, "challenge_id": f"id-{n % 4}", **times, **changes}))
    recorder.close(sent=rows)


def both_ways(folder: Path, profile: Profile) -> dict[str, Verdict]:
    """The verdicts by rule, which must not depend on how they are made."""
    whole = judge(read_history(folder), profile)
    assert judge_in_parts(folder, profile, local=Here(), a_part=15) == whole
    return {verdict.rule: verdict for verdict in whole}


def test_a_shard_cut_off_anywhere_is_judged_on_what_is_left_and_never_complete(tmp_path: Path) -> None:
    record(tmp_path)
    path, cut = tmp_path / "load-w0.arrow", random.Random(1)
    whole = path.read_bytes()
    for _ in range(6):
        path.write_bytes(whole[: cut.randrange(len(whole) - 16)])
        told = both_ways(tmp_path, make_profile())
        assert told["history-complete"].status in ("inconclusive", "not-exercised")
        assert told["idempotent-replay"].status in ("inconclusive", "not-exercised")


def test_a_shard_in_which_bytes_have_changed_gives_a_clear_error_or_no_pass_for_more_than_there_is(
    tmp_path: Path,
) -> None:
    record(tmp_path)
    path, cut = tmp_path / "load-w0.arrow", random.Random(2)
    whole = path.read_bytes()
    for _ in range(6):
        at = cut.randrange(len(whole) // 2)
        path.write_bytes(whole[:at] + bytes(64) + whole[at + 64 :])
        with contextlib.suppress(HarnessError):  # which is a clear word
            told = judge(read_history(tmp_path), make_profile())
            assert not [one for one in told if "broke down" in one.message]


def test_a_merge_without_a_column_names_it(tmp_path: Path) -> None:
    record(tmp_path)
    compact(tmp_path)
    with pq.ParquetFile(tmp_path / MERGED) as file:
        table = file.read().drop_columns(["outcome"]).replace_schema_metadata(file.metadata.metadata)
    pq.write_table(table, tmp_path / MERGED)
    for judged in (lambda: read_history(tmp_path), lambda: judge_in_parts(tmp_path, make_profile(), local=Here())):
        with pytest.raises(HarnessError, match="it has no column outcome"):
            judged()


@pytest.mark.parametrize("broken", [b"", b"PAR1 and no more"])
def test_a_merge_that_is_none_is_refused_by_the_judge_in_parts_too(tmp_path: Path, broken: bytes) -> None:
    (tmp_path / MERGED).write_bytes(broken)
    with pytest.raises(HarnessError, match="cannot be read"):
        judge_in_parts(tmp_path, make_profile(), local=Here())


def test_ids_of_a_megabyte_are_compared_in_full_and_told_in_short(tmp_path: Path) -> None:
    history, profile = make_history([
        {"t": [0, 1], "user": 0, "ref": "a", "id": "x" * 10**6 + "1"},
        {"t": [2, 3], "user": 1, "ref": "b", "id": "x" * 10**6 + "2"},
        {"t": [4, 5], "user": 2, "ref": "c", "id": "x" * 10**6 + "1"},
    ])  # fmt: skip
    write(history, tmp_path)
    told = both_ways(tmp_path, profile)["challenge-id-unique"]
    assert (told.status, told.violations, [row["row"] for row in told.witness]) == ("fail", 1, [0, 2])
    assert len(told.message) < 1000


def test_no_rows_are_no_evidence(tmp_path: Path) -> None:
    told = both_ways(tmp_path, make_profile())
    assert {verdict.status for verdict in told.values()} == {"not-exercised"}


def test_a_user_that_the_pool_does_not_hold_is_a_person_of_its_own(tmp_path: Path) -> None:
    record(tmp_path, user=500, status=403, outcome="refused", challenge_id="")
    assert not [one for one in both_ways(tmp_path, make_profile()).values() if "broke down" in one.message]


def test_a_limit_with_more_scopes_and_time_than_can_be_counted_is_inconclusive() -> None:
    ends = np.array([0, 1 << 61], np.int64)
    with pytest.raises(TooLargeError):
        Lanes(np.array([0, 100], np.int64), ends, ends)
    history, profile = make_history([{"t": [0, 1]}])

    def too_large(*_: object) -> Finding:
        raise TooLargeError("a limit with 100 scopes over 640,511.9 hours is more than can be counted")

    rule = replace(RULES["documented-status"], by_person=too_large)
    told = verdict_on(rule, history, profile)
    assert (told.status, told.hint) == ("inconclusive", "Run for a shorter time, or with fewer users.")


class Killed(Here):
    """Processes of which one is killed, or whose disk is full."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_exception(self.error)
        return done


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (BrokenExecutor("gone"), "a process that judged a part of it was killed"),
        (OSError(28, "No space left on device"), "could not be written or read: No space left on device"),
    ],
)
def test_a_process_that_is_killed_and_a_full_disk_are_told_in_two_lines(
    error: Exception, told: str, tmp_path: Path
) -> None:
    record(tmp_path)
    with pytest.raises(HarnessError, match=told):
        judge_in_parts(tmp_path, make_profile(), local=Killed(error))
    assert not list(tmp_path.glob(".parts-*"))
