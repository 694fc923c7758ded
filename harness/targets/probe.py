"""Looks at a target before anything else is sent: is it there, does it speak HTTP, does it take the credentials?"""

import socket
import ssl
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import httpx

from harness.answer import read_answer
from harness.case import allowed_for, push_path
from harness.errors import ExitCode, HarnessError
from harness.history.columns import Exchange, outcome_of
from harness.history.recorder import Recorder
from harness.pool import User
from harness.profile import Profile
from harness.spec import load_spec

TIMEOUT_S: Final = 10.0
LARGEST_ANSWER: Final = 1024 * 1024  # bytes; the operation's answers are below 1 kB
USERS_TRIED: Final = 5
NO_CHANNEL: Final = "PROBE"  # outside the document's enum: a correct target answers 400 and does nothing


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: httpx.Headers
    body: bytes


class Probe:
    """Sends a few requests one at a time, each recorded; `sent` counts them."""

    def __init__(self, profile: Profile, recorder: Recorder) -> None:
        self.sent = 0
        self._profile = profile
        self._recorder = recorder
        verify = str(profile.target.ca_file) if profile.target.ca_file else True
        self._http = httpx.Client(timeout=TIMEOUT_S, verify=verify, trust_env=False)

    def run(self) -> None:
        """Return when the target can be tested; HarnessError with exit code 5 where it cannot."""
        users = self._users()
        statuses = [self.ask(user, NO_CHANNEL, "channel-unknown").status for user in users]
        if any(status not in (401, 403, 404) and not 300 <= status < 400 for status in statuses):
            return
        # That was no proof: a target that errs about channels may still serve. One real request each decides.
        real = [self.ask(user, user.usable[0], "valid") for user in users]
        self._refuse(real, users)

    def reachable(self) -> bool:
        """Whether anybody listens at the target's address still; sends nothing."""
        parts = urlsplit(self._profile.target.base_url)
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            socket.create_connection((parts.hostname or "", port), TIMEOUT_S).close()
        except OSError:
            return False
        return True

    def close(self) -> None:
        self._http.close()

    def _users(self) -> list[User]:
        """A few usable users, from different programmes where there are several."""
        usable = [user for user in self._profile.pool.active if user.usable]
        first = {user.programme: user for user in reversed(usable)}
        return [*first.values(), *(user for user in usable if user not in first.values())][:USERS_TRIED]

    def _refuse(self, real: list[_Answer], users: list[User]) -> None:
        statuses = {answer.status for answer in real}
        base = self._profile.target.base_url
        if statuses <= {401, 403}:
            told = ", ".join(str(status) for status in sorted(statuses))
            raise HarnessError(
                f"the target at {base} refused the credentials of {len(users)} active users (status {told})",
                hint="Check tokens and api-keys in the credentials pool: they may have expired.",
                code=ExitCode.UNREACHABLE,
            )
        if statuses == {404}:
            raise HarnessError(
                f"the target at {base} answers 404 to {load_spec().method} {load_spec().template}",
                hint="Check target.base_url in the profile, above all its path prefix.",
                code=ExitCode.UNREACHABLE,
            )
        if all(300 <= status < 400 for status in statuses):
            where = real[0].headers.get("location", "nowhere")
            raise HarnessError(
                f"the target at {base} redirects every request, to {where[:120]!r}",
                hint="Name the address it redirects to as target.base_url; redirects are not followed.",
                code=ExitCode.UNREACHABLE,
            )

    def ask(self, user: User, channel: str, intent: str, ref: str | None = None, scenario: str = "probe") -> _Answer:
        """Send one request and record it; HarnessError where it has no proper answer."""
        spec = load_spec()
        headers = {
            "Authorization": f"Bearer {user.token}",
            spec.key_header: user.api_key,
            "Accept-Encoding": "identity",
        }
        if ref is not None:
            headers[spec.ref_header] = ref
        url = self._profile.target.base_url + push_path(channel)
        sent = time.monotonic_ns()
        self.sent += 1
        try:
            answer, error = self._send(spec.method, url, headers), None
        except HarnessError as failed:
            answer, error = _Answer(0, httpx.Headers(), b""), failed
        self._record(user, channel, intent, ref, scenario, sent, answer, error)
        if error:
            raise error
        return answer

    def _record(
        self, user: User, channel: str, intent: str, ref: str | None, scenario: str, sent: int, answer: _Answer,
        error: HarnessError | None,
    ) -> None:  # fmt: skip
        read = read_answer(answer.status, answer.headers.get("content-type", ""), answer.body)
        self._recorder.add(
            Exchange(
                scenario=scenario, case=scenario, operation="push", intent=intent,
                allowed=",".join(allowed_for(intent, self._profile)), method=load_spec().method, user=user.index,
                key=user.key, channel=channel, ref=ref, intended=sent, sent=sent, received=time.monotonic_ns(),
                status=answer.status, outcome=outcome_of(answer.status), error_code=read.error_code,
                challenge_id=read.challenge_id, retry_after=answer.headers.get("retry-after"),
                body_fault=read.fault if answer.status else "", error="" if error is None else "probe failed",
                connection=-1, headers=None, body=answer.body[:2048].decode("utf-8", "replace"), told=0,
            )
        )  # fmt: skip

    def _send(self, method: str, url: str, headers: dict[str, str]) -> _Answer:
        """One request; every way in which it can fail becomes an error that says what to do."""
        base = self._profile.target.base_url
        deadline = time.monotonic() + TIMEOUT_S
        try:
            with self._http.stream(method, url, headers=headers) as response:
                return _Answer(response.status_code, response.headers, _read(response, deadline))
        except httpx.TimeoutException as error:
            problem, hint = (
                f"did not answer within {TIMEOUT_S:.0f} s",
                "Is the target overloaded, or the port another's?",
            )
            raise self._unreachable(problem, hint) from error
        except httpx.ConnectError as error:
            tls = isinstance(_root(error), ssl.SSLError) or "SSL" in str(error)
            hint = "Check its certificate; target.ca_file in the profile names one to trust." if tls else (
                "Is it running? Check host and port in target.base_url."
            )  # fmt: skip
            raise self._unreachable(f"cannot be reached: {str(error)[:160]}", hint) from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            problem = f"does not speak HTTP properly: {str(error)[:160] or type(error).__name__}"
            raise self._unreachable(problem, f"Is something else listening at {base}?") from error

    def _unreachable(self, problem: str, hint: str) -> HarnessError:
        message = f"the target at {self._profile.target.base_url} {problem}"
        return HarnessError(message, hint=hint, code=ExitCode.UNREACHABLE)


def _read(response: httpx.Response, deadline: float) -> bytes:
    body = b""
    for part in response.iter_raw():
        body += part
        if len(body) > LARGEST_ANSWER:
            raise ValueError(f"its answer is larger than {LARGEST_ANSWER // 2**20} MiB")
        if time.monotonic() > deadline:
            raise ValueError(f"its answer did not end within {TIMEOUT_S:.0f} s")
    return body


def _root(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error
