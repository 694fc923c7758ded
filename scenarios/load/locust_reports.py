"""Locust's own CSV and HTML reports, for who has tools for them; without secrets, and with no formula in a cell."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from locust.html import get_html_report
from locust.stats import PERCENTILES_TO_REPORT, StatsCSV, StatsCSVFileWriter, stats_history

from harness.errors import HarnessError
from harness.redact import Redactor
from scenarios.load import green

_html_report: Any = get_html_report  # it has no types
FOLDER: Final = "locust"  # below the run folder
FORMULA: Final = ("=", "+", "-", "@")  # with which a cell begins that a spreadsheet would run


class LocustReports:
    """Follows the statistics of a load from its beginning; `write` leaves in the run folder what the flags `--csv` and
    `--html` of Locust leave, but for secrets."""

    def __init__(self, environment: Any, run: Path, redactor: Redactor) -> None:
        self._environment, self._run, self._redactor = environment, run, redactor
        self._kept = TemporaryDirectory(prefix="stepup-locust-")
        self._history = StatsCSVFileWriter(environment, PERCENTILES_TO_REPORT, str(Path(self._kept.name) / FOLDER))
        self._followers = [green.serve(self._history), green.serve(stats_history, environment.runner)]

    def write(self) -> None:
        """Write all files; HarnessError where the folder cannot be written."""
        for one in self._followers:
            one.kill()
        self._history.close_files()
        try:
            (self._run / FOLDER).mkdir(exist_ok=True)
            for name, text in self._files():
                (self._run / FOLDER / name).write_text(self._redactor.clean(text), encoding="utf-8")
        except OSError as error:
            raise HarnessError(
                f"{error.filename or self._run / FOLDER}: {error.strerror}",
                hint="Free some disk space, or leave out --locust-reports.",
            ) from error
        finally:
            self._kept.cleanup()

    def _files(self) -> Iterator[tuple[str, str]]:
        yield "stats_history.csv", _safe(Path(self._history.stats_history_file_name()).read_text(encoding="utf-8"))
        told = StatsCSV(self._environment, PERCENTILES_TO_REPORT)
        for name in ("requests", "failures", "exceptions"):
            table = io.StringIO()
            getattr(told, f"{name}_csv")(csv.writer(table))
            yield f"{'stats' if name == 'requests' else name}.csv", _safe(table.getvalue())
        yield "report.html", _html_report(self._environment, show_download_link=False)


def _safe(table: str) -> str:
    """The same table, with a quotation mark before what a spreadsheet would take for a formula."""
    file = io.StringIO()
    rows = csv.reader(io.StringIO(table, newline=""))
    csv.writer(file).writerows([f"'{cell}" if cell.startswith(FORMULA) else cell for cell in row] for row in rows)
    return file.getvalue()
