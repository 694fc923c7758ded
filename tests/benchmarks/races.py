"""Counts how often ways of sending duplicates hit a planted look-then-write race of the embedded service.

`python -m tests.benchmarks.races [--seconds 10] [--runs 1] [--gap NAME] [--way NAME]` plants a gap of 1 ms, one of
0.1 ms and a bare select-insert in turn; each way sends bursts of duplicates of fresh refs: 8, or 2 to 16 by the load
stage. A burst that got two challenge ids has hit. Prints a table; its last line is JSON.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import httpx

from harness.case import push_path
from harness.deal import deal
from harness.profile import Profile, load_profile
from harness.run_folder import create
from harness.targets.embedded import embedded
from tests.load.targets import load

FAULTS = {"1 ms": "idempotency-race", "0.1 ms": "idempotency-race-narrow", "select-insert": "idempotency-race-bare"}
NO_LIMITS = ("rate_count=none", "challenge_count=none")
DUPLICATES = 8
PLAN = '[[stages]]\nscenario = "idempotency"\nduration = "{seconds}s"\nrate = 60\n'

FAST_USER = """
import json, sys, time
from uuid import uuid4
import gevent
from geventhttpclient.client import HTTPClientPool
from locust import FastHttpUser, task

class Burst(FastHttpUser):
    client_pool = HTTPClientPool(concurrency={duplicates})

    @task
    def push(self):
        headers = {{**{headers!r}, "idempotency-ref": str(uuid4())}}
        def one():
            answer = self.client.post("{path}", headers=headers)
            return answer.json().get("id") if answer.status_code == 200 else None
        waited = [gevent.spawn(one) for _ in range({duplicates})]
        gevent.joinall(waited)
        with open({out!r}, "a") as file:
            file.write(str(len({{w.value for w in waited}} - {{None}})) + "\\n")
"""

Counts = tuple[int, int]  # bursts, and those that hit


def lean(path: Path, folder: Path, seconds: int) -> Counts:
    """The load stage's idempotency scenario."""
    profile = load_profile(path)
    made = create(folder / "run", "races", profile, seed=1, command="races")
    made.facts["deal"] = deal(profile.pool, ["load"])
    made.save()
    plan = folder / "plan.toml"
    plan.write_text(PLAN.format(seconds=seconds))
    frame = load(path, made, plan).history.frame
    answered = frame[(frame["status"] == 200) & frame["ref"].notna() & (frame["operation"] == "push")]
    person = [profile.pool.users[user].person for user in answered["user"]]
    groups = answered.groupby([person, "channel", "ref"], observed=True)["challenge_id"]
    several = groups.size() > 1
    return int(several.sum()), int((groups.nunique()[several] > 1).sum())


def _headers(profile: Profile) -> dict[str, str]:
    user = next(user for user in profile.pool.active if "AUTHY" in user.usable)
    return {"Authorization": f"Bearer {user.token}", "api-key": user.api_key}


def fasthttpuser(path: Path, folder: Path, seconds: int) -> Counts:
    """One FastHttpUser that posts the duplicates from greenlets at once."""
    profile = load_profile(path)
    out, script = folder / "fast.txt", folder / "burst.py"
    # The credentials are those of a service that ends with this run.
    script.write_text(FAST_USER.format(
        headers=_headers(profile), path=push_path("AUTHY"), out=str(out), duplicates=DUPLICATES
    ))  # fmt: skip
    subprocess.run(
        [sys.executable, "-m", "locust", "-f", str(script), "--headless", "-u", "1", "-t", f"{seconds}s", "-H",
         profile.target.base_url], capture_output=True, check=False, timeout=seconds + 60,
    )  # fmt: skip
    ids = [int(line) for line in out.read_text().split()]
    return len(ids), sum(count > 1 for count in ids)


def threads(path: Path, folder: Path, seconds: int) -> Counts:
    """httpx from a thread for each duplicate."""
    profile = load_profile(path)
    url = profile.target.base_url + push_path("AUTHY")
    ids: dict[str, set[str]] = defaultdict(set)
    with httpx.Client(trust_env=False) as client, ThreadPoolExecutor(DUPLICATES) as pool:

        def one(ref: str) -> None:
            answer = client.post(url, headers={**_headers(profile), "idempotency-ref": ref})
            if answer.status_code == 200:
                ids[ref].add(answer.json()["id"])

        end = time.monotonic() + seconds
        while time.monotonic() < end:
            list(pool.map(one, [str(uuid4())] * DUPLICATES))
    return len(ids), sum(len(found) > 1 for found in ids.values())


WAYS: dict[str, Callable[[Path, Path, int], Counts]] = {
    "lean": lean, "fasthttpuser": fasthttpuser, "httpx threads": threads,
}  # fmt: skip


def main() -> None:
    """Race each way against each gap, print the table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--gap", choices=FAULTS, action="append", help="only this gap; repeatable")
    parser.add_argument("--way", choices=WAYS, action="append", help="only this way of sending; repeatable")
    args = parser.parse_args()
    told: dict[str, dict[str, dict[str, int]]] = {}
    print(f"{'gap':<16}{'way':<16}{'runs hit':>10}{'bursts':>10}{'hit':>10}")
    for gap in args.gap or FAULTS:
        for way in args.way or WAYS:
            counts = []
            for run in range(args.runs):
                with contextlib.ExitStack() as stack:
                    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="races-")))
                    path = stack.enter_context(embedded(run + 1, FAULTS[gap], NO_LIMITS))
                    counts.append(WAYS[way](path, folder, args.seconds))
            bursts, hit, runs = sum(c[0] for c in counts), sum(c[1] for c in counts), sum(c[1] > 0 for c in counts)
            told.setdefault(gap, {})[way] = {"bursts": bursts, "hit": hit, "runs": args.runs, "runs_hit": runs}
            print(f"{gap:<16}{way:<16}{f'{runs}/{args.runs}':>10}{bursts:>10}{hit:>10}", flush=True)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
