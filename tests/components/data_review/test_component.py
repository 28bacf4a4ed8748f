"""The review of records and their embeddings: the files, the sections of the report, and edits.csv in the next run."""

import csv
import json
import re
from pathlib import Path
from typing import NamedTuple

import markupsafe
import numpy as np
import pytest
from tfx.types import standard_artifacts

from components import photos
from components.data_review import component, output, suspects_output
from components.report.make import make
from components.report.sources import RERUN_COMMAND
from ingest.sample import CLASSES
from pipeline import settings
from testing import example_gen as runs
from tests.helpers import browser, commands, records
from tests.helpers.parsed import Page
from tests.helpers.report_sources import sources
from trainer import embeddings

PER_CLASS, CHANGED = 24, {(0, 3): 1, (2, 5): 4}  # the class and the number of a photo: its wrong label
ODD = "<b>a, 'é\" & $(x) `y`"


class Photo(NamedTuple):
    """A photo: its true class, its number, its label, its file name and its digest."""

    true: int
    number: int
    label: int
    name: str
    digest: str


def _photos(named: bool = True, digests: bool = False) -> list[Photo]:
    found = []
    for true in range(5):
        for number in range(PER_CLASS):
            digest = f"{true:016x}{number:016x}" if digests else ""
            name = f"{ODD}/{true}-{number}.jpg" if named else ""
            found.append(Photo(true, number, CHANGED.get((true, number), true), name, digest))
    return found


def _write(folder: Path, given: list[Photo]) -> Path:
    """Writes six files, of which photos with neighbouring numbers are in different ones."""
    for shard in range(6):
        examples = []
        for photo in given:
            if photo.number % 6 == shard:
                example = records.example(photo.label, records.jpeg((50 * photo.true, 10 * photo.number, 90), (16, 16)))
                for feature in ("name", "digest"):
                    if value := getattr(photo, feature):
                        key = "filename" if feature == "name" else feature
                        example.features.feature[key].bytes_list.value.append(value.encode())
                examples.append(example)
        records.write(folder / f"x{shard}.tfrec", examples)
    return folder


def _embed(made: runs.Outputs, folder: Path, copies: bool = True) -> str:
    """Writes embeddings near the centre of the true class, which the colour of the photo shows. Photos 0 and 1 of the
    class 4 are nearly the same."""
    centres = np.random.default_rng(0).normal(size=(5, 20))
    for split in photos.splits(made.examples):
        table = photos.read(made.table, split)
        true = np.rint(table.colours[:, 0] * 255 / 50).astype(int)
        number = np.rint(table.colours[:, 1] * 255 / 10).astype(int)
        noise = [
            np.random.default_rng([t, 0 if copies and t == 4 and n < 2 else n])
            for t, n in zip(true, number, strict=True)
        ]
        features = centres[true] + 0.6 * np.array([each.normal(size=20) for each in noise]).reshape(len(true), 20)
        batch = embeddings.Embeddings(table.digests, table.labels, features.astype(np.float16))
        embeddings.write({embeddings.ORIGINAL: [batch]}, str(folder), split, "00000-of-00001")
    return str(folder)


class Review(NamedTuple):
    """A review: the counts, and the folders of both artifacts."""

    counts: dict[str, int]
    suspects: Path
    duplicates: Path

    @property
    def rows(self) -> list[dict[str, str]]:
        """The rows of edits.csv."""
        with (self.suspects / "edits.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def section(self, name: str) -> dict:
        """Returns a section."""
        return json.loads((getattr(self, name) / "section.json").read_text())


def _review(data: Path, out: Path, copies: bool = True, classes=CLASSES, **settings_of_data) -> Review:
    made = runs.run(data, out / "made", **settings_of_data)
    features = _embed(made, out / "embeddings", copies)
    folders = [out / "it's" / name for name in ("suspects", "duplicates")]
    for folder in folders:
        folder.mkdir(parents=True)
    inputs = (made.examples, made.table, features)
    return Review(component.review(inputs, tuple(map(str, folders)), list(classes), RERUN_COMMAND), *folders)


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory) -> tuple[Path, Review]:
    """The folder of the records, and their review."""
    folder = tmp_path_factory.mktemp("review")
    return folder, _review(_write(folder / "data", _photos()), folder / "out")


def test_changed_labels_and_near_duplicates_are_found(reviewed):
    _, review = reviewed
    assert review.counts == {"suspects": 2, "pairs": 1, "across": 1, "conflicting": 0}
    found = {row["name"]: (row["given"], row["label"], row["digest"]) for row in review.rows}
    assert found == {
        f"{ODD}/0-3.jpg": (CLASSES[1], CLASSES[0], ""),
        f"{ODD}/2-5.jpg": (CLASSES[4], CLASSES[2], ""),
    }
    (pair,) = csv.DictReader((review.duplicates / "duplicates.csv").open(newline="", encoding="utf-8"))
    assert {pair["name"], pair["other_name"]} == {f"{ODD}/4-0.jpg", f"{ODD}/4-1.jpg"}
    assert {pair["split"], pair["other_split"]} == {"test", "eval"} and pair["similarity"] == "1.0000"


def test_the_sheets_have_the_pictures_and_names_as_text(reviewed):
    _, review = reviewed
    for page, pictures in ((review.suspects / "suspects.html", 2), (review.duplicates / "duplicates.html", 2)):
        parsed = Page(page.read_text())
        assert len(parsed.values("src")) == pictures
        assert all(source.startswith("data:image/jpeg;base64,") for source in parsed.values("src"))
        assert f"{ODD}/" in parsed.text and "b" not in {tag for tag, _ in parsed.elements}
        headings = re.findall("<h[12][^>]*>([^<]*)", page.read_text())
        assert len(headings) == len(set(headings)) == 2
        (bold,) = re.findall('<strong class="bad">(.*?)</strong>', page.read_text())
        assert bold.endswith(".") and ". " not in bold  # the first sentence
    html = (review.suspects / "suspects.html").read_text()
    (command,) = re.findall("<p><code>(.*?)</code></p>", html)  # alone on its line, so that no date is copied
    assert command == str(markupsafe.escape(review.section("suspects")["commands"][0]))
    assert "<code>" not in (review.duplicates / "duplicates.html").read_text()


def test_the_report_shows_pictures_links_and_the_command(reviewed, tmp_path):
    folder, review = reviewed
    config = settings.load(changes={"data.directory": "/data"}).model_dump(mode="json")
    folders = {"DataReview.suspects": str(review.suspects), "DataReview.duplicates": str(review.duplicates)}
    to = folder / "out" / "Report"
    numbers = make(sources(config, folders, root=str(folder / "out")), str(to))
    assert [each["id"] for each in numbers["sections"]] == ["DataReview", "DataReview-duplicates"]
    assert "pictures" not in numbers["sections"][0]
    page = Page((to / "report.html").read_text())
    assert len(page.values("src")) == len([alt for alt in page.values("alt") if f"row: {ODD}" in alt]) == 4
    for name in ("suspects.html", "edits.csv", "duplicates.html", "duplicates.csv"):
        assert [
            link
            for link in page.values("href")
            if link.endswith(f"/{name}") and (to / link.replace("%27", "'")).exists()
        ]
    assert {"likely class", "its label"} <= set(page.values("data-label"))  # a phone shows them beside the values
    (command,) = numbers["sections"][0]["commands"]
    assert command in page.text and "2 of 120 photos may have a wrong label" in page.text
    assert "1 pair of photos with a cosine of their embeddings of at least 0.95: 1 across splits" in page.text


def test_the_command_of_the_section_is_accepted(reviewed, tmp_path, cache, monkeypatch):
    folder, review = reviewed
    (command,) = review.section("suspects")["commands"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    lines = f"name: mine\noutput: out\ndata: {{directory: {folder}/data}}\ntrainer: {{batch_size: 4}}\n"
    (tmp_path / "settings.yaml").write_text(lines)
    with commands.stopped_before_the_nodes():
        done = commands.execute(command, tmp_path)
    assert done.code == 0, done.printed


def test_the_next_run_applies_the_file_and_keeps_its_rows(reviewed, tmp_path):
    folder, review = reviewed
    keep, change = review.rows[0]["name"], review.rows[1]
    edits = tmp_path / "mine.csv"
    given = next(row["given"] for row in review.rows if row["name"] == keep)
    edits.write_text(f'name,label\n"{keep.replace(chr(34), 2 * chr(34))}",{given}\n')  # a person says that it is right
    after = _review(folder / "data", tmp_path / "kept", edits=edits)
    assert after.counts["suspects"] == 1
    assert [(row["name"], row["label"]) for row in after.rows] == [(change["name"], change["label"]), (keep, given)]
    last = _review(folder / "data", tmp_path / "last", edits=after.suspects / "edits.csv")
    assert last.counts["suspects"] == 0
    assert {row["name"]: row["label"] for row in last.rows} == {row["name"]: row["label"] for row in after.rows}
    assert last.section("suspects")["commands"] == [] == last.section("suspects")["rows"]


def test_only_the_first_are_shown(reviewed, tmp_path, monkeypatch):
    folder, _ = reviewed
    monkeypatch.setattr(output, "SHOWN", 1)
    monkeypatch.setattr(output, "IN_REPORT", 1)
    review = _review(folder / "data", tmp_path)
    assert len(review.rows) == 2 and len(review.section("suspects")["rows"]) == 1
    page = Page((review.suspects / "suspects.html").read_text())
    assert len(page.values("src")) == 1 and "Shown: the first 1." in page.text


@pytest.mark.parametrize(
    ("per_class", "classes", "split"),
    [
        ({0: 1, 1: 9, 2: 9}, 3, "shards"),
        ({0: 2, 1: 1}, 2, "shards"),
        ({0: 3}, 2, "hash"),
        ({0: 6, 1: 6, 2: 6}, 5, "hash"),
    ],
)
def test_few_photos_are_reviewed(tmp_path, per_class, classes, split):
    """A class with one photo, fewer photos than folds, no test split, no suspects."""
    given = [each for each in _photos() if each.number < per_class.get(each.true, 0) and each.label == each.true]
    data = _write(tmp_path / "data", given)
    for file in data.iterdir():
        file.unlink() if not file.stat().st_size else None
    review = _review(data, tmp_path / "out", copies=False, classes=CLASSES[:classes], split=split, test_fraction=0)
    assert review.counts["suspects"] == len(review.rows) == len(review.section("suspects")["rows"]) <= 3
    assert review.counts["pairs"] == len(review.section("duplicates")["rows"]) == 0


def test_embeddings_of_other_records_are_refused(reviewed, tmp_path):
    folder, _ = reviewed
    other = runs.run(_write(tmp_path / "data", _photos()[1:]), tmp_path / "made")
    features = _embed(other, tmp_path / "embeddings")
    made = folder / "out" / "made"
    with pytest.raises(ValueError, match="expected the embeddings of the records in .*, split .*; received others"):
        component.review((f"{made}/examples", f"{made}/table", features), ("", ""), list(CLASSES), "")


def test_the_tables_of_the_report_fit_on_a_phone(reviewed, tmp_path):
    folder, review = reviewed
    config = settings.load(changes={"data.directory": "/data"}).model_dump(mode="json")
    folders = {"DataReview.suspects": str(review.suspects), "DataReview.duplicates": str(review.duplicates)}
    make(sources(config, folders, root=str(folder / "out")), str(tmp_path))
    view = browser.look(tmp_path / "report.html")
    assert view.sideways == [] and view.width <= 380


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        (["train"], ""),
        (["train", "eval"], " 1 of them is in eval. Wrong edits there make the accuracy too high."),
        (["test", "eval", "test"], " 3 of them are in eval or test. Wrong edits there make the accuracy too high."),
    ],
)
def test_suspects_outside_the_training_split_are_counted(splits, expected):
    found = [suspects_output._Suspect("a.jpg", split, records, "a", "b", 0.1, 0.9) for split in splits]
    assert suspects_output._held_out(found) == expected


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((46, 24, 1, 0), "46 suspects · 24 near duplicates, 1 across splits"),
        ((1, 1, 0, 1), "1 suspect · 1 near duplicate, 1 with different labels"),
        ((0, 0, 0, 0), "0 suspects · 0 near duplicates"),
    ],
)
def test_the_line_of_the_terminal(counts, expected):
    suspects, duplicates = standard_artifacts.Examples(), standard_artifacts.Examples()
    suspects.set_int_custom_property("suspects", counts[0])
    for name, count in zip(("pairs", "across", "conflicting"), counts[1:], strict=True):
        duplicates.set_int_custom_property(name, count)
    assert component.STAGE.figure({"suspects": [suspects], "duplicates": [duplicates]}, {}) == expected
