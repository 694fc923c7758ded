"""Configuration files: TOML checked against a published JSON schema; errors name section, value and valid values."""

import json
import re
import tomllib
from datetime import date, time
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, suggest

LARGEST_FILE = 4 * 1024 * 1024  # bytes; nobody writes a larger one by hand, and a wrong path may name a disk image
UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}
LONGEST_NS = 366 * UNITS["d"]  # keeps sums of times far below 2**63 ns


def duration_ns(text: str) -> int:
    """The nanoseconds of a duration such as `250ms` or `24h`."""
    number, unit = re.fullmatch(r"([0-9.]+)(\D+)", text).groups()  # type: ignore[union-attr]
    return round(float(number) * UNITS[unit])


def read_text(path: Path, what: str) -> str:
    """The text of a file that a user named; HarnessError where there is none."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise HarnessError(f"{what} {path}: larger than {LARGEST_FILE // 2**20} MiB", hint="Is it the right file?")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise HarnessError(f"{what} {path}: {error.strerror}", hint=f"Name a readable {what} file.") from error
    except UnicodeDecodeError as error:
        raise HarnessError(f"{what} {path}: not UTF-8 text (byte {error.start})") from error


def load_toml(path: Path, what: str, schema_file: str) -> dict[str, Any]:
    """A TOML file as a dictionary that fits the schema of that name beside this module."""
    text = read_text(path, what)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise HarnessError(f"{what} {path}: not TOML: {error}") from error
    table = {name: _dates_as_text(value) for name, value in table.items()}
    check(table, schema(schema_file), f"{what} {path}")
    _check_durations(table, f"{what} {path}")
    return table


def _dates_as_text(value: Any) -> Any:
    """TOML has dates of its own, JSON schemas have none: `until = 2026-12-31` is read as its text."""
    if isinstance(value, dict):
        return {name: _dates_as_text(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_dates_as_text(one) for one in value]
    return value.isoformat() if isinstance(value, date | time) else value


@lru_cache(maxsize=8)
def schema(name: str) -> dict[str, Any]:
    """A published schema by its file name."""
    loaded: dict[str, Any] = json.loads((Path(__file__).parent / name).read_text(encoding="utf-8"))
    return loaded


def check(value: Any, against: dict[str, Any], where: str) -> None:
    """Raise HarnessError for the first place at which `value` does not fit the schema `against`."""
    from jsonschema import Draft202012Validator

    found = sorted(Draft202012Validator(against).iter_errors(value), key=lambda error: list(map(str, error.path)))
    if found:
        raise HarnessError(f"{where}: {_place(found[0])}{_problem(found[0])}", hint=_mend(found[0]))


def _place(error: Any) -> str:
    return f"{'.'.join(str(part) for part in error.absolute_path)}: " if error.absolute_path else ""


def _problem(error: Any) -> str:
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        return f"unknown key '{_unknown(error)}'"
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        return f"'{missing}' is missing"
    shown = repr(error.instance)
    return f"{shown if len(shown) <= 60 else shown[:57] + '...'} is not valid here"


def _unknown(error: Any) -> str:
    return str(next(name for name in error.instance if name not in error.schema.get("properties", {})))


def _mend(error: Any) -> str:
    asked = str(error.schema.get("description", ""))
    if error.validator == "additionalProperties" and "properties" in error.schema:
        return suggest(_unknown(error), sorted(error.schema["properties"]))
    if error.validator == "enum":
        return f"{suggest(str(error.instance), [str(value) for value in error.validator_value])} {asked}".strip()
    if error.validator == "oneOf":
        return "Give exactly one of: " + ", ".join(",".join(one.get("required", [])) for one in error.validator_value)
    wanted = {"type": "a value of type", "pattern": "text of the form", "minimum": "at least", "maximum": "at most"}
    if error.validator in wanted:
        return f"Expected {wanted[error.validator]} {error.validator_value}. {asked}".strip()
    return asked


def _check_durations(table: dict[str, Any], where: str) -> None:
    """Durations that fit the pattern may still be far beyond what times can hold, or zero where a window is meant."""
    for name, value in table.items():
        if isinstance(value, dict):
            _check_durations(value, f"{where}: {name}" if ":" not in where else f"{where}.{name}")
        elif isinstance(value, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h|d)", value):
            if duration_ns(value) > LONGEST_NS:
                raise HarnessError(f"{where}.{name}: {value} is too long", hint="At most 366d.")
            if name == "window" and duration_ns(value) < 1_000_000:
                raise HarnessError(f"{where}.{name}: {value} is too short for a window", hint="At least 1ms.")
