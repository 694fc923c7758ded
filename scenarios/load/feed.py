"""Feeds Locust's statistics in batches, so that its page, its CSV and its master count what was really sent."""

import time
from collections import Counter
from typing import Any, Final, NamedTuple

import locust.stats
import numpy as np

from harness.history.columns import GIVEN_UP
from scenarios.load.journal import Journal
from scenarios.load.steering import Steering

METHOD: Final = "POST"
CONTROL: Final = "control"
_STEPS: Final = {100: 1, 1000: 10, 10_000: 100}  # times below so many ms are rounded to so many; longer ones to 1000


class _Batch(NamedTuple):
    """What is added to one entry: counts by rounded ms, sums and extremes in ms, failures, bytes; `untimed` requests
    have no latency."""

    times: Counter[int]
    summed: float
    shortest: float
    longest: float
    failures: int
    size: int
    untimed: int = 0

    @property
    def requests(self) -> int:
        return self.times.total() + self.untimed


class Feed:
    """Moves fresh exchanges of a journal into Locust's statistics; `engine` counts what these have taken.

    With `by_locust`, Locust's own client tells them of its requests, and only control calls are fed.
    """

    def __init__(self, environment: Any, journal: Journal, steering: Steering, *, by_locust: bool) -> None:
        self.engine = 0
        self._by_locust = by_locust
        if by_locust:
            environment.events.request.add_listener(self._counted)
        self._environment = environment
        self._journal = journal
        self._steering = steering
        self._steered = 0

    def flush(self) -> None:
        """Feed what has gathered since the last time."""
        self._journal.flush()
        batches, self._journal.fresh = self._journal.fresh, []
        if self._by_locust:
            batches = []
        steered = self._steering.calls - self._steered
        self._steered += steered
        if not batches and not steered:
            return
        stats = self._environment.stats
        before = stats.total.num_requests
        for columns in batches:
            self._take(columns)
        if steered:
            for entry in (stats.get(CONTROL, METHOD), stats.total):
                _add(entry, _Batch(Counter(), 0.0, 0.0, 0.0, 0, 0, steered))
        self.engine += stats.total.num_requests - before

    def _take(self, columns: dict[str, Any]) -> None:
        stats, scenarios = self._environment.stats, columns["scenario"]
        times = (columns["received"] - columns["intended"]) / 1e6
        sizes = np.array(columns["size"])
        errors = _errors(columns)
        for scenario in set(scenarios):
            mine = np.array([one == scenario for one in scenarios])
            failed = Counter(error for own, error in zip(mine, errors, strict=True) if own and error)
            batch = _batch(times[mine], int(sizes[mine].sum()), failed.total())
            for entry in (stats.get(scenario, METHOD), stats.total):
                _add(entry, batch)
            _list(stats, scenario, failed)

    def _counted(self, **_: Any) -> None:
        self.engine += 1


def _batch(times: Any, size: int, failures: int) -> _Batch:
    return _Batch(_rounded(times), float(times.sum()), float(times.min()), float(times.max()), failures, size)


def _rounded(times: Any) -> Counter[int]:
    """How many times in ms fall on each value that Locust keeps: `bucket_response_time` for tens of thousands."""
    step = np.select([times < limit for limit in _STEPS], list(_STEPS.values()), 1000)
    values, counts = np.unique((np.rint(times / step) * step).astype(int), return_counts=True)
    return Counter(dict(zip(values.tolist(), counts.tolist(), strict=True)))


def _add(entry: Any, batch: _Batch) -> None:
    """What `StatsEntry.log` does for one request, for many."""
    now = time.time()
    second = int(now)
    last = entry.last_request_timestamp
    if entry.use_response_times_cache and last and second > int(last):
        entry._cache_response_times(second - 1)
    entry.num_requests += batch.requests
    entry.num_none_requests += batch.untimed
    entry.num_reqs_per_sec[second] += batch.requests
    entry.last_request_timestamp = now
    entry.total_content_length += batch.size
    if batch.failures:
        entry.num_failures += batch.failures
        entry.num_fail_per_sec[second] += batch.failures
    if not batch.times:
        return
    entry.total_response_time += batch.summed
    shortest = entry.min_response_time
    entry.min_response_time = batch.shortest if shortest is None else min(shortest, batch.shortest)
    entry.max_response_time = max(entry.max_response_time, batch.longest)
    for ms, many in batch.times.items():
        entry.response_times[ms] += many


def _list(stats: Any, scenario: str, failed: Counter[str]) -> None:
    """The kinds of failures, as Locust's page lists them."""
    for error, many in failed.items():
        key = locust.stats.StatsError.create_key(METHOD, scenario, error)
        entry = stats.errors.get(key)
        if entry is None:
            entry = stats.errors[key] = locust.stats.StatsError(METHOD, scenario, error)
        entry.occurred()
        entry.occurrences += many - 1


def _errors(columns: dict[str, Any]) -> list[str]:
    """Why each request has no answer that it should have, '' where it has one; callers who go away on purpose are no
    failures."""
    if "unknown" not in columns["outcome"]:
        return [""] * len(columns["outcome"])
    rows = zip(columns["outcome"], columns["status"], columns["error"], strict=True)
    return [
        (error or f"status {status}") if outcome == "unknown" and not error.startswith(GIVEN_UP) else ""
        for outcome, status, error in rows
    ]
