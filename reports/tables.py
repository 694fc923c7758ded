"""The figures of a run as tables for analysts: CSV that no spreadsheet executes, and Parquet."""

import csv
import io
import json
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from reports.escape import as_cell

Rows = list[dict[str, Any]]
PLAIN: Final = ("gates", "latency", "curve", "over_time", "statuses", "errors", "slowest", "oddest", "coverage")


def tables(summary: dict[str, Any]) -> dict[str, Rows]:
    """Every table of the summary by name; those without rows are left out, nested values are JSON."""
    limits = summary["limits"]
    rate, challenges = limits["rate"] or {}, limits["challenges"] or {}
    found: dict[str, Rows] = {
        "rules": [{**rule, "witness": len(rule["witness"])} for rule in summary["rules"]],
        **{name: summary[name] for name in PLAIN},
        "heat": summary["heat"]["cells"],
        "replays": limits["replays"],
        "rate_scopes": rate.get("scopes", []),
        "rate_windows": rate.get("series", []),
        "challenge_fill": challenges.get("fill", []),
        "phases": summary["load"].get("phases", []),
        "workers": summary["history"]["workers"],
    }
    return {name: [_flat(row) for row in rows] for name, rows in found.items() if rows}


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    return {k: json.dumps(v, ensure_ascii=False) if isinstance(v, dict | list) else v for k, v in row.items()}


def as_csv(rows: Rows) -> str:
    """Rows as CSV (RFC 4180) with a head line; a column that a row lacks is empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(names)
    writer.writerows([as_cell(row.get(name)) for name in names] for row in rows)
    return file.getvalue()


def as_parquet(rows: Rows) -> bytes:
    """Rows as a Parquet file; a column that holds whole and broken numbers becomes one of broken numbers."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: [row.get(name) for row in rows] for name in names}
    table = pa.table({name: pa.array(_one_kind(values)) for name, values in columns.items()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def _one_kind(values: list[Any]) -> list[Any]:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float}:
        return [float(value) if float in kinds and value is not None else value for value in values]
    return values if len(kinds) <= 1 else [None if value is None else str(value) for value in values]
