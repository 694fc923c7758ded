"""Locust's users: each stands for one persistent connection, which the scenarios share through the desk."""

from typing import Any, ClassVar

from locust import User, task

from harness.profile import Profile
from scenarios.load import green


class LeanUser(User):
    """A user whose connection speaks HTTP by itself: prebuilt requests, one record an exchange."""

    process: ClassVar[Any]
    by_locust: ClassVar[bool] = False  # whether Locust counts this user's requests by itself

    def on_start(self) -> None:
        """Bring a connection."""
        self._connection: Any = self.process.connect()

    def on_stop(self) -> None:
        """Take the connection away again."""
        self.process.disconnect(self._connection)

    @task
    def stay(self) -> None:
        """Be there until Locust ends this user; what is sent meanwhile is for the scenarios to say."""
        green.Event().wait()

    @classmethod
    def prepare(cls, profile: Profile, timeout_s: float) -> None:
        """Called before a turn: how certificates are checked, and how long an answer is waited for."""


def user_class(fast_http: bool) -> Any:
    """The class of the users that send."""
    if not fast_http:
        return LeanUser
    from scenarios.load.fast_user import FastUser

    return FastUser
