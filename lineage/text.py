"""Formats text for the terminal and for pages: tables, times, durations, sizes, paths."""

import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.text import Text

from ingest.names import printable
from ingest.paths import exists


def safe(value: object) -> Text:
    """Returns a value as rich text: markup is not interpreted, and characters that cannot be shown are escaped."""
    return Text(printable(value))


def print_table(
    console: Console, rows: Sequence[Sequence[object]], styles: Sequence[str | None] = (), indent: int = 0
) -> None:
    """Prints rows in columns. Unlike rich's Table, it never truncates paths, which users copy."""
    if not rows:
        return
    cells = [[safe(cell) for cell in row] for row in rows]
    widths = [max(cell.cell_len for cell in column) for column in zip(*cells, strict=True)]
    for row, style in zip(cells, styles or (None,) * len(rows), strict=True):
        for cell, width in zip(row[:-1], widths, strict=False):
            cell.pad_right(width + 2 - cell.cell_len)
        line = Text(" " * indent, style=style or "").append_text(Text("").join(row))
        line.rstrip()
        console.print(line, soft_wrap=True)


def format_time(seconds: float | None) -> str:
    """Returns seconds since the epoch as local date and time; None is 'unknown'."""
    if seconds is None:
        return "unknown"
    return datetime.datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")


def format_duration(seconds: float | None) -> str:
    """Returns a duration as text.

    >>> format_duration(0.14), format_duration(252), format_duration(3852), format_duration(None)
    ('0.1 s', '4:12', '1:04:12', 'unknown')
    """
    if seconds is None:
        return "unknown"
    if seconds < 60:
        return f"{max(seconds, 0):.1f} s"
    return str(datetime.timedelta(seconds=round(seconds))).removeprefix("0:").lstrip("0")


def size_of(uri: str) -> int | None:
    """Returns the bytes in a folder or file; None if it is not on this machine or not readable."""
    path = Path(uri)
    if "://" in uri or not exists(path):
        return None
    try:
        if path.is_file():
            return path.stat().st_size
        return sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())
    except OSError:
        return None


def relative_path(uri: str) -> str:
    """Returns a path below the current folder relative to it; returns other paths and URIs unchanged."""
    current = Path.cwd()
    return str(Path(uri).relative_to(current)) if uri.startswith(f"{current}/") else uri


def format_size(number: int | None) -> str:
    """Returns a number of bytes with a unit; None is a file that is not on this machine."""
    return "not on this machine" if number is None else decimal(number)


def json_object(text: object) -> dict[str, Any]:
    """Returns the object that a JSON text has; {} for any other value, which another program may have stored.

    >>> json_object('{"a": 1}'), json_object("[1]"), json_object("high"), json_object(None)
    ({'a': 1}, {}, {}, {})
    """
    try:
        found = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def changes(before: object, after: object, key: str = "") -> list[tuple[str, object, object]]:
    """Returns the differences of two nested values as (dotted key, before, after); a missing value is None.

    >>> changes({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}, "d": 4})
    [('a.c', 2, 3), ('d', None, 4)]
    """
    if isinstance(before, dict) or isinstance(after, dict):
        before, after = (each if isinstance(each, dict) else {} for each in (before, after))
        keys = dict.fromkeys([*before, *after])
        nested = [changes(before.get(each), after.get(each), f"{key}.{each}".lstrip(".")) for each in keys]
        return [change for some in nested for change in some]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [change for index, pair in pairs for change in changes(*pair, f"{key}[{index}]")]
    return [] if before == after else [(key, before, after)]
