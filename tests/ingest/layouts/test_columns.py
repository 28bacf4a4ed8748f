"""The column of a manifest that contains the splits."""

from pathlib import Path

import pytest

from errors import UserError
from ingest import layouts
from tests.helpers.layouts import find, touch
from tests.ingest.layouts.test_manifests import manifest


def _with_columns(folder: Path, *columns: str) -> Path:
    """Writes a photo of each row, and the manifest; columns are `name value value …`, and `-` is an empty value."""
    cells = list(zip(*(column.replace(" -", " ").split(" ") for column in columns), strict=True))
    files = ["path,label", *(f"cat/{index}.png,cat" for index in range(1, len(cells)))]
    touch(folder, *(file.removesuffix(",cat") for file in files[1:]))
    return manifest(folder, "m.csv", "\n".join(",".join([file, *row]) for file, row in zip(files, cells, strict=True)))


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        (
            "split",
            "train val unknown",
            r"column split \(--split-column\), received unknown \(line 4\); correct the value or",
        ),
        ("split", "train odd - - test -", r"column split .*, received odd \(line 3\); "),
        ("Usage", "Training Training PublicTest", r"column Usage .*, received PublicTest \(line 4\); "),
        ("is_valid", "0 1 maybe", r"column is_valid .*, received maybe \(line 4\); "),
    ],
)
def test_a_column_of_splits_with_few_other_values_is_refused(tmp_path, column, values, says):
    with pytest.raises(UserError, match=says):
        find(_with_columns(tmp_path, f"{column} {values}"))


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        (
            "split",
            "train a",
            ["the column split is not used, because its values are not splits (for example a); expected"],
        ),
        (
            "set",
            "red blue train",
            ["the column set is not used, because its values are not splits (for example red); "],
        ),
        ("split", "- unassigned", []),
        ("fold", "1 2", []),
    ],
)
def test_a_column_named_as_splits_without_splits_is_not_used(tmp_path, column, values, says):
    notices = []
    entries = layouts.find(_with_columns(tmp_path, f"{column} {values}"), layouts.Options(), [], notices)
    assert {entry.split for entry in entries} == {None}
    assert [notice[: len(text)] for notice, text in zip(notices, says, strict=True)] == says


def test_several_columns_of_splits(tmp_path):
    file = _with_columns(tmp_path, "split train val", "subset train test")
    with pytest.raises(UserError, match=r"contains the splits: split, subset could. Name it \(--split-column\)"):
        find(file)
    assert [entry.split for entry in find(file, split_column="subset")[0]] == ["train", "test"]
    notices = []
    file = _with_columns(tmp_path, "usage - -", "set x y", "split train val")
    assert [entry.split for entry in layouts.find(file, layouts.Options(), [], notices)] == ["train", "eval"]
    assert not notices


def test_a_given_label_column_is_no_column_of_splits(tmp_path):
    file, notices = _with_columns(tmp_path, "set train test bus"), []
    entries = layouts.find(file, layouts.Options(label_column="set"), [], notices)
    assert [(entry.label, entry.split) for entry in entries] == [("train", None), ("test", None), ("bus", None)]
    assert not notices
