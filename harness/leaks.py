"""The last look over a run folder: no file may hold a secret, whatever tool wrote it."""

from pathlib import Path

from harness.redact import Redactor


def leaking_files(folder: Path, redactor: Redactor) -> list[Path]:
    """The files below `folder` that hold a secret, also within compressed columns."""
    found = redactor.leaks(folder)
    packed = [path for path in sorted(folder.rglob("*.parquet")) if path not in found and _column_leaks(path, redactor)]
    return found + packed


def _column_leaks(path: Path, redactor: Redactor) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        texts = [
            one.name for one in file.schema_arrow if pa.types.is_string(one.type) or pa.types.is_dictionary(one.type)
        ]
        for batch in file.iter_batches(columns=texts):
            for column in batch.columns:
                if redactor.holds("\n".join(filter(None, column.unique().to_pylist()))):
                    return True
    return False
