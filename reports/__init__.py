"""What people and pipelines read of a run: each form a pure function of one summary."""

from pathlib import Path
from typing import Any


def write_reports(folder: Path, summary: dict[str, Any]) -> None:
    """Write every report of a run into its folder; HarnessError where that cannot be done."""
    from harness.errors import ExitCode, HarnessError
    from harness.run_folder import write_json
    from reports import html, junit, markdown

    try:
        write_json(folder / "summary.json", summary)
        forms = {"report.html": html.render, "summary.md": markdown.render, "junit.xml": junit.render}
        for name, render in forms.items():
            fresh = folder / f"{name}.new"
            fresh.write_text(render(summary), encoding="utf-8")
            fresh.replace(folder / name)
    except OSError as error:
        where = error.filename or folder
        raise HarnessError(
            f"report {where}: {error.strerror}",
            hint="Free some disk space or make the folder writable, then: stepup report DIR.",
            code=ExitCode.USAGE,
        ) from error
