"""A load script as a competent engineer would write it with Locust alone, to compare what it finds with our rules.

Each user sends a ref, sends it again, and compares the two ids; every status but 200 is a failure. It shares nothing
with the harness: run it with `locust -f`, the environment variable PLAIN_USERS naming the credentials pool.
"""

import json
import os
import uuid
from itertools import cycle
from pathlib import Path
from typing import Any

from locust import FastHttpUser, constant_pacing, task

POOL: list[dict[str, Any]] = json.loads(Path(os.environ["PLAIN_USERS"]).read_text(encoding="utf-8"))
NEXT = cycle([user for user in POOL if user.get("state", "active") == "active" and len(user["channels"]) > 1] or POOL)


class Caller(FastHttpUser):
    """One logged-in user."""

    wait_time = constant_pacing(1)

    def on_start(self) -> None:
        """Take the next credentials."""
        self.me = next(NEXT)

    @task
    def send_twice(self) -> None:
        """The same call twice must give the same challenge."""
        ref, channel = str(uuid.uuid4()), self.me["channels"][0]
        first = self.challenge(ref, channel, "")
        if first is not None:
            self.challenge(ref, channel, first)

    def challenge(self, ref: str, channel: str, expected: str) -> str | None:
        """The id of the challenge; None where there is none."""
        headers = {
            "Authorization": f"Bearer {self.me['token']}", "api-key": self.me["api_key"], "idempotency-ref": ref
        }  # fmt: skip
        path = f"/stepup/challenges/push/{channel}"
        with self.client.post(path, headers=headers, name="push", catch_response=True) as response:
            try:
                identifier = str(json.loads(response.text or "")["id"])
            except (ValueError, KeyError, TypeError):
                response.failure(f"status {response.status_code} or no id")
                return None
            if response.status_code != 200:
                response.failure(f"status {response.status_code}")
            elif expected and identifier != expected:
                response.failure("another id for the same ref")
            return identifier
