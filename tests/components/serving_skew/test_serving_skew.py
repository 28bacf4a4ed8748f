"""Kept answers are compared with the training photos by TensorFlow Data Validation; chance alone is no skew."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.types.standard_artifacts import ExampleAnomalies, ExampleStatistics

from components import anomalies, photos, sections
from components.artifacts import PhotoTable, ReportSection
from components.serving_skew import answers, compare, component
from ingest import kept, record_file
from ingest.kept import Kept
from testing import graphs

CLASSES = ["a", "b", "c"]
SPREAD = np.linspace(0.2, 0.8, 1000)


def _photo(label: str, value: float, number: int = 0, **changes) -> Kept:
    """An answer about a photo whose measures are all `value`; another number is another photo, by its width."""
    size = [40, 60 + number]
    return Kept(label.encode(), 0.9, 3, 1_700_000_000, size, value, value, [value] * 3)._replace(**changes)


def _answers(count: int, share: float = 1.0, first: int = 0) -> list[Kept]:
    """Answers with the classes a, b and c in turn, and measures over `share` of those of `_table`."""
    values = SPREAD[np.linspace(0, share * 999, count).astype(int)]
    return [_photo(CLASSES[index % 3], float(value), first + index) for index, value in enumerate(values)]


def _keep(folder, found, name=f"kept-1{kept.CLOSED}"):
    folder.mkdir(exist_ok=True)
    with (folder / name).open("wb") as file:
        for each in found:
            record_file.write_record(file, kept.serialized(each))
    return folder / name


def _table(folder) -> str:
    """A train split of 1,000 photos, a third of each class."""
    rows = [
        photos.Measured(index % 3, (40, 40), value, value, [value] * 3, [0] * 8, b"")
        for index, value in enumerate(SPREAD)
    ]
    photos.write(rows, str(folder), "train", "00000-of-00001")
    return str(folder)


def _run(tmp_path, data, number: int = 0):
    """Executes the node; returns its outputs, the sentence on the terminal, and the section."""
    table = PhotoTable()
    table.uri = str(tmp_path / "table")
    if not (tmp_path / "table").exists():
        _table(tmp_path / "table")
    outputs = {"statistics": ExampleStatistics(), "anomalies": ExampleAnomalies(), "section": ReportSection()}
    for name, each in outputs.items():
        each.uri = str(tmp_path / f"{name}-{number}")
        (tmp_path / f"{name}-{number}").mkdir()
    properties = {"kept_answers": str(data), "classes": json.dumps(CLASSES)}
    found = {name: [each] for name, each in outputs.items()}
    component.Executor(None).Do({"table": [table]}, found, properties)
    section = json.loads((tmp_path / f"section-{number}" / sections.FILE).read_text())
    return outputs, component.STAGE.figure(found, properties), section


def test_the_differences_are_those_of_a_calculation_by_hand():
    """The shares of b are 0.3 and 0.5. All answers are in the last of ten bins that have a tenth of the photos each."""
    training = compare.frame_of_training(
        photos.Photos(
            labels=np.repeat([0, 1, 2], [500, 300, 200]),
            sizes=np.full([1000, 2], 40),
            brightness=SPREAD,
            contrast=SPREAD,
            colours=np.stack([SPREAD] * 3, 1),
            digests=np.zeros([1000, 8]),
            names=np.zeros(1000, "S1"),
        ),
        CLASSES,
    )
    labels = ["a"] * 120 + ["b"] * 200 + ["c"] * 80
    frame = compare.frame_of_answers([_photo(label, 0.79, brightness=0.5) for label in labels])
    found = compare.compare(training, frame.assign(brightness=np.resize(SPREAD, 400)))
    assert found.differences["class"].value == pytest.approx(0.2)
    divergence = (0.9 * np.log2(0.1 / 0.05) + 0.1 * np.log2(0.1 / 0.55) + np.log2(1 / 0.55)) / 2
    assert found.differences["red"].value == pytest.approx(divergence)
    assert divergence == pytest.approx(0.758, abs=5e-4)
    assert {"class", "contrast", "red", "green", "blue"} <= set(found.skew)


def test_the_threshold_follows_the_number_of_photos_down_to_a_smallest_difference(tmp_path):
    """chi2.isf(0.01 / 6, 9) is 26.6."""
    assert compare.chance_of_divergence(10, 200, 1000) == pytest.approx(26.6 / (8 * np.log(2)) * 0.006, rel=0.01)
    assert compare.chance_of_divergence(10, 10**6, 10**6) < 0.001
    _keep(tmp_path / "kept", _answers(5000))
    _, _, section = _run(tmp_path, tmp_path / "kept")
    thresholds = {row[0]: float(row[4]) for row in section["rows"] if row[5] != "not judged"}
    assert thresholds == {"class": pytest.approx(0.056, abs=0.004), **dict.fromkeys(compare.MEASURES, 0.02)}


def test_photos_like_those_of_the_training_have_no_skew(tmp_path):
    _keep(tmp_path / "kept", _answers(600))
    outputs, figure, section = _run(tmp_path, tmp_path / "kept")
    assert figure == "no skew in 600 kept answers"
    assert {row[5] for row in section["rows"]} == {"no skew", "not judged"} and not section["commands"]
    assert "2023-11-14 22:13" in section["text"] and "of the model version 3 (600)." in section["text"]
    assert anomalies.read_anomalies(outputs["anomalies"].uri, "train") == []
    for split, count in (("train", 1000), ("serving", 600)):
        statistics = tfdv.load_stats_binary(f"{outputs['statistics'].uri}/Split-{split}/FeatureStats.pb")
        assert statistics.datasets[0].num_examples == count
    assert outputs["statistics"].split_names == '["train", "serving"]'


def test_skew_is_named_with_the_command_that_gives_photos_to_label(tmp_path):
    """Tools of TFX find TensorFlow Data Validation's own file."""
    photo = [each._replace(image=b"photo") for each in _answers(600, share=0.5)]
    _keep(tmp_path / "kept", photo)
    outputs, figure, section = _run(tmp_path, tmp_path / "kept")
    assert figure == f"skew in {', '.join(compare.MEASURES)}: see report"
    assert section["commands"] == [f"python -m ingest kept {tmp_path}/kept --to to-label"]
    file = tmp_path / "anomalies-0" / "Split-train" / "SchemaDiff.pb"
    found = anomalies_pb2.Anomalies.FromString(file.read_bytes())
    assert set(found.anomaly_info) == set(compare.MEASURES)
    assert "between training and serving" in found.anomaly_info["red"].description
    _keep(tmp_path / "kept", [each._replace(image=b"") for each in photo])
    _, _, section = _run(tmp_path, tmp_path / "kept", 1)
    assert "start it with --keep-photos" in section["text"] and not section["commands"]


def test_a_class_that_stops_coming_is_skew_and_so_is_an_unknown_one(tmp_path):
    _keep(tmp_path / "kept", [each._replace(label=b"a") if each.label == b"b" else each for each in _answers(600)])
    _, figure, section = _run(tmp_path, tmp_path / "kept")
    assert figure == "skew in class: see report"
    row = section["rows"][0]
    assert row[0] == "class" and row[1:3] in (["a 33.4%", "a 66.7%"], ["b 33.3%", "b 0.0%"])
    _keep(tmp_path / "kept", [each._replace(label="💐 no".encode()) for each in _answers(600)])
    _, figure, section = _run(tmp_path, tmp_path / "kept", 1)
    assert figure == "skew in class: see report"
    assert section["rows"][0][1:3] == ["💐 no 0.0%", "💐 no 100.0%"]


@pytest.mark.parametrize(
    ("count", "says"), [(1, "1 kept answer is too few to judge (200)"), (199, "199 kept answers are too few to judge")]
)
def test_few_answers_are_not_judged(tmp_path, count, says):
    """They are far from the training photos."""
    _keep(tmp_path / "kept", _answers(count, share=0.01))
    outputs, figure, section = _run(tmp_path, tmp_path / "kept")
    assert says in figure
    assert {row[5] for row in section["rows"]} == {"not judged"}
    assert anomalies.read_anomalies(outputs["anomalies"].uri, "train") == []


def test_few_training_photos_are_not_judged(tmp_path):
    row = photos.Measured(0, (40, 40), 0.5, 0.5, [0.5] * 3, [0] * 8, b"")
    photos.write([row] * 30, str(tmp_path / "table"), "train", "00000-of-00001")
    _keep(tmp_path / "kept", _answers(600))
    assert _run(tmp_path, tmp_path / "kept")[1] == "30 training photos are too few to judge (200)"


def test_records_that_cannot_be_read_are_counted_and_named(tmp_path):
    """One has a wrong checksum; the next is no record of --keep, and a truncated one ends the file."""
    path = _keep(tmp_path / "kept", _answers(300))
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content[:-10])
    with (tmp_path / "kept" / f"kept-2{kept.CLOSED}").open("wb") as file:
        record_file.write_record(file, b"something else")
    _keep(tmp_path / "kept", _answers(100, first=1000), f"kept-3{kept.OPEN}")  # the server still writes to it
    _, figure, section = _run(tmp_path, tmp_path / "kept")
    assert figure == "no skew in 398 kept answers · 3 records could not be read"
    assert (
        "Could not be read: 3 records: kept-2.tfrec: no record of --keep at record 0; kept-1.tfrec: " in section["text"]
    )
    assert "wrong checksum at record 0, byte 0; kept-1.tfrec: truncated at record 299" in section["text"]


def test_without_a_readable_record_nothing_is_judged(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / f"kept-1{kept.OPEN}").touch()
    outputs, figure, section = _run(tmp_path, tmp_path / "kept")
    assert figure == "0 kept answers are too few to judge (200)"
    assert [row[2] for row in section["rows"]] == [""] * 9
    assert outputs["statistics"].split_names == '["train"]'


def test_a_photo_that_is_sent_again_counts_once(tmp_path, monkeypatch):
    _keep(tmp_path / "kept", _answers(300))
    _keep(tmp_path / "kept", [_photo("b", 0.75, version=4)] * 100, f"kept-2{kept.CLOSED}")
    _, figure, section = _run(tmp_path, tmp_path / "kept")
    assert figure == "no skew in 301 kept answers"
    assert "Left out: 99 answers about a photo that was sent again." in section["text"]
    assert "versions 3 (300), 4 (1)." in section["text"]
    monkeypatch.setattr(answers, "_MOST", 1)
    found = answers.read(str(tmp_path / "kept"))
    assert (len(found.kept), found.unread) == (1, 1)


def test_a_file_that_the_server_closes_while_the_folder_is_read_is_read(tmp_path, monkeypatch):
    closed = _keep(tmp_path / "kept", _answers(3))
    paths = [str(closed).removesuffix(kept.CLOSED) + kept.OPEN, str(tmp_path / "kept" / "kept-0.tfrec")]
    monkeypatch.setattr(kept, "paths", lambda folder: paths)
    assert len(answers.read(str(tmp_path / "kept")).kept) == 3


def test_real_photos_that_are_darker_have_skew(real_data):
    """Alternate photos of the flowers, whole or darker by a fifth of the range."""
    first, second, *_ = sorted((real_data / "flowers-192").glob("*.tfrec"))
    encoded = [*graphs.first_photos(first, 230), *graphs.first_photos(second, 230)]
    darker = []
    for photo in encoded[1::2]:
        pixels = tf.cast(tf.io.decode_jpeg(photo, channels=3), tf.int32)
        darker.append(tf.io.encode_jpeg(tf.cast(tf.maximum(pixels - 51, 0), tf.uint8)).numpy())
    training, alike, changed = (
        compare.frame_of_answers([Kept(b"a", 0.9, 1, 0, *row) for row in photos.measure(each)])
        for each in (encoded[::2], encoded[1::2], darker)
    )
    assert compare.compare(training, alike).skew == []
    assert {"brightness", "red", "green"} <= set(compare.compare(training, changed).skew)
