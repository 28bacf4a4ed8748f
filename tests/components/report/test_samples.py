"""The sample photos of the report and their alt texts, for few and many classes and photos."""

import base64
from pathlib import Path

import pytest
import tensorflow as tf

from components.report.make import make
from pipeline import settings
from testing.example_gen import write_table
from tests.helpers import records
from tests.helpers.parsed import Page
from tests.helpers.report_sources import sources


def _colour(label: int) -> tuple[int, int, int]:
    """Returns a colour that identifies one of 200 classes, even after JPEG compression."""
    return label % 20 * 12 + 6, label // 20 * 24 + 6, 128


def _write_examples(folder: Path, counts: list[int]) -> str:
    """Writes `counts[label]` photos of each class in the colour of the class into both splits."""
    for split in ("train", "eval"):
        (folder / f"Split-{split}").mkdir(parents=True)
        with tf.io.TFRecordWriter(str(folder / f"Split-{split}" / "data.gz"), "GZIP") as writer:
            for label, count in enumerate(counts):
                photo = records.example(label % 5, records.jpeg(_colour(label), (8, 8)))
                photo.features.feature["class"].int64_list.value[:] = [label]
                for _ in range(count):
                    writer.write(photo.SerializeToString())
    return str(folder)


@pytest.mark.parametrize("counts", [[3, 1], [1000, 0], [0, 1, 3], [3, 1, 1000, 0, 2], [1, 3, 0, 4] * 5, [3, 0] * 100])
def test_each_sample_photo_has_the_name_of_its_class(counts, tmp_path):
    names = [f"class <{index}>" for index in range(len(counts))]
    examples = _write_examples(tmp_path / "examples", counts)
    config = settings.load(changes={"data.classes": names, "data.directory": "/data"})
    table = write_table(examples, str(tmp_path / "table"))
    folders = {"ImportExampleGen.examples": examples, "ImportExampleGen.table": table}
    make(sources(config.model_dump(mode="json"), folders), str(tmp_path))
    page = Page((tmp_path / "report.html").read_text())
    photos_by_class = dict.fromkeys(range(min(len(names), 60)), 0)
    for tag, attrs in page.elements:
        if tag == "img":
            encoded = base64.b64decode(attrs["src"].removeprefix("data:image/jpeg;base64,"))
            red, green, _ = tf.io.decode_jpeg(encoded).numpy().mean(axis=(0, 1))
            label = int(red // 12) + 20 * int(green // 24)
            assert attrs["alt"] == f"a photo of the class {names[label]}"
            photos_by_class[label] += 1
    most = max(1, min(4, 60 // len(names)))
    assert photos_by_class == {label: min(most, counts[label]) for label in photos_by_class}
