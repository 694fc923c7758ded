"""A plain HTTP client for tests of the service, and the users of its pool by what is special about them."""

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

OPERATION = "/stepup/challenges/push/"


@dataclass(frozen=True)
class Answer:
    """What came back; `body` is read where it is JSON."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def id(self) -> str:
        assert self.status == 200, self
        return str(self.body["id"])

    @property
    def code(self) -> str:
        """The errorCode of a conflict."""
        assert self.status == 409, self
        return str(self.body["errorCode"])


class Client:
    """One persistent connection."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self._prefix = parts.path
        self._http = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)

    def push(self, user: dict[str, Any], channel: str = "AUTHY", ref: str | None = None, **headers: str) -> Answer:
        """Ask for a challenge as `user`; `headers` replace or add to what is sent, with _ for -."""
        sent = {"authorization": f"Bearer {user['token']}", "api-key": user["api_key"]}
        if ref is not None:
            sent["idempotency-ref"] = ref
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send("POST", f"{self._prefix}{OPERATION}{channel}", {k: v for k, v in sent.items() if v != "-"})

    def control(self, call: str) -> Answer:
        method, path = call.split(" ")
        return self.send(method, path, {})

    def settle(self, challenge: str, verb: str = "accept") -> Answer:
        return self.control(f"POST /simulate/challenges/{challenge}/{verb}")

    def pushes(self) -> int:
        return int(self.control("GET /simulate/pushes").body["count"])

    def send(self, method: str, path: str, headers: dict[str, str]) -> Answer:
        self._http.request(method, path, headers=headers)
        response = self._http.getresponse()
        body = response.read()
        told = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, told, _read(body))

    def close(self) -> None:
        self._http.close()


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body


class Users:
    """The pool of a service, by kind."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        self.active = [row for row in rows if row["state"] == "active" and "unsupported" not in row]
        self.both = [row for row in self.active if len(row["channels"]) == 2]

    def one(self, **wanted: Any) -> dict[str, Any]:
        """The first user with these properties."""
        return next(row for row in self.rows if all(row.get(name) == value for name, value in wanted.items()))

    def twice(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Two logins of one person."""
        for place, row in enumerate(self.both):
            for other in self.both[place + 1 :]:
                if other["user"] == row["user"]:
                    return row, other
        raise LookupError("nobody is logged in twice")
