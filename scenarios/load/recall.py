"""Knows again the bytes of plain answers that were read before, so that they need no parser a second time."""

from typing import Final

from scenarios.load.answers import Answer
from scenarios.load.rows import Said

MOST: Final = 8192  # answers remembered; replays bring the same ones again and again
LONGEST: Final = 1024  # bytes of one that is: all together take a few megabytes


class Recall:
    """What whole answers said that depend on nothing but their own bytes: 200, in good form, of a known length.

    Head and body are looked up apart, as a date changes the one and a challenge the other.
    """

    def __init__(self) -> None:
        self._learned = 0
        self._heads: dict[bytes, tuple[int, dict[bytes, Said]]] = {}  # length of the body, and what bodies say
        self._bodies: dict[tuple[str, str | None], dict[bytes, Said]] = {}

    def said(self, data: bytes) -> Said | None:
        """What this answer says; None where it must be read."""
        end = data.find(b"\r\n\r\n") + 4
        known = self._heads.get(data[:end])
        if known is None or known[0] != len(data) - end:
            return None
        return known[1].get(data[end:])

    def learn(self, data: bytes, answer: Answer, said: Said) -> None:
        """`data` was this answer, whole and alone."""
        head = answer.head
        if head.status != 200 or said.body_fault or not head.keep or len(data) > LONGEST:
            return
        if self._learned >= MOST:
            self._learned = 0
            self._heads.clear()
            self._bodies.clear()
        self._learned += 1
        bodies = self._bodies.setdefault((head.content_type, head.retry_after), {})  # all that matters of a head
        bodies[answer.body] = said
        self._heads[data[: len(data) - head.length]] = (head.length, bodies)
