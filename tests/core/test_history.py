"""Histories: what is recorded is read back whole, and what is missing is known to be missing."""

from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.history import Exchange, Recorder, compact, history_of, outcome_of, read_history
from harness.history.columns import COLUMNS, RECORDED, SCHEMA
from harness.history.shards import MERGED
from harness.redact import Redactor

ROW = Exchange(
    scenario="s", case="c", operation="push", intent="valid", allowed="200", method="POST", user=3, key=0,
    channel="AUTHY", ref="r", intended=1_000, sent=1_000, received=2_000, status=200, outcome="ok", error_code="",
    challenge_id="id", retry_after=None, body_fault="", error="", connection=1, headers=None, body=None, told=0,
)  # fmt: skip


def record(folder: Path, worker: str, rows: list[Exchange], *, close: bool = True) -> None:
    recorder = Recorder(folder, "load", worker, batch=10)
    for row in rows:
        recorder.add(row)
    if close:
        recorder.close(sent=len(rows), engine=len(rows))


def rows(count: int, start: int = 1_000) -> list[Exchange]:
    return [
        ROW._replace(sent=start + i, intended=start + i, received=start + i + 500, ref=f"r{i}") for i in range(count)
    ]


def test_reads_back_what_was_recorded_sorted_and_from_zero(tmp_path: Path) -> None:
    record(tmp_path, "b", rows(25, start=5_000))
    record(tmp_path, "a", rows(25, start=1_000))
    history = read_history(tmp_path)
    assert list(history.frame["sent"]) == [*range(25), *range(4_000, 4_025)]
    assert list(history.frame["worker"]) == ["a"] * 25 + ["b"] * 25
    assert history.frame.iloc[26][list(COLUMNS)].dropna().to_dict() | {"ref": "r"} == {
        **{name: value for name, value in ROW._asdict().items() if value is not None},
        "intended": 4_001,
        "sent": 4_001,
        "received": 4_501,
    }
    assert [(t.worker, t.sent, t.recorded, t.engine, t.clean) for t in history.tallies] == [
        ("a", 25, 25, 25, True),
        ("b", 25, 25, 25, True),
    ]


def test_a_merge_changes_nothing_and_takes_in_later_stages(tmp_path: Path) -> None:
    record(tmp_path, "a", rows(25))
    before = read_history(tmp_path).frame
    compact(tmp_path)
    assert not list(tmp_path.glob("*.arrow"))
    assert read_history(tmp_path).frame.equals(before)
    record(tmp_path, "b", rows(5, start=9_000))
    compact(tmp_path)
    assert len(read_history(tmp_path).frame) == 30


def test_a_process_that_was_killed_keeps_what_it_flushed_and_is_known_by_its_tally(tmp_path: Path) -> None:
    record(tmp_path, "a", rows(25), close=False)
    history = read_history(tmp_path)
    assert len(history.frame) == 20
    assert [tally.clean for tally in history.tallies] == [False]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 0.5, 0.9, 0.999])
def test_a_shard_cut_at_any_byte_gives_what_is_whole_and_names_the_gap(tmp_path: Path, share: float) -> None:
    record(tmp_path, "a", rows(50))
    path = tmp_path / "load-a.arrow"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    history = read_history(tmp_path)
    assert len(history.frame) % 10 == 0
    assert "load-a.arrow ends early" in history.gaps[0] or len(history.frame) == 50
    compact(tmp_path)
    assert read_history(tmp_path).gaps == history.gaps


def test_a_merge_that_is_damaged_or_of_another_version_is_refused(tmp_path: Path) -> None:
    record(tmp_path, "a", rows(5))
    compact(tmp_path)
    path = tmp_path / MERGED
    whole = path.read_bytes()
    for damaged in (b"", whole[:100], whole[:-20]):
        path.write_bytes(damaged)
        with pytest.raises(HarnessError, match="cannot be read"):
            read_history(tmp_path)


def test_a_shard_of_another_version_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa

    facts = {"version": "99", "stage": "load", "worker": "a", "wall_offset_ns": "0"}
    with pa.ipc.new_stream(str(tmp_path / "load-a.arrow"), RECORDED.with_metadata(facts)):
        pass
    with pytest.raises(HarnessError, match="version 99, but this harness reads 1"):
        read_history(tmp_path)


def test_an_empty_folder_is_an_empty_history(tmp_path: Path) -> None:
    assert len(read_history(tmp_path).frame) == 0
    with pytest.raises(HarnessError, match="no such folder"):
        read_history(tmp_path / "nowhere")


def test_impossible_times_are_refused(tmp_path: Path) -> None:
    record(tmp_path, "a", [ROW._replace(received=10)])
    with pytest.raises(HarnessError, match="received before it was sent"):
        read_history(tmp_path)


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    record(tmp_path, "a", rows(1))
    with pytest.raises(HarnessError, match="File exists"):
        Recorder(tmp_path, "load", "a")


def test_no_secret_that_a_target_echoes_reaches_the_disk(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "load", "a", Redactor(["token-0123456789abcdef"]))
    echoed = "x token-0123456789abcdef y"
    recorder.add(ROW._replace(challenge_id=echoed, headers=echoed, body=echoed, error_code=echoed, retry_after=echoed))
    recorder.close(sent=1)
    assert b"token-012345" not in (tmp_path / "load-a.arrow").read_bytes()
    assert read_history(tmp_path).frame["challenge_id"][0] == "x [secret 0] y"


def test_two_secrets_stay_two_ids(tmp_path: Path) -> None:
    redactor = Redactor(["token-0123456789abcdef", "token-zzzzzzzzzzzzzzzz"])
    assert redactor.clean("token-0123456789abcdef") != redactor.clean("token-zzzzzzzzzzzzzzzz")


def test_outcomes_say_what_a_status_proves() -> None:
    assert {outcome_of(status) for status in (200, 201, 204)} == {"ok"}
    assert {outcome_of(status) for status in (302, 400, 409, 429)} == {"refused"}
    assert {outcome_of(status) for status in (0, 500, 503)} == {"unknown"}
    assert outcome_of(0, was_sent=False) == "refused"


def test_an_empty_table_is_a_history() -> None:
    assert len(history_of(SCHEMA.empty_table()).frame) == 0
