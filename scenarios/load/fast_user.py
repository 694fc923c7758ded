"""The fallback: Locust's own FastHttpUser sends, and its exchanges are recorded like those of the lean client."""

from time import monotonic_ns
from typing import Any, ClassVar
from urllib.parse import urlsplit

import gevent.ssl as gevent_ssl
from locust import FastHttpUser, task

from harness.profile import Profile
from scenarios.load import green
from scenarios.load.answers import LARGEST, Answer, Head
from scenarios.load.client import Connection, Done
from scenarios.load.journal import Journal
from scenarios.load.rows import Call

_ssl: Any = gevent_ssl


class FastConnection(Connection):
    """A connection of a FastHttpUser. It can be told neither to open, nor to reset, nor which bytes to send."""

    def __init__(self, user: Any, journal: Journal, timeout_s: float, number: int) -> None:
        super().__init__(None, journal, timeout_s)
        self.number = number
        self._client = user.client
        self._origin = "{0.scheme}://{0.netloc}".format(urlsplit(user.host))
        self._event = user.environment.events.request
        self._running: Any = None

    @property
    def open(self) -> bool:
        return True

    def warm(self) -> bool:
        return True

    def connect(self) -> str:
        return ""

    def send(self, call: Call, done: Done, intended: int = 0) -> None:
        """Send a call in a greenlet of its own; `done` is called with its exchange later."""
        assert self.call is None
        self.call, self._done = call, done
        self._sent = monotonic_ns()
        self._intended = intended or self._sent
        self._deadline = self._sent + self._timeout_ns
        self._running = green.serve(self._request, call)

    def close(self, *, reset: bool = False) -> None:  # noqa: ARG002  Locust's client cannot reset
        self._client.client.close()

    def _request(self, call: Call) -> None:
        path, headers = _parsed(call.wire)
        with self._client.request(
            call.method,
            self._origin + path,
            name=call.scenario,
            headers=headers,
            catch_response=True,
            allow_redirects=False,
        ) as response:
            status = response.status_code
            if 0 < status < 500:
                response.success()
            elif status:
                response.failure(f"status {status}")
        self._running, self._last = None, monotonic_ns()
        if not status:
            self._finish(None, f"{type(response.error).__name__}: {response.error}"[:120])
            return
        body = response.content or b""
        too_large = len(body) > LARGEST
        fields = tuple((str(name).lower(), str(value)) for name, value in response.headers.items())
        first = dict(reversed(fields))
        head = Head(status, len(body), True, first.get("content-type", ""), first.get("retry-after"), fields)
        self._finish(None if too_large else Answer(head, body, False), "answer larger than 1 MiB" if too_large else "")

    def _finish(
        self, answer: Answer | None, error: str, whole: bytes = b"", *, written: bool = True, reset: bool = False
    ) -> None:
        running, self._running = self._running, None
        if running is not None and not self._give_up(running, error):
            return
        super()._finish(answer, error, whole, written=written, reset=reset)

    def _give_up(self, running: Any, error: str) -> bool:
        """End a request; False when it was answered at the last moment. Locust's client tells no statistics of it."""
        call = self.call
        running.kill()
        if call is None or self.call is not call:
            return False
        self._event.fire(
            request_type=call.method, name=call.scenario, response_time=(monotonic_ns() - self._sent) / 1e6,
            response_length=0, exception=TimeoutError(error), context={},
        )  # fmt: skip
        return True


class FastUser(FastHttpUser):
    """A user that sends by Locust's FastHttpUser."""

    process: ClassVar[Any]
    by_locust: ClassVar[bool] = True
    insecure = False

    def on_start(self) -> None:
        """Bring a connection."""
        self._connection = self.process.adopt(
            lambda journal, timeout_s, number: FastConnection(self, journal, timeout_s, number)
        )

    def on_stop(self) -> None:
        """Take the connection away again."""
        self.process.disconnect(self._connection)

    @task
    def stay(self) -> None:
        """Be there until Locust ends this user."""
        green.Event().wait()

    @classmethod
    def prepare(cls, profile: Profile, timeout_s: float) -> None:
        """Check certificates as the lean client does, and wait as long."""
        cls.network_timeout = cls.connection_timeout = timeout_s
        cls.ssl_context_factory = staticmethod(lambda: _ssl.create_default_context(cafile=profile.target.ca_file))


def _parsed(wire: bytes) -> tuple[str, dict[str, str]]:
    """Path below the host and headers of prebuilt request bytes."""
    line, *rest = wire.decode("latin-1").strip().split("\r\n")
    fields = dict(one.split(": ", 1) for one in rest)
    return line.split(" ")[1], {name: value for name, value in fields.items() if name not in ("Host", "Content-Length")}
