"""Corrections of labels by a file."""

import hashlib
from pathlib import Path

import pytest

from errors import UserError
from ingest import label_edits
from ingest.splitting import Photo

PHOTOS = [
    Photo(f"{label}/{index}.jpg", label, bytes([index] * 16)) for label in ("cat", "dog") for index in range(1, 4)
]
ONE, TWO, NONE = ("0" + digit for digit in "129")


def _file(folder: Path, text: str | bytes) -> Path:
    content = text if isinstance(text, bytes) else text.encode()
    (folder / "edits.csv").write_bytes(content)
    return folder / "edits.csv"


def test_labels_are_changed_for_all_copies_and_photos_are_left_out(tmp_path):
    text = f"\ufefffile,digest,label\r\na,{16 * ONE},dog\r\nb,{16 * TWO.upper()},\r\nc,{16 * NONE},cat\r\n"
    edited = label_edits.apply(label_edits.read(_file(tmp_path, text)), PHOTOS)
    assert edited.labels == ["dog", None, "cat", "dog", None, "dog"]
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert edited.summary == f"edits.csv sha256:{digest}: 1 photo relabelled, 2 dropped"
    assert edited.notices == [
        "edits.csv: 1 photo relabelled, 2 dropped",
        f"edits.csv: no photo has these digests or names: {16 * NONE}",
    ]


def test_a_row_with_a_name_is_for_the_photos_of_this_name(tmp_path):
    """Not for copies under other names. The digest of a row decides, as for `data.edits`."""
    rows = ["cat/1.jpg,,dog", f"cat/3.jpg,{16 * TWO},cat", "dog/3.jpg,,", "\x1b[31m.jpg,,cat", "a.jpg,,dog"]
    photos = [*PHOTOS, Photo("a.jpg", "cat", bytes(16)), Photo("a.jpg", "cat", bytes(16))]
    edited = label_edits.apply(label_edits.read(_file(tmp_path, "\n".join(["name,digest,label", *rows]))), photos)
    assert edited.labels == ["dog", "cat", "cat", "dog", "cat", None, "dog", "dog"]
    assert edited.notices == [
        "edits.csv: 4 photos relabelled, 1 dropped",
        r"edits.csv: no photo has these digests or names: \u001b[31m.jpg",
        "edits.csv: several photos have these names: a.jpg",
    ]


def test_a_notice_lists_the_first_twenty_rows(tmp_path):
    rows = [f"{number:02}.jpg,cat" for number in range(22)]
    edited = label_edits.apply(label_edits.read(_file(tmp_path, "\n".join(["name,label", *rows]))), PHOTOS)
    assert edited.notices[1].endswith("18.jpg, 19.jpg and 2 more")


def test_a_semicolon_is_a_separator(tmp_path):
    edits = label_edits.read(_file(tmp_path, f"file;digest;label\na,b;{16 * ONE};dog, big\n"))
    assert edits.labels == {bytes.fromhex(16 * ONE): "dog, big"}


def test_drop_is_a_class_if_one_has_this_name(tmp_path):
    edits = label_edits.read(_file(tmp_path, f"digest,label\n{16 * ONE},drop\n{16 * TWO},\n"))
    assert label_edits.apply(edits, PHOTOS).labels == [None, None, "cat", None, None, "dog"]
    drops = [*PHOTOS, Photo("drop/1.jpg", "drop", bytes(16))]
    assert label_edits.apply(edits, drops).labels == ["drop", None, "cat", "drop", None, "dog", "drop"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file,label\na,cat\n", r"edits.csv, row 1: expected the columns label and digest or name; received .*'file'"),
        ("name,digest\na,b\n", r"row 1: expected the columns label and digest or name; received"),
        ("", r"edits.csv, row 1: expected the columns label and digest or name; received \[\]"),
        ("digest:label\n", r"row 1: expected the columns label and digest or name; received \['digest:label'\]"),
        ("name,label\na,cat\n,dog\n", "row 3: expected a digest of 32 characters 0-9 and a-f or a name, received ''"),
        ("name,digest,label\na,abc,cat\n", "row 2: expected a digest of 32 characters .* received 'abc'"),
        ("name,label\na,cat\na,dog\n", "row 3: expected one label for each digest, received two for a"),
        (f"digest;label\n\n{16 * ONE};catt\nabc;cat\n", "row 4: expected a digest of 32 characters"),
        ("digest,label\nabc,cat\n", "row 2: expected a digest of 32 characters 0-9 and a-f or a name, received 'abc'"),
        (f"digest,label\n{16 * ONE}\n", "row 2: expected the columns"),
        (f"digest,label\n{16 * ONE},cat\n{16 * ONE},dog\n", f"row 3: expected one label .* two for {16 * ONE}"),
        ('name,label,note\na,cat,"5 inch\nb,dog,x\n', "edits.csv: expected CSV in UTF-8: unexpected end of data"),
        ("name,label,label\na,cat,dog\n", "edits.csv: expected one column label, received 2"),
        (b"digest,label\n\xff\n", r"edits.csv: expected CSV in UTF-8: 'utf-8' codec"),
        (f"digest,label\n{16 * ONE},catt\n", "unknown class 'catt'; did you mean 'cat'.*or an empty label to leave"),
    ],
)
def test_files_that_are_refused(tmp_path, text, says):
    with pytest.raises(UserError, match=says):
        label_edits.apply(label_edits.read(_file(tmp_path, text)), PHOTOS)


def test_a_row_may_have_a_name(tmp_path):
    text = f'name,digest,label\na.jpg,,dog\n"b, c.jpg",{16 * ONE},\n a.jpg ,,drop\n'
    edits = label_edits.resolve(label_edits.read(_file(tmp_path, text), "data.edits"), ["cat", "dog"])
    assert edits.names == {"a.jpg": "dog", " a.jpg ": ""} and edits.labels == {bytes.fromhex(16 * ONE): ""}
    assert edits.find(16 * ONE, "a.jpg") == (16 * ONE, "")
    assert (
        edits.find("", "a.jpg") == edits.find("no digest", "a.jpg") == edits.find(16 * TWO, "a.jpg") == ("a.jpg", "dog")
    )
    assert edits.find("", "b, c.jpg") is None
    assert edits.keys == [16 * ONE, "a.jpg", " a.jpg "]


def test_spaces_around_a_label_are_ignored_unless_the_class_has_them(tmp_path):
    edits = label_edits.read(_file(tmp_path, "name,label\na, cat \nb, dog\nc,  \n"), "data.edits")
    assert label_edits.resolve(edits, ["cat", " dog", "dog"]).names == {"a": "cat", "b": " dog", "c": ""}


def test_a_missing_file_is_refused(tmp_path):
    for option in ("--edits", "data.edits"):
        with pytest.raises(UserError, match=rf"cannot read the edits .*none.csv \({option}\): No such file"):
            label_edits.read(tmp_path / "none.csv", option)
