"""The rows of edits.csv name their photos by a digest, a file name or a place."""

import pytest

from components.data_review import output
from ingest import label_edits
from ingest.sample import CLASSES
from tests.components.data_review.test_component import ODD, _photos, _review, _write


def test_records_of_ingest_are_found_by_their_digests(tmp_path):
    review = _review(_write(tmp_path / "data", _photos(digests=True)), tmp_path / "out")
    edits = label_edits.read(review.suspects / "edits.csv")  # as `ingest photos --edits` does
    assert edits.labels == {
        bytes.fromhex(f"{0:016x}{3:016x}"): CLASSES[0],
        bytes.fromhex(f"{2:016x}{5:016x}"): CLASSES[2],
    }
    after = _review(tmp_path / "data", tmp_path / "next", edits=review.suspects / "edits.csv")
    assert after.counts["suspects"] == 0
    columns = ("name", "digest", "label", "given", "split")
    before = [[row[key] for key in columns] for row in review.rows]
    assert [[row[key] for key in columns] for row in after.rows] == before


def test_each_repeated_row_has_the_name_of_its_photo(tmp_path):
    """Also of a row without a name, of a photo that is left out, and of a row that no record has."""
    data = _write(tmp_path / "data", _photos(digests=True))
    first, second, missing = (f"{0:016x}{number:016x}" for number in (3, 4, 99))
    (tmp_path / "mine.csv").write_text(f"digest,label,name\n{first},,\n{second},tulips,\n{missing},,gone.jpg\n")
    rows = _review(data, tmp_path / "out", edits=tmp_path / "mine.csv").rows
    assert [(row["digest"], row["name"], row["label"], row["given"]) for row in rows if row["margin"] == ""] == [
        (first, f"{ODD}/0-3.jpg", "", CLASSES[1]),
        (second, f"{ODD}/0-4.jpg", "tulips", CLASSES[0]),
        (missing, "gone.jpg", "", ""),
    ]


@pytest.mark.parametrize("name", ["a\rb.jpg", "a\nb.jpg", 'a"b,;.jpg', " a ", "=a"])
def test_the_rows_can_be_read_back_whatever_the_names(tmp_path, name):
    path = tmp_path / "edits.csv"
    output.write_csv(str(path), ["name", "digest", "label"], [{"name": name, "label": "roses"}])
    assert label_edits.read(path, label_edits.SETTING).names == {name: "roses"}


def test_records_without_names_are_found_by_their_place(tmp_path):
    review = _review(_write(tmp_path / "data", _photos(named=False)), tmp_path / "out")
    assert {row["name"] for row in review.rows} == {"x3.tfrec record 0", "x5.tfrec record 8"}
    assert _review(tmp_path / "data", tmp_path / "next", edits=review.suspects / "edits.csv").counts["suspects"] == 0


def test_photos_with_the_same_name_have_no_row(tmp_path):
    given = [each._replace(name="same.jpg") for each in _photos()]
    review = _review(_write(tmp_path / "data", given), tmp_path / "out")
    assert review.counts["suspects"] == 2 and review.rows == []
    section = review.section("suspects")
    assert "2 photos have no row, because other photos have the same name" in section["text"]
    assert section["commands"] == [] and len(section["rows"]) == 2


def test_copies_with_two_likely_classes_have_no_row(tmp_path):
    given = [
        each._replace(digest="ab" * 16 if each.label != each.true else each.digest) for each in _photos(digests=True)
    ]
    review = _review(_write(tmp_path / "data", given), tmp_path / "out")
    assert review.counts["suspects"] == 2 and review.rows == []
