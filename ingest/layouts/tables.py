"""Reads the tables of manifests: CSV, TSV, JSON lines, JSON and Parquet."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from errors import UserError
from ingest.layouts.entries import is_photo_name
from ingest.names import printable
from ingest.split_names import split_of

UNASSIGNED = frozenset(["", "unassigned", "default"])  # Vertex AI's ML_USE without a split
_VERTEX = ("ML_USE", "URI", "LABEL")  # the cells of Vertex AI's import files, which have no header
_DELIMITERS = ",;\t|"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # Excel's "Unicode text"


class Table(NamedTuple):
    """A table.

    Attributes:
      columns: the names of the columns.
      rows: the line, or the number of the row, and its cells by column; missing cells are left out.
      problems: the line and the reason of each row that cannot be read.
    """

    columns: list[str]
    rows: Sequence[tuple[int, Mapping[str, Any]]]
    problems: list[tuple[int, str]]


def read(path: Path, with_header: bool) -> Table:
    """Returns the table in a file. Columns of nested objects are named `outer.inner`.

    Args:
      path: a file with one of ENDINGS.
      with_header: whether the first row of a text table is known to be a header. Otherwise a first row with the name of
        a photo is a row of Vertex AI's import format, `[ML_USE,]URI[,LABEL]…`.

    Raises:
      UserError: when the file cannot be read as a table.
    """
    try:
        reader = _READERS[path.suffix.lower()]
    except KeyError:
        raise UserError(
            f"expected a folder of photos, or a manifest named {', '.join(ENDINGS)}; {printable(path)} is a file of "
            "another kind"
        ) from None
    try:
        return reader(path, with_header)
    except (ValueError, csv.Error, RecursionError) as error:  # UnicodeError and pyarrow's ArrowInvalid are ValueErrors
        raise UserError(f"cannot read the manifest {printable(path)}: {printable(_why(error))}; correct it") from None


def header(path: Path) -> list[str]:
    """Returns the cells of the first line of a CSV or TSV file, without reading the others; [] for other files."""
    if _READERS.get(path.suffix.lower()) is not _read_csv:
        return []
    with path.open(encoding=_encoding(path), newline="") as file:
        first = file.readline()
    return [cell.strip() for cell in next(csv.reader([first], delimiter=delimiter_of(first)), [])]


def delimiter_of(line: str) -> str:
    """Returns the delimiter of a CSV file, given its first line."""
    return max(_DELIMITERS, key=line.count)


def text_of(value: Any) -> str:
    """Returns a cell as text: whole numbers without a point, and nothing for a missing value, null or NaN."""
    if value is None or value != value:
        return ""
    if isinstance(value, bytes):  # text in Parquet files of some writers
        value = value.decode(errors="replace")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return (json.dumps(value) if isinstance(value, bool) else str(value)).strip()


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in _UTF_16 else "utf-8-sig"


def _read_csv(path: Path, with_header: bool) -> Table:
    with path.open(encoding=_encoding(path), newline="") as file:
        first = file.readline()
        delimiter = "\t" if path.suffix.lower() == ".tsv" else delimiter_of(first)
        file.seek(0)
        reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(map(str.strip, row))]
    if not rows:
        raise ValueError("the file is empty")
    if not with_header and any("://" in cell or is_photo_name(cell) for cell in rows[0][1]):
        return Table(list(_VERTEX), [(line, _vertex_row(cells)) for line, cells in rows], [])
    columns = rows.pop(0)[1]
    if twice := [name for name in columns if name and columns.count(name) > 1]:
        raise ValueError(f"two columns are named {twice[0]!r}")
    complete, problems = [], []
    for line, cells in rows:
        if any(cells[len(columns) :]):
            problems.append((line, f"expected {len(columns)} cells, received {len(cells)}"))
        else:
            complete.append((line, dict(zip(columns, cells, strict=False))))
    return Table(columns, complete, problems)


def _vertex_row(cells: list[str]) -> dict[str, Any]:
    has_use = cells[0].lower() in UNASSIGNED or split_of(cells[0]) is not None
    use, (path, *labels) = (cells[0], cells[1:] or [""]) if has_use else ("", cells)
    return dict(zip(_VERTEX, (use, path, [label for label in labels if label]), strict=True))


def _read_json(path: Path, with_header: bool) -> Table:
    text = path.read_text(encoding="utf-8-sig")
    if text.lstrip().startswith("["):
        return _of_objects(enumerate(json.loads(text), 1), [])
    rows, problems = [], []
    for line, content in enumerate(text.split("\n"), 1):  # str.splitlines also splits at U+2028, which JSON allows
        try:
            if content.strip():
                rows.append((line, json.loads(content)))
        except (ValueError, RecursionError) as error:
            problems.append((line, f"not JSON: {getattr(error, 'msg', _why(error))}"))
    return _of_objects(rows, problems)


def _why(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _of_objects(rows: Iterable[tuple[int, Any]], problems: list[tuple[int, str]]) -> Table:
    flat = []
    for line, row in rows:
        if isinstance(row, dict):
            flat.append((line, dict(_flattened(row))))
        else:
            problems.append((line, "expected an object"))
    if not flat:
        raise ValueError(f"line {problems[0][0]}: {problems[0][1]}" if problems else "the file is empty")
    return Table(list(dict.fromkeys(name for _, row in flat for name in row)), flat, problems)


def _flattened(row: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if isinstance(value, dict):
            yield from _flattened(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _read_parquet(path: Path, with_header: bool) -> Table:
    import pyarrow
    from pyarrow import parquet  # 0.3 s, so only for Parquet

    schema = parquet.read_schema(path)
    while any(pyarrow.types.is_struct(kind) for kind in schema.types):
        schema = schema.empty_table().flatten().schema
    if photos := [field.name for field in schema if pyarrow.types.is_binary(field.type)]:
        raise ValueError(
            f"it contains the photos themselves ({printable(photos[0])}); expected their paths. Write them to files"
        )
    return _of_objects(enumerate(parquet.read_table(path).to_pylist(), 1), [])


_READERS = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".jsonl": _read_json,
    ".ndjson": _read_json,
    ".json": _read_json,
    ".parquet": _read_parquet,
}
ENDINGS = tuple(_READERS)
