"""The shell of every HTML file: head, style, script, and a policy that lets nothing else in."""

import base64
import hashlib
from functools import lru_cache
from pathlib import Path

from reports.escape import as_html


def page(title: str, head: str, body: str, navigation: str = "") -> str:
    """A whole page; `head`, `navigation` and `body` are HTML."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy()}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f'<link rel="icon" href="data:,">\n<title>{as_html(title)}</title>\n<style>{_asset("page.css")}</style>\n'
        f'</head>\n<body>\n<a class="skip" href="#main">Skip to the results</a>\n{head}{navigation}'
        f'<main id="main">\n{body}</main>\n<script>{_asset("page.js")}</script>\n</body>\n</html>\n'
    )


@lru_cache
def _asset(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


@lru_cache
def _policy() -> str:
    """Only our own style and script, by their hashes; nothing can be loaded, sent or framed."""
    style, script = (_hash(_asset(name)) for name in ("page.css", "page.js"))
    return (
        f"default-src 'none'; style-src '{style}'; script-src '{script}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
