"""Measures how long all reports of a run take, and in how much memory, for histories of several sizes.

`python -m tests.benchmarks.reports [--sizes 0.05,1,10] [--cache DIR]` makes a history of so many million exchanges once
(see `large_history`), judges none of it, and reports on it in a process of its own. Prints a table; its last line is
JSON: `exchanges`, `seconds`, `processor_s`, `peak_mb` of the largest size.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from harness.run_folder import create, write_json
from harness.verdict import to_json
from tests.benchmarks.large_history import profile_for, write
from tests.reports.runs import verdicts_passing

MILLION: Final = 10**6


def main() -> None:
    """Report on a history of each size and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="0.05,1,10", help="millions of exchanges, such as 0.05,1,10")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "stepup-judge-benchmark")
    flags = parser.parse_args()
    told: dict[str, Any] = {}
    print(f"{'exchanges':>11}  {'seconds':>8}  {'processor s':>11}  {'peak MB':>8}")
    for size in (float(one) for one in flags.sizes.split(",")):
        told = measured(flags.cache / f"{size:g}", round(size * MILLION))
        print(f"{told['exchanges']:>11,}  {told['seconds']:>8.1f}  {told['processor_s']:>11.1f}  {told['peak_mb']:>8,}")
    print(json.dumps(told))


def measured(history: Path, rows: int) -> dict[str, Any]:
    """What the reports of such a history took."""
    write(history, rows)
    with tempfile.TemporaryDirectory(prefix="stepup-reports-") as name:
        run = create(Path(name) / "run", "large", profile_for(rows), seed=1, command="stepup run")
        write_json(run.path / "verdicts.json", to_json(verdicts_passing()))
        for path in history.iterdir():
            (run.history / path.name).symlink_to(path.resolve())
        began = time.monotonic()
        process = subprocess.Popen([sys.executable, "-m", "harness", "report", str(run.path), "--quiet"])
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        summary = json.loads((run.path / "summary.json").read_text(encoding="utf-8"))
    assert os.waitstatus_to_exitcode(status) == summary["outcome"]["exit_code"]
    return {
        "exchanges": summary["history"]["exchanges"], "seconds": round(seconds, 1),
        "processor_s": round(used.ru_utime + used.ru_stime, 1), "peak_mb": used.ru_maxrss // 1024,
    }  # fmt: skip


if __name__ == "__main__":
    main()
