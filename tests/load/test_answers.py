"""Reading answers, whatever their framing and however the network cuts them."""

import pytest

from scenarios.load.answers import LARGEST, LONGEST_HEAD, Answer, BrokenAnswerError, Reader, whole_answer

BODY = b'{"id": "c-1"}'
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n" + BODY
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'5\r\n{"id"\r\n8;x=y\r\n: "c-1"}\r\n0\r\nX-Trailer: 1\r\n\r\n'
)
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + PLAIN
UNTIL_CLOSED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + BODY


def read(data: bytes, step: int, *, ended: bool = False) -> Answer | None:
    """The answer when the bytes come in pieces of `step`, and the connection ends after them or stays open."""
    reader = Reader()
    for at in range(0, len(data), step):
        reader.feed(data[at : at + step])
    return reader.end() if ended and reader.answer is None else reader.complete()


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64, 10_000])
@pytest.mark.parametrize("data", [PLAIN, CHUNKED, INTERIM], ids=["length", "chunked", "interim"])
def test_an_answer_is_the_same_however_it_is_cut(data: bytes, step: int) -> None:
    answer = read(data, step)
    assert answer is not None
    assert (answer.head.status, answer.body, answer.extra, answer.head.keep) == (200, BODY, False, True)
    assert answer.head.content_type == "application/json"


@pytest.mark.parametrize("data", [PLAIN, CHUNKED, INTERIM], ids=["length", "chunked", "interim"])
def test_an_answer_that_stops_early_is_none(data: bytes) -> None:
    for cut in range(len(data)):
        assert read(data[:cut], 10_000) is None
        assert read(data[:cut], 10_000, ended=True) is None


def test_an_answer_without_length_ends_with_its_connection() -> None:
    assert read(UNTIL_CLOSED, 5) is None
    answer = read(UNTIL_CLOSED, 5, ended=True)
    assert answer is not None
    assert (answer.body, answer.head.keep) == (BODY, False)


@pytest.mark.parametrize("step", [1, 10_000])
@pytest.mark.parametrize("more", [b"x", b"HTTP/1.1 200 OK\r\n", PLAIN], ids=["byte", "start", "second answer"])
def test_bytes_after_the_end_are_noticed(more: bytes, step: int) -> None:
    answer = read(PLAIN + more, step)
    assert answer is not None
    assert (answer.body, answer.extra) == (BODY, True)


@pytest.mark.parametrize("status", [204, 304])
def test_some_statuses_have_no_body(status: int) -> None:
    answer = read(b"HTTP/1.1 %d X\r\n\r\n" % status, 1)
    assert answer is not None
    assert (answer.head.status, answer.body) == (status, b"")


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ],
    ids=["ssh", "tls", "status", "length", "both framings", "upgrade"],
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(BrokenAnswerError):
        read(data, 10_000)


def test_an_endless_body_is_given_up() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with pytest.raises(BrokenAnswerError, match="larger than 1024 KiB"):
        read(head + (b"10000\r\n" + b"x" * 65536 + b"\r\n") * (LARGEST // 65536 + 1), 65536)


def test_an_endless_head_is_given_up() -> None:
    with pytest.raises(BrokenAnswerError):
        read(b"HTTP/1.1 200 OK\r\n" + (b"X-More: " + b"y" * 990 + b"\r\n") * (LONGEST_HEAD // 1000 + 1), 1000)


def test_a_whole_answer_is_found_without_a_reader() -> None:
    answer = whole_answer(PLAIN)
    assert answer == read(PLAIN, 10_000)
    assert whole_answer(PLAIN) == answer  # the head is remembered now


@pytest.mark.parametrize("data", [PLAIN[:-1], PLAIN + b"x", CHUNKED, INTERIM, UNTIL_CLOSED, b"HTTP/1.1 200 OK\r\n"])
def test_anything_else_is_left_to_the_reader(data: bytes) -> None:
    assert whole_answer(data) is None
    assert whole_answer(data) is None


def test_a_body_of_wrong_length_is_not_taken_from_the_memory_of_heads() -> None:
    assert whole_answer(PLAIN) is not None
    assert whole_answer(PLAIN.replace(BODY, BODY + b" ")) is None
