"""Draws together what all processes and the records say of a load that is over."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final

from harness.run_folder import RunFolder
from scenarios.load.findings import figures, read_traffic, sentences
from scenarios.load.phases import Phase, merged

GROWN_MB: Final = 20.0  # by which a generator may grow over a load; more is told


@dataclass(frozen=True)
class Conclusions:
    """`phases`: the figures of each phase of steady traffic; `sentences`: what was found out."""

    phases: list[dict[str, Any]]
    sentences: list[str]


def conclusions(folder: RunFolder, results: list[dict[str, Any]]) -> Conclusions:
    """What follows from the results of all processes and from the shards that they have written."""
    turns: dict[int, list[list[Phase]]] = defaultdict(list)
    for result in results:
        turns[result["turn"]].append([Phase(*row) for row in result["phases"]])
    phases = [phase for turn in sorted(turns) for phase in merged(turns[turn])]
    traffic = read_traffic(folder.history)
    told = [sentence for result in results for sentence in result["findings"]]
    told += sentences(phases, traffic)
    told += [_growth(result) for result in results if result["memory_mb"][1] - result["memory_mb"][0] > GROWN_MB]
    return Conclusions(figures(phases, traffic), told)


def _growth(result: dict[str, Any]) -> str:
    begin, end = result["memory_mb"]
    return f"memory: generator {result['worker']} grew from {begin:,.0f} to {end:,.0f} MB"
