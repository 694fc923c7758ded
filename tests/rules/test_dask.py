"""The judge on a Dask cluster of real worker processes; skipped where the extra `dask` is not installed."""

from dataclasses import asdict
from pathlib import Path

import pytest

from harness import parted, workers
from harness.errors import HarnessError
from harness.history import read_history
from harness.judge import judge
from tests.history_files import make_history
from tests.rules.test_parted import Here, write
from tests.rules.whole_runs import Run, defective_world

distributed = pytest.importorskip("distributed", reason="the extra `dask` is not installed")


def test_a_cluster_gives_the_verdicts_of_one_process(tmp_path: Path) -> None:
    history, profile = Run(defective_world(1, "lookup-race", programmes=4)).history()
    write(history, tmp_path)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as there,
        workers.cluster(there.scheduler_address) as examiners,
    ):
        told = parted.judge_in_parts(tmp_path, profile, local=Here(), examiners=examiners, a_part=history.size // 4)
    assert [asdict(one) for one in told] == [asdict(one) for one in judge(read_history(tmp_path), profile)]


def test_a_scheduler_that_does_not_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "DASK_WAITS", "200ms")
    _, profile = make_history([])
    with pytest.raises(HarnessError, match="no scheduler answers"):
        parted.judge_folder(tmp_path, profile, dask="tcp://127.0.0.1:9")
