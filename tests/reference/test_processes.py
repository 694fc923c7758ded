"""The service as processes: one challenge for one operation, whatever becomes of workers, callers and restarts."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.errors import HarnessError
from harness.profile import load_profile
from harness.reference.server import Server
from harness.reference.settings import Settings
from tests.reference.client import OPERATION, Client, Users

OPEN = Settings(rate_count=None, challenge_count=None)
Row = dict[str, Any]
LIMIT_S = 60.0  # of one operation; the machine may be busy with other things


def users_of(server: Server) -> Users:
    return Users(json.loads((server.directory / "users.json").read_text()))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(OPEN, tmp_path_factory.mktemp("service")) as server:
        yield server


def together(
    base_url: str, many: int, jobs: list[tuple[Row, str, str]], each: Callable[[int], None] = lambda _: None
) -> dict[tuple[str, str, str], set[str]]:
    """Send each job from `many` connections at once, again until it is answered; the ids that each operation got.

    Each connection begins with another job, so that several are under way. The first one calls `each` with the number
    of jobs that it has behind it.
    """
    found: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    start = threading.Barrier(many)

    def connection(number: int) -> None:
        client = Client(base_url)
        start.wait(20)
        first = number * len(jobs) // many
        for place, (user, channel, ref) in enumerate(jobs[first:] + jobs[:first]):
            if number == 0:
                each(place)
            found[user["token"], channel, ref].add(until_answered(client, user, channel, ref))
        client.close()

    with ThreadPoolExecutor(many) as pool:
        list(pool.map(connection, range(many)))
    return found


def until_answered(client: Client, user: Row, channel: str, ref: str) -> str:
    """The id of an operation, asked for again after each connection that was cut."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        try:
            return client.push(user, channel, ref).id
        except (OSError, HTTPException):
            client.close()
    raise AssertionError("never answered")


def test_concurrent_duplicates_get_one_challenge_and_one_push(server: Server) -> None:
    users = users_of(server).both
    control = Client(server.base_url)
    before = control.pushes()
    with ExitStack() as stack:
        connections = [stack.enter_context(connect(server)) for _ in range(8)]
        assert released(connections, wire(users[0], "AUTHY", "warm"))
        found = [
            released(connections, wire(users[n % 20], ("AUTHY", "BIOMETRIC")[n % 2], f"burst {n}")) for n in range(300)
        ]
    assert [len(ids) for ids in found] == [1] * 300
    assert len(set().union(*found)) == 300
    assert control.pushes() - before == 301


def connect(server: Server) -> socket.socket:
    host, port = server.base_url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def wire(user: Row, channel: str, ref: str) -> bytes:
    return (
        f"POST {OPERATION}{channel} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {user['token']}\r\n"
        f"api-key: {user['api_key']}\r\nidempotency-ref: {ref}\r\n\r\n"
    ).encode()


def released(connections: list[socket.socket], request: bytes) -> set[str]:
    """Write the same bytes to all connections, microseconds apart; the ids that come back."""
    for connection in connections:
        connection.sendall(request)
    found = set()
    for connection in connections:
        received = b""
        while not received.endswith(b"}"):
            received += connection.recv(4096)
        found.add(json.loads(received.partition(b"\r\n\r\n")[2])["id"])
    return found


def test_both_workers_serve(server: Server) -> None:
    """Otherwise nothing here shows anything about several processes."""
    clients = callers_of_all(server)
    user = users_of(server).both[0]
    assert {client.push(user).status for client in clients} == {200}
    port = int(server.base_url.rsplit(":", 1)[1])
    with_callers = {
        pid for pid in server.pids
        if any(c.laddr.port == port and c.raddr for c in psutil.Process(pid).net_connections("tcp"))
    }  # fmt: skip
    assert with_callers == set(server.pids)


def test_workers_killed_under_load_leave_every_operation_with_one_challenge(tmp_path: Path) -> None:
    with Server(OPEN, tmp_path) as server:
        users = users_of(server).both
        jobs = [(users[n % 20], "AUTHY", f"kill {n}") for n in range(240)]
        killed: list[int] = []

        def kill(answered: int) -> None:
            """Now and then: both workers have answered some by then, and are at work on those of other connections."""
            alive = server.pids
            if answered % 40 == 20 and alive:
                killed.append(alive[len(killed) % len(alive)])
                os.kill(killed[-1], signal.SIGKILL)

        found = together(server.base_url, 8, jobs, each=kill)

        assert len(killed) >= 3  # of 6 tries: a worker that is not back yet cannot be killed again
        assert [len(ids) for ids in found.values()] == [1] * 240
        assert Client(server.base_url).pushes() == len(set().union(*found.values())) == 240


def test_refs_outlive_a_restart(tmp_path: Path) -> None:
    ids = []
    for _ in range(2):
        with Server(OPEN, tmp_path) as server:
            user = users_of(server).both[0]
            client = Client(server.base_url)
            ids.append([client.push(user, "AUTHY", "kept").id, client.push(user, "BIOMETRIC", "kept").id])
            client.close()
    assert ids[0] == ids[1]
    assert ids[0][0] != ids[0][1]


def test_a_caller_that_leaves_still_gets_exactly_one_challenge(server: Server) -> None:
    user = users_of(server).both[3]
    control = Client(server.base_url)
    before = control.pushes()
    for n in range(40):
        with connect(server) as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # closes with a reset
            caller.sendall(wire(user, "AUTHY", f"left {n}"))
    ids = {control.push(user, "AUTHY", f"left {n}").id for n in range(40)}
    assert len(ids) == 40
    assert control.pushes() - before == 40


def test_what_it_writes_is_a_profile_that_nobody_else_can_read(server: Server) -> None:
    profile = load_profile(server.profile_path)
    assert profile.target.base_url == server.base_url
    assert len(profile.pool.users) == OPEN.users
    assert (server.directory / "service.db-wal").exists()
    for path in [server.profile_path, server.directory / "users.json", *server.directory.glob("service.db*")]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_port_in_use_is_said_so(server: Server, tmp_path: Path) -> None:
    port = int(server.base_url.rsplit(":", 1)[1])
    with pytest.raises(HarnessError, match=f"cannot listen at 127.0.0.1:{port}"), Server(Settings(port=port), tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HarnessError, match=r"folder .*file/service"), Server(OPEN, tmp_path / "file" / "service"):
        pass


def test_workers_end_with_their_supervisor(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom harness.reference.server import Server\n"
        "from harness.reference.settings import Settings\n"
        "with Server(Settings(), Path(sys.argv[1])) as server:\n"
        "    print(*server.pids, flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        workers = [psutil.Process(int(pid)) for pid in supervisor.stdout.readline().split()]
        supervisor.kill()
    assert len(workers) == Settings().workers
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert alive == []


@pytest.mark.parametrize(
    ("fault", "limits", "expected"),
    [("refs-per-worker", {}, {1}), ("rate-per-worker", {"rate_count": 6}, {6}),
     ("challenges-per-worker", {"challenge_count": 6}, {6})],
)  # fmt: skip
def test_what_each_worker_keeps_to_itself_is_seen_over_several_connections(
    tmp_path: Path, fault: str, limits: dict[str, Any], expected: set[int]
) -> None:
    found = [served_by_all(Server(replace(OPEN, fault=name, **limits), tmp_path / str(name)), fault)
             for name in (None, fault)]  # fmt: skip
    assert found[0] in expected
    assert found[1] not in expected


def served_by_all(service: Server, fault: str) -> int:
    """How many ids a ref, or how many challenges a user, gets over connections to all workers."""
    with service as server:
        user = users_of(server).both[0]
        clients = callers_of_all(server)
        answers = [client.push(user, ref="ref" if fault == "refs-per-worker" else None) for client in clients]
        for client in clients:
            client.close()
    return len({answer.id for answer in answers if answer.status == 200})


SHARE = 4  # connections that each worker has at least
MOST = 400  # connections until then


def callers_of_all(server: Server) -> list[Client]:
    """Clients with open connections to every worker; which of them takes one is up to the kernel."""
    clients: list[Client] = []
    while len(clients) < 16 or min(map(connections_of, server.pids)) < SHARE:
        assert len(clients) < MOST, "one of the workers takes no connections"
        clients.append(Client(server.base_url))
        clients[-1].pushes()
    return clients


def connections_of(pid: int) -> int:
    return sum(one.status == psutil.CONN_ESTABLISHED for one in psutil.Process(pid).net_connections("tcp"))
