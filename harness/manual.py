"""The reference of configuration files and exit codes, read off the published schemas and the table of meanings."""

import json
from pathlib import Path
from typing import Any, Final

from harness.errors import MEANING, PRECEDENCE

FILES: Final = {"profile": "profile.schema.json", "users": "users.schema.json", "plan": "plan.schema.json"}
TOPICS: Final = (*FILES, "exit-codes")


def topic_rows(topic: str) -> list[tuple[str, str, str]]:
    """Rows of (name, valid values, what it says) for a topic of `TOPICS`; exit codes in order of precedence."""
    if topic == "exit-codes":
        return [(str(int(code)), code.name.lower(), MEANING[code]) for code in PRECEDENCE]
    schema = json.loads((Path(__file__).parent / FILES[topic]).read_text(encoding="utf-8"))
    return _rows(schema, schema, "")


def _rows(node: dict[str, Any], root: dict[str, Any], prefix: str) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    for name, raw in node.get("properties", {}).items():
        one = _resolved(raw, root)
        where = f"{prefix}{name}"
        needed = name in node.get("required", [])
        if "properties" in one:
            found.append((f"[{where}]", "table", raw.get("description", one.get("description", ""))))
            if "$ref" not in raw:  # its settings are those of a table that is shown already
                found += _rows(one, root, f"{where}.")
        elif one.get("type") == "array" and "properties" in _resolved(one.get("items", {}), root):
            found.append((f"[[{where}]]", "tables", raw.get("description", one.get("description", ""))))
            found += _rows(_resolved(one["items"], root), root, f"{where}.")
        else:
            found.append((where, _values(one, raw, needed), raw.get("description", one.get("description", ""))))
    return found


def _resolved(node: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    for part in node.get("$ref", "#").removeprefix("#").strip("/").split("/"):
        if part:
            root = root[part]
    return root if "$ref" in node else node


def _values(one: dict[str, Any], raw: dict[str, Any], needed: bool) -> str:
    if "enum" in one:
        valid = " or ".join(json.dumps(value) for value in one["enum"])
    else:
        valid = {"pattern": "text", "string": "text"}.get(str(one.get("type", "")), str(one.get("type", "any")))
        bounds = [f"{word} {one[key]}" for key, word in (("minimum", "from"), ("maximum", "to")) if key in one]
        valid = " ".join([valid, *bounds])
    default = raw.get("default", one.get("default"))
    told = "needed" if needed else f"default {json.dumps(default)}" if default is not None else "optional"
    return f"{valid}; {told}"
