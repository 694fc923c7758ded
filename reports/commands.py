"""What the verbs `compare` and `history` do: read runs, write the forms that were asked for, and say what to print."""

import json
from pathlib import Path

from harness.errors import ExitCode, HarnessError
from reports import compare_forms, trend
from reports.compare import TOLERANCE, compare
from reports.figures import Figures, baseline, read_figures


def compare_runs(
    paths: list[Path],
    tolerance: float = TOLERANCE,
    *,
    baselines: tuple[Path, ...] = (),
    html: Path | None = None,
    markdown: Path | None = None,
) -> tuple[list[str], ExitCode]:
    """Compare runs with earlier ones, each a run folder or a baseline file; lines and exit code.

    With `baselines`, these are the earlier ones; without, all of `paths` but the last.
    """
    earlier, later = (list(baselines), paths) if baselines else (paths[:-1], paths[-1:])
    if not earlier or not later:
        raise HarnessError("compare: one run cannot be compared", hint="stepup compare EARLIER [EARLIER…] RUN")
    if not 0 <= tolerance <= 10:
        raise HarnessError(f"--tolerance {tolerance}: must be from 0 to 10", hint="0.05 is five per cent.")
    comparison = compare(_runs_of(earlier), _runs_of(later), tolerance)
    write(html, compare_forms.html(comparison))
    write(markdown, compare_forms.markdown(comparison))
    return compare_forms.text_lines(comparison), comparison.code


def _runs_of(paths: list[Path]) -> list[Figures]:
    runs = [run for path in paths for run in read_figures(path)]
    if not runs:
        raise HarnessError(f"baseline {paths[0]}: holds no run", hint="stepup compare --save FILE RUN [RUN…]")
    return runs


def save_baseline(paths: list[Path], where: Path) -> list[str]:
    """Keep the figures of runs in a small file that can be compared with later."""
    runs = [run for path in paths for run in read_figures(path)]
    write(where, json.dumps(baseline(runs), indent=1) + "\n")
    return [f"{where}: {len(runs)} run{'s' if len(runs) != 1 else ''}"]


def show_history(folder: Path, *, html: Path | None = None, markdown: Path | None = None) -> list[str]:
    """The runs below `folder`, oldest first, a line each, and what was left out."""
    rows, notes = trend.read_trend(folder)
    write(html, trend.html(rows, notes))
    write(markdown, trend.markdown(rows))
    return [*trend.text_lines(rows), *notes]


def write(path: Path | None, content: str) -> None:
    """Write a file that was asked for; HarnessError where it cannot be."""
    if path is None:
        return
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise HarnessError(f"{path}: {error.strerror}", hint="Name a file in a writable folder.") from error
