"""Makes any text, however hostile, safe where it is written: HTML, XML, Markdown, CSV, a terminal, a CI log."""

import html
import re
from typing import Final

LONGEST: Final = 240  # characters of a text from a target that a reader is shown; the history has it whole
# Characters with a meaning in CommonMark or in GitHub's dialect (mentions, issues, math, tables, HTML).
_MARKDOWN: Final = re.compile(r"[\\`*_{}\[\]<>#|~@&!$^=]|(?<=:)//|(?<=www)\.", re.IGNORECASE)


def visible(text: object, longest: int = LONGEST) -> str:
    r"""One line that shows what is there: control, bidirectional and broken characters as `\x1b`, `\u202e`, cut off.

    What comes out holds no character that XML 1.0 forbids, and is unchanged by a second pass.
    """
    told = str(text)
    cut = told[:longest]
    shown = cut if cut.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in cut)
    if len(shown) > longest or len(told) > longest:
        return shown[: longest - 1].rstrip("…") + "…"
    return shown


def _escaped(character: str) -> str:
    code = ord(character)
    if character in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[character]
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def as_html(text: object, longest: int = LONGEST) -> str:
    """Text for an element or a quoted attribute."""
    return html.escape(visible(text, longest), quote=True)


def as_markdown(text: object, longest: int = LONGEST) -> str:
    """Text that stays text: no markup, table cell, link, mention or HTML can come of it."""
    return _MARKDOWN.sub(lambda found: "".join(f"&#{ord(c)};" for c in found.group()), visible(text, longest))


def as_code(text: object, longest: int = LONGEST) -> str:
    """Text as a Markdown code span, also within a table cell."""
    shown = visible(text, longest).replace("|", "\\|")
    runs = {len(run) for run in re.findall("`+", shown)}
    fence = "`" * next(size for size in range(1, len(runs) + 2) if size not in runs)
    pad = " " if shown[:1] in ("`", " ", "") or shown[-1:] in ("`", " ") else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def as_fence(text: object, longest: int = LONGEST) -> list[str]:
    """Text of one line as a fenced Markdown code block."""
    shown = visible(text, longest)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return [f"{fence}sh", shown, fence]


def as_cell(value: object) -> str:
    """A CSV cell that no spreadsheet takes for a formula."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)
    shown = visible(value) if value is not None else ""
    return "'" + shown if shown[:1] in ("=", "+", "-", "@") else shown


def as_command(text: object, longest: int = LONGEST) -> str:
    """The message of a CI log command, such as `::error::MESSAGE`, which can begin no other command."""
    return visible(text, longest).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def as_property(text: object, longest: int = LONGEST) -> str:
    """A property of a CI log command, such as `title=TEXT`."""
    return as_command(text, longest).replace(":", "%3A").replace(",", "%2C")
