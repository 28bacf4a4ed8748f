"""Finds the columns of a manifest that contain the paths, the labels and the splits."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from errors import UserError
from ingest.layouts.entries import Options, is_photo_name
from ingest.layouts.tables import UNASSIGNED, Table, text_of
from ingest.names import printable
from ingest.split_names import EVAL, TRAIN, split_of

# Names without case, punctuation and outer names, such as imageid for Image_ID. The first that exists is used.
_PATHS = (
    *("path", "filepath", "imagepath", "imgpath", "filename", "imagefilename", "file", "imagefile", "fname"),
    *("imagegcsuri", "gcsuri", "imageuri", "uri", "imageurl", "url", "imagename", "imgname", "image", "img", "photo"),
    *("imageid", "imgid", "photoid", "idcode", "id"),
)
_LABELS = (
    *("label", "labels", "labelname", "class", "classname", "classlabel", "category", "categoryname", "displayname"),
    *("target", "species", "breed", "diagnosis", "dx"),
)
_SPLITS = ("split", "mluse", "set", "subset", "partition", "datasplit", "usage", "phase", "isvalid")
_LISTED = 3  # values in an error
_IS_VALID = {"true": EVAL, "1": EVAL, "false": TRAIN, "0": TRAIN}  # fastai's is_valid


class Columns(NamedTuple):
    """The names of a manifest's columns; `split` is None if there is none."""

    path: str
    label: str
    split: str | None


def find(table: Table, options: Options) -> Columns:
    """Returns the columns that the options name, and guesses the others by their names and contents.

    Raises:
      UserError: when a column does not exist, or cannot be guessed, naming the flag for it.
    """
    split = _given(table, options.split_column, "--split-column") or _guessed_split(table, options)
    label = _given(table, options.label_column, "--label-column")
    path = _given(table, options.path_column, "--path-column") or _guessed_path(table, {label, split})
    label = label or _guessed_label(table, {path, split})
    return Columns(path, label, split)


def unused_splits(table: Table, found: Columns) -> list[str]:
    """Returns a notice for each column that has a usual name of splits, but other values, if no column is used."""
    if found.split:
        return []
    examples = {name: _unusual(table, name) for name in _named_as_splits(table) if name not in found}
    return [
        f"the column {printable(name)} is not used, because its values are not splits (for example "
        f"{printable(next(iter(unusual)))}); expected train, val or test"
        for name, unusual in examples.items()
        if unusual
    ]


def split_reader(table: Table, column: str | None) -> Callable[[Mapping[str, Any]], str | None]:
    """Returns a function that returns the split of a row, or None.

    Raises:
      UserError: when the column contains another word than the names of splits.
    """
    if column is None:
        return lambda row: None
    if unusual := _unusual(table, column):
        received = [f"{printable(value)} (line {line})" for value, line in unusual.items()]
        raise UserError(
            f"expected train, val or test in the column {printable(column)} (--split-column), received "
            f"{', '.join(received[:_LISTED])}; correct "
            "the value or leave it empty (train). If the column contains no splits, rename it"
        )
    return lambda row: _split(column, text_of(row.get(column)))


def _given(table: Table, name: str | None, flag: str) -> str | None:
    if name is not None and name not in table.columns:
        raise UserError(f"the manifest has no column {printable(name)} ({flag}); {_columns(table)}")
    return name


def _guessed_path(table: Table, others: set[str | None]) -> str:
    rest = [name for name in table.columns if name not in others]
    named = [[name for name in rest if _plain(name) == known] for known in _PATHS]
    found = next(filter(None, named), None) or [name for name in rest if _has_photos(table, name)]
    if len(found) == 1:
        return found[0]
    raise UserError(_not_guessed(table, "paths", "--path-column", found))


def _guessed_label(table: Table, others: set[str | None]) -> str:
    rest = [name for name in table.columns if name not in others and name]  # "": the index that pandas writes
    found = [name for name in rest if _plain(name) in _LABELS]
    if not found and len(rest) == 1:
        found = rest
    if len(found) == 1:
        return found[0]
    raise UserError(_not_guessed(table, "labels", "--label-column", found))


def _guessed_split(table: Table, options: Options) -> str | None:
    """Returns the column with a usual name whose values are splits, or most of them; `split_reader` refuses others.

    A column without any split is returned only if all its values are empty or unassigned, and no other is found.
    """
    named = [name for name in _named_as_splits(table) if name not in (options.path_column, options.label_column)]
    found = [name for name in named if _has_splits(table, name)]
    if len(found) > 1:
        raise UserError(_not_guessed(table, "splits", "--split-column", found))
    return next(iter(found or [name for name in named if not _unusual(table, name)]), None)


def _named_as_splits(table: Table) -> list[str]:
    return [name for name in table.columns if _plain(name) in _SPLITS]


def _has_splits(table: Table, column: str) -> bool:
    """Returns whether more than half of the values are splits, without those that are empty or unassigned."""
    values = [value for value in (text_of(row.get(column)) for _, row in table.rows) if not _is_unassigned(value)]
    return 2 * sum(_split(column, value) is not None for value in values) > len(values)


def _not_guessed(table: Table, what: str, flag: str, found: Sequence[str]) -> str:
    could = f"{', '.join(map(printable, found))} could" if found else "none has a usual name"
    return f"cannot tell which column of the manifest contains the {what}: {could}. Name it ({flag}); {_columns(table)}"


def _columns(table: Table) -> str:
    return f"its columns are: {', '.join(map(printable, table.columns))}"


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", re.split("[./]", name.lower())[-1])


def _unusual(table: Table, column: str) -> dict[str, int]:
    """Returns the first line of each value that is neither a split nor empty or unassigned."""
    lines: dict[str, int] = {}
    for line, row in table.rows:
        value = text_of(row.get(column))
        if not _is_unassigned(value) and _split(column, value) is None:
            lines.setdefault(value, line)
    return lines


def _has_photos(table: Table, column: str) -> bool:
    return bool(table.rows) and all(is_photo_name(text_of(row.get(column))) for _, row in table.rows)


def _is_unassigned(value: str) -> bool:
    return value.lower() in UNASSIGNED


def _split(column: str, value: str) -> str | None:
    return _IS_VALID.get(value.lower()) if _plain(column) == "isvalid" else split_of(value)
