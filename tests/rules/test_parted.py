"""A history judged in parts gives the verdicts of one that is judged whole, word by word and witness by witness."""

import json
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.history import SCHEMA, History, read_history
from harness.history.columns import VERSION
from harness.history.shards import MERGED
from harness.judge import judge
from harness.parted import SHARING, judge_in_parts
from harness.profile import Profile
from harness.rules import FAMILIES
from tests.history_files import load_case
from tests.rules.whole_runs import DEFECTS, Run, any_world, defective_world

HISTORIES = sorted((Path(__file__).parent.parent / "histories").glob("*/*"))


class Here(Executor):
    """Does everything at once, in this process."""

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(work(*arguments, **named))
        return done


def write(history: History, folder: Path, group: int = 7) -> None:
    """The history as a folder of files, in small row groups."""
    table = pa.Table.from_pandas(history.frame, SCHEMA, preserve_index=False)
    with pq.ParquetWriter(folder / MERGED, SCHEMA) as writer:
        writer.write_table(table, group)
        told = {"version": VERSION, "wall_offset_ns": str(history.wall_offset_ns), "gaps": json.dumps(history.gaps)}
        writer.add_key_value_metadata(told)
    for tally in history.tallies:
        tally.write(folder)


def same_both_ways(history: History, profile: Profile, folder: Path, a_part: int) -> None:
    folder.mkdir()
    write(history, folder)
    whole, parts = judge(read_history(folder), profile), judge_in_parts(folder, profile, local=Here(), a_part=a_part)
    assert [asdict(verdict) for verdict in parts] == [asdict(verdict) for verdict in whole]
    assert sorted(path.name for path in folder.glob(".*")) == []


@pytest.mark.parametrize("seed", range(2))
def test_runs_against_correct_endpoints_are_judged_alike(seed: int, tmp_path: Path) -> None:
    history, profile = Run(any_world(seed, programmes=5)).history()
    same_both_ways(history, profile, tmp_path / "run", max(history.size // 5, 1))


@pytest.mark.parametrize("defect", list(DEFECTS)[::9])
def test_runs_against_defective_endpoints_are_judged_alike(defect: str, tmp_path: Path) -> None:
    history, profile = Run(defective_world(1, defect, programmes=4)).history()
    same_both_ways(history, profile, tmp_path / "run", max(history.size // 5, 1))


@pytest.mark.parametrize("path", HISTORIES[7::60], ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_recorded_histories_are_judged_alike(path: Path, tmp_path: Path) -> None:
    history, profile, _ = load_case(path)
    same_both_ways(history, profile, tmp_path / "run", 4)


def test_every_family_is_judged_in_parts() -> None:
    assert sorted(family for families in SHARING for family in families) == sorted(FAMILIES)
