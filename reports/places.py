"""Where in openapi.yaml a rule has its ground: the lines of the part that its source names."""

import re
from functools import lru_cache
from typing import Any, Final, NamedTuple

import yaml

from harness.spec import load_spec, spec_path

DOCUMENT: Final = "openapi.yaml"


class Place(NamedTuple):
    """The first and last line of a part of the document, counted from 1."""

    first: int
    last: int


def place_of(source: str) -> Place:
    """The part that a rule's source names by a pointer, a dotted path or a status; otherwise the operation itself."""
    pointer = re.search(rf"{DOCUMENT}#(/[^\s;,]+)", source)
    if pointer:
        parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.group(1).split("/")[1:]]
        return _lines(tuple(parts))
    dotted = re.search(rf"{DOCUMENT}: ((?:components|paths)\.[^\s;,:]+)", source)
    if dotted:
        return _lines(_parts(dotted.group(1)))
    status = re.search(rf"{DOCUMENT}:? (\d{{3}})\b", source)
    return _lines((*_operation(), *(("responses", status.group(1)) if status else ())))


def _operation() -> tuple[str, ...]:
    spec = load_spec()
    return ("paths", spec.template, spec.method.lower())


def _parts(dotted: str) -> tuple[str, ...]:
    """A dotted path in parts; the path template is one part, though it may have dots of its own."""
    template = load_spec().template
    rest = dotted.replace(template, "\0")
    return tuple(part.replace("\0", template) for part in rest.split("."))


@lru_cache(maxsize=256)
def _lines(parts: tuple[str, ...]) -> Place:
    """The lines of a part, or of the nearest one around it that exists."""
    node, first = _tree(), 1
    for part in parts:
        step = _step(node, part)
        if step is None:
            break
        first, node = step
    # A block ends where the next thing begins, on a later line; anything else ends on its own last line.
    block = isinstance(node, yaml.CollectionNode) and not node.flow_style
    return Place(first, max(first, node.end_mark.line + (0 if block else 1)))


def _step(node: Any, part: str) -> tuple[int, Any] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == part:
                return key.start_mark.line + 1, value
    elif isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
        value = node.value[int(part)]
        return value.start_mark.line + 1, value
    return None


@lru_cache(maxsize=1)
def _tree() -> Any:
    return yaml.compose(spec_path().read_text(encoding="utf-8"), yaml.SafeLoader)
