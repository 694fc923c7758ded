"""What people and pipelines read of a run: each form a pure function of one summary."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

EXPORTS: Final = "exports"  # below the run folder: what tools read


def write_reports(folder: Path, summary: dict[str, Any]) -> None:
    """Write every report of a run into its folder; HarnessError where that cannot be done."""
    from harness.errors import HarnessError
    from harness.run_folder import write_json

    try:
        (folder / EXPORTS).mkdir(exist_ok=True)
        write_json(folder / "summary.json", summary)
        for name, content in forms(summary):
            fresh = folder / f"{name}.new"
            fresh.write_bytes(content)
            fresh.replace(folder / name)
    except OSError as error:
        raise HarnessError(
            f"report {error.filename or folder}: {error.strerror}",
            hint=f"Free some disk space or make the folder writable, then: stepup report {folder}",
        ) from error


def forms(summary: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Every report as its path in the run folder and its content."""
    from reports import github, html, junit, markdown, prometheus, sarif, tables, text

    texts = {
        "report.html": html.render,
        "summary.md": markdown.render,
        "junit.xml": junit.render,
        f"{EXPORTS}/summary.txt": text.render,
        f"{EXPORTS}/comment.md": github.comment,
        f"{EXPORTS}/report.sarif": sarif.render,
        f"{EXPORTS}/metrics.prom": prometheus.render,
    }
    for name, render in texts.items():
        yield name, render(summary).encode()
    for name, rows in tables.tables(summary).items():
        yield f"{EXPORTS}/{name}.csv", tables.as_csv(rows).encode()
        yield f"{EXPORTS}/{name}.parquet", tables.as_parquet(rows)
