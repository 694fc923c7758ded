"""Keeps secrets out of everything that is written or printed: by value, in every encoding they are likely to take."""

import base64
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import quote

SHORTEST_PART = 12  # characters; a prefix of a secret at least this long is treated as the secret
PIECE: Final = 1 << 20  # bytes of a file that are searched at once
BLOCK: Final = 6  # characters looked up at once
LONG: Final = 2 * BLOCK - 1  # a text that holds so many characters in a row holds a whole aligned block of them
_blocks_of = re.compile(f"(?s).{{{BLOCK}}}").findall


class Redactor:
    """Replaces each known secret by `[secret N]`; the number keeps different secrets apart, and tells nothing else."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._number: dict[str, int] = {}
        for number, secret in enumerate(dict.fromkeys(secrets)):
            for form in _forms(secret):
                self._number.setdefault(form, number)
        # Longest first, so that a secret that begins with another one is replaced as a whole.
        forms = sorted(self._number, key=len, reverse=True)
        self._longest = len(forms[0]) if forms else 1
        self._pattern = re.compile("|".join(map(re.escape, forms))) if forms else None
        self._short = tuple(form for form in forms if len(form) < LONG)
        self._blocks = frozenset(
            form[start : start + BLOCK] for form in forms for start in range(BLOCK) if len(form) >= LONG
        )

    def clean(self, text: str) -> str:
        """The text with every secret replaced."""
        return self._pattern.sub(self._stand_in, text) if self._pattern and self.holds(text) else text

    def holds(self, text: str) -> bool:
        """Whether any secret stands in the text: one look-up for every few characters, however many secrets there are.

        The text is cut into blocks of six characters. A form of eleven or more characters covers at least one of them
        whole, wherever it stands, so a text none of whose blocks occurs in the first eleven characters of any form
        holds none. Shorter forms are looked for one by one, and texts in which a block was found are searched exactly.
        """
        if self._pattern is None:
            return False
        possible = not self._blocks.isdisjoint(_blocks_of(text)) or any(form in text for form in self._short)
        return possible and self._pattern.search(text) is not None

    def leaks(self, folder: Path) -> list[Path]:
        """The files below `folder` in which a secret stands in plain bytes."""
        return [path for path in sorted(folder.rglob("*")) if path.is_file() and self._is_in(path)]

    def _is_in(self, path: Path) -> bool:
        """Whether a secret stands in a file, which is read in pieces that overlap by the longest form."""
        tail = ""
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                text = tail + piece.decode("latin-1")
                if self.holds(text):
                    return True
                tail = text[-self._longest :]
        return False

    def _stand_in(self, found: re.Match[str]) -> str:
        return f"[secret {self._number[found.group()]}]"


def _forms(secret: str) -> list[str]:
    """A secret as itself, its prefix, and as base64, URL and JSON would write it."""
    if len(secret) < 4:  # a test pool may use tokens such as 'a'; redacting those would destroy every text
        return []
    forms = {secret, json.dumps(secret)[1:-1], quote(secret, safe="")}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        # What stands before the secret, as in `Bearer TOKEN`, moves it within groups of three bytes, and what stands
        # around it changes the characters that have bits of both.
        for before in range(3 if len(secret) >= SHORTEST_PART else 1):
            told = encode(b" " * before + secret.encode()).decode()
            forms.add(told[-(-before * 4 // 3) : (before + len(secret)) * 4 // 3])
    if len(secret) > SHORTEST_PART + 4:
        forms.add(secret[:SHORTEST_PART])
    return [form for form in forms if form]
