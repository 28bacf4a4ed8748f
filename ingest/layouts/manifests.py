"""Labels photos by a manifest: a table with a column of paths, one of labels, and perhaps one of splits."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from errors import UserError, quoted
from ingest.layouts import columns, locate, tables
from ingest.layouts.columns import Columns
from ingest.layouts.entries import Entry, Options, first_skipped
from ingest.layouts.tables import ENDINGS as ENDINGS
from ingest.layouts.tables import Table, text_of
from ingest.names import printable
from ingest.parallel import Skipped
from ingest.paths import absolute
from ingest.split_names import split_of

_LISTED = 3  # labels of a row


class _Row(NamedTuple):
    path: str
    label: str
    split: str | None


def find(manifest: Path, options: Options, skipped: list[Skipped], notices: list[str]) -> list[Entry]:
    """Returns the files that a manifest lists; rows that cannot be used are appended to `skipped`.

    What else the user should know is appended to `notices`.

    Raises:
      UserError: when the manifest cannot be read, a column cannot be found, or no file exists.
      OSError: when a folder cannot be read.
    """
    named = (options.path_column, options.label_column, options.split_column)
    table = tables.read(manifest, with_header=any(named))
    found = columns.find(table, options)
    notices += columns.unused_splits(table, found)
    before = len(skipped)
    rows = list(_rows(manifest, table, found, skipped))
    if not rows:
        first = first_skipped(skipped[before:])
        raise UserError(f"expected rows with a path and a label in {printable(manifest)}, received none{first}")
    root = absolute(options.photos_root) if options.photos_root else manifest.parent
    if not root.is_dir():
        raise UserError(f"expected a folder (--photos-root), received {printable(root)}")
    files = locate.locate([row.path for row in rows], root, options.follow_links)
    if not any(files):
        raise UserError(_nothing_found(manifest, rows, root))
    skipped += [Skipped(Path(row.path), "no such file") for row, file in zip(rows, files, strict=True) if not file]
    entries = [
        Entry(file, row.label, row.split, _name(file, root)) for row, file in zip(rows, files, strict=True) if file
    ]
    return _with_splits_of_folders(list(_without_repeats(entries, skipped)))


def _rows(manifest: Path, table: Table, found: Columns, skipped: list[Skipped]) -> Iterator[_Row]:
    """Yields the rows with a path and one label."""
    split_of_row = columns.split_reader(table, found.split)
    skipped += [Skipped(manifest, f"line {line}: {reason}") for line, reason in table.problems]
    for line, cells in table.rows:
        path, labels = text_of(cells.get(found.path)), _labels(cells, found.label)
        if not path:
            skipped.append(Skipped(manifest, f"line {line}: no path"))
        elif len(labels) != 1:
            skipped.append(Skipped(Path(path), _not_one(labels)))
        else:
            yield _Row(path, labels[0], split_of_row(cells))


def _not_one(labels: Sequence[str]) -> str:
    listed = f"{', '.join(labels[:_LISTED])}{', …' * (len(labels) > _LISTED)}"
    return "expected one label, received " + (f"{len(labels)}: {listed}" if labels else "none")


def _labels(cells: Mapping[str, Any], column: str) -> list[str]:
    value = cells.get(column)
    values = value if isinstance(value, list) else [value]
    if any(isinstance(each, dict | list | tuple) for each in values):
        raise UserError(
            f"expected text or numbers in the manifest's column of labels, {printable(column)}, "
            f"received {printable(quoted(value))}; write the label of each photo to a column"
        )
    return list(filter(None, map(text_of, values)))


def _name(file: Path, root: Path) -> str:
    return (
        file.relative_to(root).as_posix() if file.is_relative_to(root) else Path(os.path.relpath(file, root)).as_posix()
    )


def _without_repeats(entries: Sequence[Entry], skipped: list[Skipped]) -> Iterator[Entry]:
    known = set()
    for entry in entries:
        if (entry.path, entry.label) in known:
            skipped.append(Skipped(entry.path, "listed twice with the same label"))
        else:
            known.add((entry.path, entry.label))
            yield entry


def _with_splits_of_folders(entries: list[Entry]) -> list[Entry]:
    """Returns the entries; if none has a split, with the splits that the first folders of their names stand for."""
    folders = [split_of(entry.name.partition("/")[0]) for entry in entries]
    if not all(folders) or any(entry.split for entry in entries):
        return entries
    return [entry._replace(split=split) for entry, split in zip(entries, folders, strict=True)]


def _nothing_found(manifest: Path, rows: Sequence[_Row], root: Path) -> str:
    remote = [row.path for row in rows if locate.is_remote(row.path)]
    if remote:
        return (
            f"{len(remote):,} of {len(rows):,} paths in {printable(manifest)} are in a bucket or on a server, such as "
            f"{printable(remote[0])}; expected their files in {printable(root)}. Copy them to this machine, and give "
            "the folder (--photos-root DIR)"
        )
    return (
        f"none of the {len(rows):,} files that {printable(manifest)} lists is in {printable(root)}, such as "
        f"{printable(rows[0].path)}; give the folder that the paths are relative to (--photos-root DIR)"
    )
