"""Statistics fed in batches are those that Locust would have counted one by one."""

import subprocess
import sys

# In a process of its own: Locust patches the standard library as it is imported.
COMPARED = """
import random
from collections import Counter
import locust.stats
import numpy as np
from scenarios.load.feed import _rounded

rng = random.Random(1)
times = [rng.uniform(0, 10.0**power) for power in range(1, 6) for _ in range(2000)]
assert _rounded(np.array(times)) == Counter(map(locust.stats.bucket_response_time, times))
"""

FED = """
from types import SimpleNamespace
import locust.stats
from scenarios.load.feed import METHOD, Feed
from scenarios.load.journal import Journal, unanswered
from scenarios.load.rows import Call, Row, Said

class Nowhere:
    def write(self, columns): pass

journal = Journal(Nowhere())
one_by_one, stats = locust.stats.RequestStats(), locust.stats.RequestStats()
feed = Feed(SimpleNamespace(stats=stats), journal, SimpleNamespace(calls=0), by_locust=False)
ok = Said(200, "ok", "", "c", None, "", "", None, None, 11)
broken = Said(503, "unknown", "", "", None, "", "", None, None, 5)
lost, ours = unanswered("read: reset", written=True), unanswered("closed by us", written=True)
for number in range(1300):
    said = [ok, ok, ok, broken, lost, ours][number % 6]
    scenario = ["a", "b"][number % 5 == 0]
    call = Call(scenario, "c", "push", "valid", "200", "POST", 0, 0, "AUTHY", "r", b"")
    journal.note(Row(call, said, 1000, 2000, 1000 + number * 1_000_000, 1))
    one_by_one.log_request(METHOD, scenario, number, said.size)
    if said in (broken, lost):
        one_by_one.log_error(METHOD, scenario, said.error or f"status {said.status}")
    if number % 400 == 0:
        feed.flush()
feed.flush()
names = "num_requests num_failures total_response_time min_response_time max_response_time total_content_length"
pairs = [(stats.get(name, METHOD), one_by_one.get(name, METHOD)) for name in "ab"]
for entry, other in [(stats.total, one_by_one.total), *pairs]:
    assert [getattr(entry, n) for n in names.split()] == [getattr(other, n) for n in names.split()]
    assert entry.response_times == other.response_times
told = lambda stats: sorted((e.name, e.error, e.occurrences) for e in stats.errors.values())
assert told(stats) == told(one_by_one)
assert (feed.engine, journal.sent) == (1300, 1300)
"""


def test_what_is_fed_in_batches_is_what_locust_counts_one_by_one() -> None:
    done = subprocess.run([sys.executable, "-c", FED], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_batch_is_rounded_as_locust_rounds_each() -> None:
    done = subprocess.run([sys.executable, "-c", COMPARED], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
