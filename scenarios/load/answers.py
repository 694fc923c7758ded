"""Finds the answer in the bytes that a target sends, whatever their framing and however they are cut."""

from typing import Final, NamedTuple

import httptools

LARGEST: Final = 1024 * 1024  # bytes of one answer; the operation's answers are below 1 kB
LONGEST_HEAD: Final = 64 * 1024
_REMEMBERED: Final = 1024  # heads; most servers send the same one all second long


class Head(NamedTuple):
    """Status line and headers. `length` of the body, -1 where only the parser can tell; `keep`: it may be reused."""

    status: int
    length: int
    keep: bool
    content_type: str
    retry_after: str | None
    headers: tuple[tuple[str, str], ...]


class Answer(NamedTuple):
    """A complete answer. `extra`: bytes came after its end that belong to nothing."""

    head: Head
    body: bytes
    extra: bool


class BrokenAnswerError(Exception):
    """What came is not HTTP, or more than anyone needs; the message says which."""


_heads: dict[bytes, Head] = {}


def whole_answer(data: bytes) -> Answer | None:
    """The answer when `data` is exactly one with a Content-Length; None when a `Reader` must look at it.

    That is nearly every answer under load, and its head is nearly always one that was parsed before.
    """
    end = data.find(b"\r\n\r\n") + 4
    if end < 4:
        return None
    head = _heads.get(data[:end]) or _remember(data[:end])
    if head.length == len(data) - end and head.status >= 200:
        return Answer(head, data[end:], False)
    return None


def _remember(raw: bytes) -> Head:
    reader = Reader()
    reader.feed(raw)
    head = reader.head
    if head is None:  # an interim answer; what follows decides
        return Head(0, -1, False, "", None, ())
    if len(_heads) >= _REMEMBERED:
        _heads.clear()
    _heads[raw] = head
    return head


class Reader:
    """Reads one answer in parts: feed it bytes until `answer` is not None, or `end` it when the connection ends."""

    def __init__(self) -> None:
        self.head: Head | None = None
        self.answer: Answer | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []
        self._size = 0
        self._extra = False

    def feed(self, data: bytes) -> None:
        """Take what came; BrokenAnswerError when it is no answer or too much."""
        self._size += len(data)
        if self.answer is not None:
            self._extra = self._extra or bool(data)
            return
        if self._size > LARGEST or (self.head is None and self._size > LONGEST_HEAD):
            raise BrokenAnswerError(f"answer larger than {(LARGEST if self.head else LONGEST_HEAD) // 1024} KiB")
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as error:
            raise BrokenAnswerError("answer switches protocols, which nobody asked for") from error
        except httptools.HttpParserError as error:
            if self.answer is None:
                raise BrokenAnswerError(f"not HTTP: {str(error)[:80] or type(error).__name__}") from error
            self._extra = True  # the answer is complete, what follows it is no other answer

    def end(self) -> Answer | None:
        """The connection has ended: the answer, when its end was only marked so; None when it was cut off."""
        if self.answer is None and self.head is not None and self.head.length < 0 and not self._chunked():
            self.answer = Answer(self.head._replace(keep=False), b"".join(self._body), False)
        return self.answer

    @property
    def taken(self) -> int:
        """Bytes that came so far."""
        return self._size

    def _chunked(self) -> bool:
        return any(name == "transfer-encoding" for name, _ in self._headers)

    # httptools calls these.
    def on_message_begin(self) -> None:
        if self.answer is None:
            self._headers, self._body = [], []
        else:
            self._extra = True

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self.answer is None and status >= 200:
            self.head = _head(status, self._headers, keep=self._parser.should_keep_alive())

    def on_body(self, body: bytes) -> None:
        if self.answer is None:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self.answer is None and self.head is not None:
            self.answer = Answer(self.head, b"".join(self._body), False)

    def complete(self) -> Answer | None:
        """The answer; None when it is not complete."""
        return self.answer and self.answer._replace(extra=self._extra)


def _head(status: int, headers: list[tuple[str, str]], *, keep: bool) -> Head:
    first: dict[str, str] = {}
    for name, value in headers:
        first.setdefault(name, value)
    length = first.get("content-length", "")
    plain = length.isascii() and length.isdigit() and "transfer-encoding" not in first
    if status in (204, 304):
        plain, length = True, "0"
    return Head(
        status, int(length) if plain else -1, keep, first.get("content-type", ""), first.get("retry-after"),
        tuple(headers),
    )  # fmt: skip
