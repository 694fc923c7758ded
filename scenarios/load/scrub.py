"""Tells fast that no secret stands in a text: the recorder asks it for every batch, between two requests."""

from collections.abc import Iterable
from typing import Final

from harness.redact import Redactor

BLOCK: Final = 6  # characters looked up at once
LONG: Final = 2 * BLOCK - 1  # a text that holds so many characters in a row holds a whole aligned block of them


class Scrub(Redactor):
    """A redactor whose `holds` costs one look-up for every few characters, however many secrets there are.

    The text is cut into blocks of six characters. A form of eleven or more characters covers at least one of them
    whole, wherever it stands, so a text none of whose blocks occurs in the first eleven characters of any form holds
    none. Shorter forms, and texts in which a block was found, are left to the exact search.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__(secrets)
        forms = list(self._number)
        self._blocks = frozenset(
            form[start : start + BLOCK] for form in forms for start in range(BLOCK) if len(form) >= LONG
        )
        self._short = tuple(form for form in forms if len(form) < LONG)

    def holds(self, text: str) -> bool:
        """Whether any secret stands in the text."""
        blocks = self._blocks
        possible = any(text[at : at + BLOCK] in blocks for at in range(0, len(text), BLOCK))
        return (possible or any(form in text for form in self._short)) and super().holds(text)
