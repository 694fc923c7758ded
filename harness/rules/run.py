"""Rules about the run itself: is the history whole, and did the machine that made the load keep its schedule?"""

from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from harness.history import TIMES, History, Tally
from harness.profile import Profile
from harness.rules.reading.columns import Ints
from harness.rules.registry import Finding, rule

LATEST_NS: Final = 10 * 10**6  # lateness of the generator's own that adds nothing worth telling to a latency
LATEST_SHARE: Final = 0.1  # of the latency itself: more would make the figures the generator's rather than the target's
PERCENTILE: Final = 99.0
MS: Final = 1e6


@rule(
    "history-complete",
    family="run",
    severity="must",
    scope="run",
    statement="Every exchange that was sent is in the history once, for every worker: recorded = sent = what the load "
    "engine counted; a worker that was lost is named.",
    source="A pass over a history with holes would claim what was not seen.",
    advice="Find out why a worker died (memory, a kill, a full disk), and run again.",
    by_person=False,
)
def history_complete(history: History, _: Profile) -> Finding:
    gaps = gaps_of(history)
    workers = len(history.tallies)
    note = f"{history.size:,} exchanges of {workers} process{'es' if workers != 1 else ''}"
    return Finding(history.size, shortfall="; ".join(gaps[:3]) + _more(len(gaps) - 3), note=note, lacks=AGAIN)


AGAIN: Final = "Run the test again; where a worker died, find out why first."


def _more(count: int) -> str:
    return f"; and {count:,} more" if count > 0 else ""


def gaps_of(history: History) -> tuple[str, ...]:
    """Everything that is known to be missing from a history, a sentence each."""
    if len(history.frame) != history.size:
        return history.gaps  # whoever left most of it in its files has looked for what is missing
    found = [*history.gaps, *_miscounts(history)]
    return tuple(dict.fromkeys(found))


class _Shard(NamedTuple):
    """What is there of one process' records: how many, how many of them more than once, and the last one's number."""

    rows: int
    doubles: int
    last: int


def _miscounts(history: History) -> list[str]:
    shards = _shards(history.frame)
    tallies = {(tally.stage, tally.worker): tally for tally in history.tallies}
    found = []
    for name, tally in sorted(tallies.items()):
        found += [f"{_named(*name)}: {fault}" for fault in _faults(tally, shards.get(name))]
    for name in sorted(set(shards) - set(tallies)):
        found.append(f"{_named(*name)}: no tally says how many exchanges it sent")
        found += [f"{_named(*name)}: {fault}" for fault in _holes(shards[name])]
    return found


def _named(stage: str, worker: str) -> str:
    return f"{stage} {worker}"


def _faults(tally: Tally, shard: _Shard | None) -> list[str]:
    """What a process says of itself, against what there is of it."""
    there = shard or _Shard(0, 0, -1)
    if not tally.clean:
        return [f"lost before it had ended; {there.rows:,} of its exchanges are there", *_holes(there)]
    found = []
    if tally.recorded != tally.sent:
        found.append(f"sent {tally.sent:,} exchanges, recorded {tally.recorded:,}")
    if tally.engine is not None and tally.engine != tally.sent:
        found.append(f"sent {tally.sent:,} exchanges, but the load engine counted {tally.engine:,}")
    if shard is None and tally.recorded:
        found.append(f"its shard with {tally.recorded:,} exchanges is missing")
    elif there.rows - there.doubles != tally.recorded:
        found.append(f"recorded {tally.recorded:,} exchanges, of which {there.rows - there.doubles:,} are there")
    return [*found, *_holes(there)]


def _holes(shard: _Shard) -> list[str]:
    found = []
    if shard.doubles:
        found.append(f"{shard.doubles:,} exchanges are there more than once")
    missing = shard.last + 1 - (shard.rows - shard.doubles)
    if missing > 0:
        found.append(f"{missing:,} exchanges before its last one are missing")
    return found


def _shards(frame: pd.DataFrame) -> dict[tuple[str, str], _Shard]:
    """What is there of each process' records, which it numbers from 0."""
    stage, worker = frame["stage"].cat, frame["worker"].cat
    place = stage.codes.to_numpy(np.int64) * len(worker.categories) + worker.codes.to_numpy(np.int64)
    numbers = frame["seq"].to_numpy(np.int64)
    found = {}
    for shard in pd.unique(place):
        of_shard = numbers[place == shard]
        first, second = divmod(int(shard), len(worker.categories))
        name = (str(stage.categories[first]), str(worker.categories[second]))
        found[name] = _Shard(len(of_shard), len(of_shard) - _distinct(of_shard), int(of_shard.max()))
    return found


def _distinct(numbers: Ints) -> int:
    """How many different numbers there are; records are nearly always numbered without holes, so counting is quick."""
    if numbers.min() < 0 or numbers.max() > 4 * len(numbers) + 1000:
        return len(np.unique(numbers))
    return int(np.count_nonzero(np.bincount(numbers)))


class Lateness(NamedTuple):
    """How late the load machine sent, for reasons of its own, in ns. `sentence` says what is wrong, '' if nothing."""

    samples: int
    p99: float
    limit: float
    longest: float
    sentence: str


@rule(
    "generator-healthy",
    family="run",
    severity="must",
    scope="run",
    statement="The load machine kept its own schedule: 99 % of the requests left within 10 ms of their intended time, "
    "or within a tenth of the latency that 99 % were answered in.",
    source="Latency counts from the intended time, so what the generator is late by would be blamed on the target.",
    advice="Take the load down, or give the generator more processes (--processes) or a machine of its own.",
    by_person=False,
)
def generator_healthy(history: History, _: Profile) -> Finding:
    """Waiting for a connection that the target keeps busy is the target's doing, and no lateness of the generator's."""
    late = own_lateness(history)
    note = f"p99 {late.p99 / MS:.2f} ms late, at most {late.longest / MS:.2f} ms"
    lacks = "Only a load stage with arrivals on a schedule can show it." if not late.samples else ADVICE
    return Finding(late.samples, shortfall=late.sentence, note=note if late.samples else "", lacks=lacks)


ADVICE: Final = "Take the load down, or give the generator more processes (--processes) or a machine of its own."


LOAD: Final = {"stage": "load", "operation": "push"}
PLACE: Final = ["worker", "connection"]


def own_lateness(history: History) -> Lateness:
    """The lateness of scheduled load requests that had a warm connection free; none where all were sent at once."""
    pushes = history.having(LOAD, [*TIMES])
    intended, sent, received = (pushes[name].to_numpy(np.int64) for name in TIMES)
    late = sent - intended
    if not len(late) or not late.any():
        return Lateness(0, 0.0, 0.0, 0.0, "")
    limit = max(LATEST_NS, LATEST_SHARE * float(np.percentile(received - intended, PERCENTILE)))
    if np.percentile(late, PERCENTILE) > limit:
        late = _late_though_free(history.having(LOAD, [*TIMES, *PLACE]).sort_index())
        if not len(late):
            return Lateness(0, 0.0, limit, 0.0, "")
    p99 = float(np.percentile(late, PERCENTILE))
    sentence = f"the load machine sent 1 % of {len(late):,} requests {p99 / MS:.1f} ms late or more, by its own fault; "
    sentence += f"at most {limit / MS:.1f} ms would do"
    return Lateness(len(late), p99, limit, float(late.max()), sentence if p99 > limit else "")


def _late_though_free(pushes: pd.DataFrame) -> Ints:
    """How late those were sent that had a connection, from when it was free on."""
    intended, sent, received = (pushes[name].to_numpy(np.int64) for name in TIMES)
    free = _free_since(pushes, received)
    late: Ints = sent[free >= 0] - np.maximum(intended, free)[free >= 0]
    return late


def _free_since(frame: pd.DataFrame, received: Ints) -> Ints:
    """When each request's connection had answered the one before; -1 for its first, which had to be opened."""
    worker, connection = frame["worker"].cat.codes.to_numpy(np.int64), frame["connection"].to_numpy(np.int64)
    place = worker * (connection.max() + 2) + connection + 1
    order = np.argsort(place, kind="stable")
    before = np.full(len(order), -1, dtype=np.int64)
    same = place[order][1:] == place[order][:-1]
    before[order[1:][same]] = received[order[:-1][same]]
    return before
