"""The lean client against real sockets: what became of a call is told honestly, and nothing is sent twice."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from time import monotonic_ns

import pytest

from harness.history import Exchange, Recorder, read_history
from scenarios.load import green
from scenarios.load.client import Connection
from scenarios.load.desk import Desk
from scenarios.load.journal import Journal
from scenarios.load.rows import Call, Row
from scenarios.load.wire import Dialler
from tests.support.raw_server import Behaviour, closes_after, http, raw_server, replies

JSON = "Content-Type: application/json"
OK = http("200 OK", b'{"id": "c-1"}', JSON)


def call(ref: str = "r-1", more: str = "") -> Call:
    wire = f"POST /stepup/challenges/push/AUTHY HTTP/1.1\r\nHost: t\r\nidempotency-ref: {ref}\r\n{more}\r\n".encode()
    return Call("test", "load", "push", "valid", "200", "POST", 0, 0, "AUTHY", ref, wire)


class Bench:
    """Connections to one port, and a desk over them."""

    def __init__(self, folder: Path, port: int, connections: int = 1, timeout_s: float = 5.0) -> None:
        self.recorder = Recorder(folder, "load", "w0")
        self.journal = Journal(self.recorder)
        dialler = Dialler(f"http://127.0.0.1:{port}", None, 2.0)
        self.connections = [Connection(dialler, self.journal, timeout_s) for _ in range(connections)]
        self.desk = Desk()
        self.reaper = green.serve(self.desk.reap)
        for connection in self.connections:
            self.desk.add(connection)

    def ask(self) -> Exchange:
        return self.desk.ask(call())


@pytest.fixture
def seen() -> list[bytes]:
    return []


def counting(behaviour: Behaviour, seen: list[bytes]) -> Behaviour:
    def behave(connection: socket.socket, head: bytes) -> None:
        seen.append(head)
        behaviour(connection, head)

    return behave


def holds(release: threading.Event) -> Behaviour:
    """Answer nothing until released."""

    def behave(connection: socket.socket, _: bytes) -> None:
        release.wait(20)

    return behave


def resets(connection: socket.socket, _: bytes) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_an_answer_is_recorded_with_its_times(tmp_path: Path) -> None:
    with raw_server(replies(OK)) as port:
        bench = Bench(tmp_path, port)
        before = monotonic_ns()
        one = bench.ask()
        assert (one.status, one.outcome, one.challenge_id, one.error) == (200, "ok", "c-1", "")
        assert before <= one.intended <= one.sent < one.received <= monotonic_ns()


def test_one_connection_serves_many_calls(tmp_path: Path, seen: list[bytes]) -> None:
    with raw_server(counting(replies(OK), seen)) as port:
        bench = Bench(tmp_path, port)
        numbers = {bench.ask().connection for _ in range(20)}
        assert (len(numbers), len(seen), bench.journal.sent) == (1, 20, 20)


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        (closes_after(b""), "closed by the target"),
        (closes_after(OK[:40]), "closed by the target after 40 bytes"),
        (closes_after(OK[:-1]), f"closed by the target after {len(OK) - 1} bytes"),
        (resets, "read: "),
        (replies(b"not http at all\r\n\r\n"), "not HTTP"),
        (replies(http("200 OK", b"x" * 1_100_000)), "larger than 1024 KiB"),
    ],
    ids=["nothing", "half a head", "half a body", "reset", "not HTTP", "too much"],
)
def test_a_call_without_a_complete_answer_is_unknown_and_sent_once(
    tmp_path: Path, seen: list[bytes], behaviour: Behaviour, says: str
) -> None:
    with raw_server(counting(behaviour, seen)) as port:
        bench = Bench(tmp_path, port)
        one = bench.ask()
        assert (one.status, one.outcome) == (0, "unknown")
        assert says in one.error
        assert len(seen) == 1
        assert not bench.connections[0].open


def test_an_answer_that_never_comes_is_given_up(tmp_path: Path, seen: list[bytes]) -> None:
    release = threading.Event()
    with raw_server(counting(holds(release), seen)) as port:
        one = Bench(tmp_path, port, timeout_s=0.2).ask()
        release.set()
        assert (one.status, one.outcome, len(seen)) == (0, "unknown", 1)
        assert "timeout: no complete answer within 0.2 s" in one.error


def test_an_answer_that_never_ends_is_given_up(tmp_path: Path) -> None:
    def drips(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"1\r\nx\r\n")

    with raw_server(drips) as port:
        one = Bench(tmp_path, port, timeout_s=5.0).ask()
        assert (one.outcome, one.status) == ("unknown", 0)
        assert "larger than" in one.error


def test_a_kept_connection_that_the_target_closed_is_opened_anew_before_the_call(
    tmp_path: Path, seen: list[bytes]
) -> None:
    with raw_server(counting(closes_after(OK), seen)) as port:
        bench = Bench(tmp_path, port)
        ones = []
        for _ in range(5):
            ones.append(bench.ask())
            green.sleep(0.02)  # the close travels over loopback in microseconds; a late one would be told as unknown
        assert [one.outcome for one in ones] == ["ok"] * 5
        assert (len(seen), len({one.connection for one in ones})) == (5, 5)


def test_an_answer_that_says_close_ends_the_connection(tmp_path: Path) -> None:
    with raw_server(replies(http("200 OK", b'{"id": "c"}', JSON, "Connection: close"))) as port:
        bench = Bench(tmp_path, port)
        assert bench.ask().outcome == "ok"
        assert not bench.connections[0].open


def test_bytes_that_nobody_asked_for_close_an_idle_connection(tmp_path: Path) -> None:
    with raw_server(replies(OK + b"surprise")) as port:
        bench = Bench(tmp_path, port)
        one = bench.ask()
        assert one.outcome == "ok"
        if bench.connections[0].open:  # the rest came by itself
            green.sleep(0.05)
        assert not bench.connections[0].open


def test_a_refused_connection_is_no_unknown_outcome(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    bench = Bench(tmp_path, port)
    one = bench.ask()
    assert (one.outcome, one.status, one.connection) == ("refused", 0, -1)
    assert one.error.startswith("connect: ")


def test_calls_wait_for_a_connection_and_keep_their_intended_time(tmp_path: Path) -> None:
    with raw_server(replies(OK)) as port:
        bench = Bench(tmp_path, port, connections=1)
        done: list[Exchange] = []
        event = green.Event()
        due = monotonic_ns()

        def answered(one: Exchange) -> None:
            done.append(one)
            if len(done) == 10:
                event.set()

        for number in range(10):
            bench.desk.fire(call(), answered, due + number)
        assert bench.desk.backlog() == 9
        event.wait(5)
        assert [one.intended - due for one in done] == list(range(10))
        assert all(one.sent >= one.intended for one in done)


def test_calls_together_go_over_different_connections(tmp_path: Path, seen: list[bytes]) -> None:
    with raw_server(counting(replies(OK), seen)) as port:
        bench = Bench(tmp_path, port, connections=8)
        exchanges = bench.desk.together([call()] * 8)
        assert len({one.connection for one in exchanges}) == 8
        assert max(one.sent for one in exchanges) < min(one.received for one in exchanges)
        assert len(seen) == 8


def test_more_calls_together_than_connections_are_all_answered(tmp_path: Path) -> None:
    with raw_server(replies(OK)) as port:
        bench = Bench(tmp_path, port, connections=3)
        exchanges = bench.desk.together([call(f"r{n}") for n in range(10)])
        assert [one.ref for one in exchanges] == [f"r{n}" for n in range(10)]
        assert bench.desk.idle() == 3


@pytest.mark.parametrize("reset", [True, False])
def test_a_call_that_is_cut_off_is_unknown(tmp_path: Path, seen: list[bytes], reset: bool) -> None:
    release = threading.Event()
    with raw_server(counting(holds(release), seen)) as port:
        bench = Bench(tmp_path, port)
        one = bench.desk.cut(call(), 0.05, reset=reset)
        release.set()
        assert (one.outcome, one.status) == ("unknown", 0)
        assert one.error.startswith("closed by us before the answer")
        assert bench.desk.idle() == 1


def test_a_stopped_desk_sends_nothing_and_counts_what_was_due(tmp_path: Path, seen: list[bytes]) -> None:
    with raw_server(counting(replies(OK), seen)) as port:
        bench = Bench(tmp_path, port)
        bench.desk.drain(0.0)
        bench.desk.fire(call(), lambda _: None)
        assert (bench.desk.unsent, seen, bench.journal.sent) == (1, [], 0)


def test_draining_waits_for_answers_under_way(tmp_path: Path) -> None:
    release = threading.Event()

    def waits(connection: socket.socket, _: bytes) -> None:
        release.wait(20)
        connection.sendall(OK)

    with raw_server(waits) as port:
        bench = Bench(tmp_path, port)
        done: list[Exchange] = []
        bench.desk.fire(call(), done.append)
        threading.Timer(0.1, release.set).start()
        bench.desk.drain(10.0)
        assert [one.outcome for one in done] == ["ok"]


def test_a_stream_keeps_every_connection_busy_but_those_in_reserve(tmp_path: Path) -> None:
    with raw_server(replies(OK)) as port:
        bench = Bench(tmp_path, port, connections=4)
        bench.desk.reserve = 1
        rows: list[Row] = []
        calls = iter([call(f"r{n}") for n in range(30)])
        enough = green.Event()

        def answered(row: Row) -> None:
            rows.append(row)
            if len(rows) == 30:
                enough.set()

        stream = bench.desk.stream(lambda: next(calls, None), answered)
        assert bench.desk.idle() == 1
        assert enough.wait(10)
        stream.ended = True
        green.sleep(0)
        assert sorted(row.call.ref or "" for row in rows) == sorted(f"r{n}" for n in range(30))
        assert len({row.connection for row in rows}) == 3
        assert bench.desk.idle() == 4


def test_a_call_that_waits_goes_before_the_next_one_of_a_stream(tmp_path: Path) -> None:
    with raw_server(replies(OK)) as port:
        bench = Bench(tmp_path, port)
        order: list[str | None] = []
        asked = green.Event()

        def asks(_: Exchange) -> None:
            order.append("asked")
            asked.set()

        def choose() -> Call | None:
            return None if asked.is_set() else call("streamed")

        stream = bench.desk.stream(choose, lambda row: order.append(row.call.ref))
        green.sleep(0)  # the stream has the only connection
        bench.desk.fire(call("asked"), asks)
        assert asked.wait(10)
        stream.ended = True
        assert order[-1] == "asked"
        assert bench.journal.sent == len(order)


def test_a_stream_goes_on_after_its_connections_are_closed(tmp_path: Path, seen: list[bytes]) -> None:
    with raw_server(counting(closes_after(OK), seen)) as port:
        bench = Bench(tmp_path, port, connections=2)
        calls = iter([call(f"r{n}") for n in range(10)])
        rows: list[Row] = []
        bench.desk.stream(lambda: next(calls, None), rows.append)
        with green.Timeout(10):
            while len(rows) < 10:
                green.sleep(0.01)
        # A close that comes after the next call was written leaves that one unknown; none is sent twice.
        assert {row.said.outcome for row in rows} <= {"ok", "unknown"}
        assert len(seen) <= 10


@pytest.mark.parametrize("cut", [1, 30, len(OK) - 1])
def test_an_answer_that_was_known_whole_is_read_as_well_when_it_comes_in_parts(tmp_path: Path, cut: int) -> None:
    whole = [True]

    def answers(connection: socket.socket, _: bytes) -> None:
        if whole[0]:
            connection.sendall(OK)
            return
        connection.sendall(OK[:cut])
        time.sleep(0.02)
        connection.sendall(OK[cut:])

    with raw_server(answers) as port:
        bench = Bench(tmp_path, port)
        first, second = bench.ask(), bench.ask()
        whole[0] = False
        third = bench.ask()
    told = [(one.status, one.challenge_id, one.body_fault, one.connection) for one in (first, second, third)]
    assert told == [told[0]] * 3


def test_what_was_recorded_is_what_was_told(tmp_path: Path) -> None:
    odd = http("500 Broken", b"<html>", "Content-Type: text/html")
    answers = [OK, OK, odd, OK, http("429 Slow", b"", "Retry-After: 3")]

    def behave(connection: socket.socket, _: bytes) -> None:
        connection.sendall(answers.pop(0))

    with raw_server(behave) as port:
        bench = Bench(tmp_path, port)
        told = [bench.desk.ask(call(f"r{n}")) for n in range(5)]
    bench.journal.flush()
    bench.recorder.close(sent=bench.journal.sent)
    frame = read_history(tmp_path).frame
    start = told[0].intended  # a reader counts time from the first row
    for column in Exchange._fields:
        since = start if column in ("intended", "sent", "received") else 0
        recorded = [None if value != value else value + since if since else value for value in frame[column].tolist()]
        assert recorded == [getattr(one, column) for one in told], column


def test_a_long_request_is_written_in_parts(tmp_path: Path) -> None:
    got: list[int] = []

    def counts(connection: socket.socket, head: bytes) -> None:
        got.append(len(head))
        connection.sendall(OK)

    with raw_server(counts) as port:
        bench = Bench(tmp_path, port)
        long = call(more="".join(f"x-{n}: {'y' * 4000}\r\n" for n in range(500)))
        one = bench.desk.ask(long)
        assert one.outcome == "ok"
        assert got == [len(long.wire) - 4]


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    yield
    green.end_all()
