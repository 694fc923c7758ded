"""Measures how long all rules take over millions of exchanges, and in how much memory, beside pandas on the same file.

`python -m tests.benchmarks.judge [--sizes 1,3,10] [--cache DIR]` makes a history of so many million exchanges of a
correct endpoint once (see `large_history`), then judges it in a process of its own while the memory of all processes
below is watched (PSS where the system tells it, else RSS). Beside it pandas reads the same file and groups it by user
and ref. Prints a table, the dearest rules of the largest size, and as the last line JSON.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import psutil

from tests.benchmarks.large_history import profile_for, write

MILLION: Final = 10**6
EVERY_S: Final = 0.2  # between two looks at the memory
SHOWN: Final = 12  # rules in the table


def main() -> None:
    """Measure each size and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1,3,10", help="millions of exchanges, such as 1,3,10,30")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "stepup-judge-benchmark")
    parser.add_argument("--only", choices=PARTS, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    sizes = [float(size) for size in flags.sizes.split(",")]
    if flags.only:
        print(json.dumps(PARTS[flags.only](flags.cache, round(sizes[0] * MILLION))))
        return
    print(f"{'exchanges':>11}  {'judge s':>8}  {'pandas s':>8}  {'ratio':>5}  {'peak MB':>7}  {'pandas MB':>9}  failed")
    told = {}
    for size in sizes:
        told = _measured(flags.cache, size)
    _print_rules(told.pop("rules"))
    print(json.dumps(told))


def _measured(cache: Path, size: float) -> dict[str, Any]:
    folder = cache / f"{size:g}"
    write(folder, round(size * MILLION))
    pandas, pandas_mb = _watched("pandas", folder, size)
    judged, peak_mb = _watched("judge", folder, size)
    ratio = judged["seconds"] / pandas["seconds"]
    print(
        f"{judged['exchanges']:>11,}  {judged['seconds']:>8.1f}  {pandas['seconds']:>8.1f}  {ratio:>5.2f}  "
        f"{peak_mb:>7,.0f}  {pandas_mb:>9,.0f}  {', '.join(judged['failed']) or 'none'}",
        flush=True,
    )
    return {**judged, "over_pandas": round(ratio, 2), "peak_mb": round(peak_mb)}


def _watched(part: str, folder: Path, size: float) -> tuple[dict[str, Any], float]:
    """What a part of the work prints, done in a process of its own, and the most memory in MB that it took."""
    command = [sys.executable, "-m", "tests.benchmarks.judge", "--only", part, "--cache", str(folder)]
    process = subprocess.Popen([*command, "--sizes", f"{size:g}"], stdout=subprocess.PIPE, text=True)
    peak = 0
    while process.poll() is None:
        peak = max(peak, _memory(process.pid))
        time.sleep(EVERY_S)
    assert process.stdout is not None
    if process.returncode:
        raise SystemExit(f"judge benchmark: {part} ended with {process.returncode}")
    told: dict[str, Any] = json.loads(process.stdout.read().splitlines()[-1])
    return told, peak / 2**20


def _memory(pid: int) -> int:
    """The bytes that a process and all below it hold; pages that they share count once where the system tells it."""
    total = 0
    try:
        for one in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            rollup = Path(
                f"/proc/{one.pid}/smaps_rollup"
            )  # psutil adds up all maps, which takes a second for gigabytes
            found = re.search(r"^Pss: +(\d+) kB", rollup.read_text(), re.MULTILINE) if rollup.exists() else None
            total += int(found[1]) * 1024 if found else one.memory_info().rss
    except (psutil.Error, OSError):  # it has ended meanwhile
        return total
    return total


def _judge(folder: Path, rows: int) -> dict[str, Any]:
    from harness.parted import judge_in_parts

    profile, begun = profile_for(rows), time.perf_counter()
    spent: Counter[str] = Counter()
    verdicts = judge_in_parts(folder, profile, spent=spent)
    failed = [f"{one.rule} ({one.message})" for one in verdicts if one.status == "fail" or "broke down" in one.message]
    seconds = time.perf_counter() - begun
    exchanges = next(one.examined for one in verdicts if one.rule == "history-complete")
    return {"exchanges": exchanges, "seconds": round(seconds, 1), "failed": failed, "rules": spent}


def _pandas(folder: Path, rows: int) -> dict[str, Any]:
    import pandas as pd

    begun = time.perf_counter()
    groups = pd.read_parquet(folder / "history.parquet").groupby(["user", "ref"], observed=True).size()
    return {"seconds": time.perf_counter() - begun, "groups": len(groups)}


PARTS: Final = {"judge": _judge, "pandas": _pandas}


def _print_rules(spent: dict[str, float]) -> None:
    print("\nseconds by rule, at the largest size (what several rules share is the first one's):")
    for name, seconds in sorted(spent.items(), key=lambda item: -item[1])[:SHOWN]:
        print(f"{seconds:>9.2f}  {name}")


if __name__ == "__main__":
    main()
