"""Writes rows of predictions as CSV, JSON lines or Parquet."""

import contextlib
import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

import pyarrow as pa
from pyarrow import parquet

from errors import UserError, shortened

Row = dict[str, Any]
COLUMNS = ("file", "label", "probability", "probabilities", "sure", "familiar", "status", "model", "version")


class Writer(Protocol):
    """Writes rows."""

    def write(self, rows: list[Row]) -> None:
        """Writes rows, which have the keys COLUMNS."""


class _Csv:
    def __init__(self, file: TextIO):
        self._file = file
        self._writer = csv.DictWriter(_Lines(file), COLUMNS, lineterminator=_Lines.END)
        self._writer.writeheader()

    def write(self, rows: list[Row]) -> None:
        self._writer.writerows(row | {"probabilities": json.dumps(row["probabilities"])} for row in rows)
        self._file.flush()


class _Lines:
    """Ends lines with a line feed. Python 3.11 quotes only those line breaks that are part of `lineterminator`."""

    END = "\r\n"

    def __init__(self, file: TextIO):
        self._file = file

    def write(self, line: str) -> None:
        self._file.write(line.removesuffix(self.END) + "\n")


class _JsonLines:
    def __init__(self, file: TextIO):
        self._file = file

    def write(self, rows: list[Row]) -> None:
        self._file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        self._file.flush()


class _Parquet:
    def __init__(self, path: Path):
        text, number = pa.string(), pa.float32()
        types = (text, text, number, pa.list_(number), pa.bool_(), number, text, text, pa.int64())
        self._schema = pa.schema(list(zip(COLUMNS, types, strict=True)))
        self._writer = parquet.ParquetWriter(path, self._schema)

    def write(self, rows: list[Row]) -> None:
        self._writer.write_table(pa.Table.from_pylist(rows, self._schema))

    def close(self) -> None:
        self._writer.close()


_TEXTS: dict[str, Callable[[TextIO], Writer]] = {".csv": _Csv, ".jsonl": _JsonLines}
_PARQUET = ".parquet"
_ESCAPED = "backslashreplace"  # for characters that the terminal, or UTF-8, does not have


def check(to: Path | None) -> None:
    """Checks a path for `writer`.

    Raises:
      UserError: when its suffix names no format, or its folder does not exist.
    """
    if to is None:
        return
    if to.suffix.lower() not in (*_TEXTS, _PARQUET):
        raise UserError(f"--to: expected a file that ends in {', '.join((*_TEXTS, _PARQUET))}, received {str(to)!r}")
    try:
        is_usable = to.absolute().parent.is_dir() and not to.is_dir()
    except OSError as error:  # for example a name that is too long
        raise UserError(f"--to: cannot write {shortened(str(to))}: {error.strerror}; nothing was written") from None
    if not is_usable:
        raise UserError(f"--to: expected a file in a folder that exists, received {str(to)!r}; create the folder first")


@contextmanager
def writer(to: Path | None) -> Iterator[Writer]:
    """Yields a writer to a file, which appears when all rows are written, or of CSV to standard output.

    Raises:
      UserError: when the rows cannot be written.
      BrokenPipeError: when the program that reads standard output has ended.
    """
    if to is None:
        with _standard_output() as output:
            yield _Csv(output)
        return
    part = to.with_name(f".{os.getpid()}.part")
    try:
        if to.suffix.lower() == _PARQUET:
            table = _Parquet(part)
            yield table
            table.close()
        else:
            with part.open("w", encoding="utf-8", errors=_ESCAPED, newline="") as file:
                yield _TEXTS[to.suffix.lower()](file)
        part.replace(to)
    except OSError as error:
        raise UserError(f"--to: cannot write {to}: {error.strerror or error}; nothing was written") from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def _standard_output() -> Iterator[TextIO]:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=_ESCAPED)
    try:
        yield sys.stdout
    except BrokenPipeError:
        raise
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python writes the rest when it ends
        raise UserError(f"cannot write to standard output: {error.strerror}; give a file (--to)") from None
