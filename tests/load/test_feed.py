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


def test_a_batch_is_rounded_as_locust_rounds_each() -> None:
    done = subprocess.run([sys.executable, "-c", COMPARED], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
