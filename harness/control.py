"""Steers a target from outside the operation: accept, decline, count pushes, reset; each call is recorded."""

import json
import time
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from harness.history.columns import Exchange, outcome_of
from harness.history.recorder import Recorder
from harness.profile import Profile, control_call

TIMEOUT_S: Final = 10.0
LARGEST_ANSWER: Final = 64 * 1024  # bytes; a control call tells at most a number


class ControlClient:
    """Makes a profile's control calls and records them as exchanges of the operations `accept`, `decline`, …

    A path is looked for below the base URL first and, where the base URL has a prefix and nothing is found there, at
    the root of its host.
    """

    def __init__(self, profile: Profile, recorder: Recorder, scenario: str = "control") -> None:
        self.calls = 0
        self._profile = profile
        self._recorder = recorder
        self._scenario = scenario
        base = profile.target.base_url
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(base))
        self._roots = list(dict.fromkeys((base, origin)))
        verify: Any = str(profile.target.ca_file) if profile.target.ca_file else True
        # Proxies of the environment would send control calls, and their headers, to somebody else.
        self._http = httpx.Client(timeout=TIMEOUT_S, verify=verify, trust_env=False)

    def accept(self, challenge_id: str, user: int) -> bool:
        """Accept a challenge of the token with index `user`; whether the target said that it did."""
        return self._settle("accept", challenge_id, user)

    def decline(self, challenge_id: str, user: int) -> bool:
        """Decline a challenge of the token with index `user`; whether the target said that it did."""
        return self._settle("decline", challenge_id, user)

    def reset(self) -> bool:
        """Make the target forget limits and challenges; False where it has no such call or refused.

        Pushes are counted on both sides of it, so that all of them stand between two counts.
        """
        template = self._profile.control.reset
        if template is None:
            return False
        self.pushes()
        done, _ = self._call("reset", template)
        self.pushes()
        return done

    def kill(self) -> bool:
        """Make one of the target's processes end at once; nobody may be left to answer, so False says nothing."""
        return self._profile.control.kill is not None and self._call("kill", self._profile.control.kill)[0]

    def stall(self) -> bool:
        """Make one of the target's processes stand still for a while."""
        return self._profile.control.stall is not None and self._call("stall", self._profile.control.stall)[0]

    def pushes(self) -> int | None:
        """How many pushes the target has sent so far; None where it cannot tell."""
        template = self._profile.control.pushes
        if template is None:
            return None
        done, told = self._call("pushes", template)
        return told if done and told >= 0 else None

    def close(self) -> None:
        self._http.close()

    def _settle(self, operation: str, challenge_id: str, user: int) -> bool:
        template = getattr(self._profile.control, operation)
        return template is not None and self._call(operation, template, challenge_id, user)[0]

    def _call(self, operation: str, template: str, challenge_id: str = "", user: int = -1) -> tuple[bool, int]:
        method, path = control_call(template, challenge_id)
        sent = time.monotonic_ns()
        status, body, error = self._ask(method, path)
        received = time.monotonic_ns()
        told = _count(body) if operation == "pushes" else 0
        outcome = outcome_of(status, was_sent=error != "connect")
        self._recorder.add(
            Exchange(
                scenario=self._scenario, case=operation, operation=operation, intent="control", allowed="2xx",
                method=method, user=user, key=-1, channel="", ref=None, intended=sent, sent=sent, received=received,
                status=status, outcome=outcome, error_code="", challenge_id=challenge_id, retry_after=None,
                body_fault="", error=error, connection=-1, headers=None, body=None, told=told,
            )
        )  # fmt: skip
        self.calls += 1
        return outcome == "ok", told

    def _ask(self, method: str, path: str) -> tuple[int, bytes, str]:
        """Status, body and transport error of one call; finds out once below which root the paths are."""
        roots = self._roots  # kept: another call may find it out while this one waits for its answer
        answer = self._send(method, roots[0] + path)
        if len(roots) == 1 or answer[0] not in (404, 405):
            self._roots = roots[:1] if answer[0] else self._roots
            return answer
        other = self._send(method, roots[1] + path)
        if not other[0] or other[0] in (404, 405):
            return answer
        self._roots = roots[1:]
        return other

    def _send(self, method: str, url: str) -> tuple[int, bytes, str]:
        try:
            with self._http.stream(method, url, headers=self._profile.control.headers) as response:
                body = b""
                for part in response.iter_bytes():
                    body += part
                    if len(body) > LARGEST_ANSWER:
                        break
                return response.status_code, body, ""
        except httpx.ConnectError:
            return 0, b"", "connect"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return 0, b"", type(error).__name__


def _count(body: bytes) -> int:
    """The number in `{"count": n}`, -1 where there is none."""
    try:
        told = json.loads(body)["count"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return -1
    return told if type(told) is int and 0 <= told < 2**62 else -1
