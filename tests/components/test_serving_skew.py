"""ServingSkew finds other classes and other light in service, and no skew where there is none."""

import doctest
import json

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2
from tfx.orchestration.portable import data_types
from tfx.types.standard_artifacts import ExampleAnomalies, ExampleStatistics

from components import photos, sections
from components.artifacts import PhotoTable, ReportSection
from components.serving_skew import compare, component
from errors import UserError
from ingest import kept, record_file

CLASSES = ["daisy", "dandelion", "roses", "sunflowers", "tulips"]


def _frame(**classes: int) -> pd.DataFrame:
    names = [name for name, count in classes.items() for _ in range(count)]
    values = np.linspace(0, 1, len(names)).astype(np.float32)
    return pd.DataFrame({"class": names} | dict.fromkeys(compare.MEASURED, values))


@pytest.fixture(scope="module")
def measured(real_data) -> list[kept.Kept]:
    """The measurements of 800 real photos in random order, as answers that name the true class."""
    data = tf.data.TFRecordDataset(sorted(map(str, (real_data / "flowers-192").glob("*.tfrec")))[:4]).take(800)
    features = [tf.train.Example.FromString(each).features.feature for each in data.as_numpy_iterator()]
    encoded = [each["image"].bytes_list.value[0] for each in features]
    labels = [CLASSES[each["class"].int64_list.value[0]].encode() for each in features]
    answers = [
        kept.Kept(label, 0.9, 3, 1_790_000_000 + index, *values)
        for index, (label, values) in enumerate(zip(labels, photos.measure(encoded), strict=True))
    ]
    return [answers[index] for index in np.random.default_rng(2).permutation(len(answers))]


def _table(folder, answers) -> PhotoTable:
    rows = [
        photos.Measured(CLASSES.index(each.label.decode()), each.size, *each[5:8], [0] * 8, b"") for each in answers
    ]
    photos.write(rows, str(folder), "train", "00000-of-00001")
    table = PhotoTable()
    table.uri = str(folder)
    return table


def _write(file, answers) -> None:
    file.parent.mkdir(exist_ok=True)
    with file.open("wb") as shard:
        for each in answers:
            record_file.write_record(shard, kept.serialized(each))


def _run(tmp_path, training, folder):
    """Runs the node; returns what it prints, the skewed features by TFDV, and the section."""
    outputs = {"statistics": ExampleStatistics(), "anomalies": ExampleAnomalies(), "section": ReportSection()}
    for name, artifact in outputs.items():
        artifact.uri = str(tmp_path / name)
        (tmp_path / name).mkdir()
    lists = {name: [artifact] for name, artifact in outputs.items()}
    table = _table(tmp_path / "table", training)
    component.Executor().Do({"table": [table]}, lists, {"kept": str(folder), "classes": json.dumps(CLASSES)})
    content = (tmp_path / "anomalies" / "Split-serving" / "SchemaDiff.pb").read_bytes()
    skewed = set(anomalies_pb2.Anomalies.FromString(content).anomaly_info)
    section = json.loads((tmp_path / "section" / sections.FILE).read_text())
    return component.STAGE.figure(lists, {}), skewed, section


def test_the_distance_of_the_classes_is_the_largest_difference_of_a_share():
    found = compare.compare(_frame(daisy=50, roses=50), _frame(daisy=80, roses=10, tulips=10))
    (distance,) = (each for each in found.distances if each.feature == "class")
    assert distance.value == pytest.approx(0.4) and distance.is_skew  # roses: 50 % and 10 %
    assert set(found.anomalies.anomaly_info) == {"class"}
    assert {each.feature for each in found.distances} == {"class", *compare.MEASURED}


def test_real_photos_of_the_same_kind_have_no_skew(measured, tmp_path):
    _write(tmp_path / "kept" / "kept-1.tfrec", measured[400:])
    figure, skewed, section = _run(tmp_path, measured[:400], tmp_path / "kept")
    assert (figure, skewed) == ("400 kept answers · no skew", set())
    assert "400 answers that the server kept from 2026-09-21 to 2026-09-21 (UTC), of the versions 3" in section["text"]
    assert len(section["rows"]) == 6 and not section["commands"]
    names = {path.parent.name for path in (tmp_path / "statistics").glob("*/FeatureStats.pb")}
    assert names == {"Split-train", "Split-serving"}
    content = (tmp_path / "statistics" / "Split-serving" / "FeatureStats.pb").read_bytes()
    assert statistics_pb2.DatasetFeatureStatisticsList.FromString(content).datasets[0].num_examples == 400


@pytest.mark.parametrize("image", [b"photo", b""])
def test_dark_photos_and_a_missing_class_are_skew(measured, tmp_path, image):
    def darker(each):
        colours = np.clip(np.array(each.colours) - 0.2, 0, 1).tolist()
        return each._replace(brightness=max(each.brightness - 0.2, 0.0), colours=colours, image=image)

    served = [darker(each) for each in measured[400:] if each.label != b"tulips"]
    folder = tmp_path / "kept ones"
    _write(folder / "kept-1.tfrec", served)
    figure, skewed, section = _run(tmp_path, measured[:400], folder)
    assert skewed == {"brightness", "red", "green", "blue", "class"}
    for feature in skewed:
        assert feature in figure.partition("skew in ")[2]
    (row,) = (row for row in section["rows"] if row[0] == "class")
    assert row[4] == "0.0% tulips" and row[5] == "yes"
    assert section["commands"] == [f"python -m ingest kept '{folder}' --to to-label"] * bool(image)
    assert ("start the server with --keep-photos." in section["text"]) == (not image)


@pytest.mark.parametrize(
    ("training", "answers", "says"),
    [
        (400, 40, "not compared: 40 kept answers, 240 answers are needed for 400 training photos"),
        (100, 400, "not compared: 400 kept answers, 100 training photos are too few"),
    ],
)
def test_too_few_are_not_compared(measured, tmp_path, training, answers, says):
    _write(tmp_path / "kept" / "kept-1.tfrec.part", measured[400 : 400 + answers])
    figure, skewed, section = _run(tmp_path, measured[:training], tmp_path / "kept")
    assert (figure, skewed, section["rows"]) == (says, set(), [])
    assert f"Nothing was compared: {says.partition(', ')[2]}." in section["text"]


def test_damaged_records_are_counted(measured, tmp_path):
    _write(tmp_path / "kept" / "kept-1.tfrec", measured[400:700])
    content = bytearray((tmp_path / "kept" / "kept-1.tfrec").read_bytes())
    content[20] ^= 1
    (tmp_path / "kept" / "kept-1.tfrec").write_bytes(content[:-5])
    figure, _, section = _run(tmp_path, measured[:400], tmp_path / "kept")
    assert figure == "298 kept answers · no skew"
    assert "Left out: 2 damaged or incomplete records, the first is kept-1.tfrec record 0." in section["text"]


def test_a_folder_without_answers_is_refused(measured, tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "kept-1.tfrec").write_bytes(b"no record")
    with pytest.raises(UserError, match=r"no record of --keep can be read in .*kept; give the folder of --keep"):
        _run(tmp_path, measured[:200], tmp_path / "kept")


def test_new_answers_change_the_cache_key(measured, tmp_path):
    def key():
        execution = data_types.ExecutionInfo(exec_properties={"kept": str(tmp_path / "kept")})
        return component.Driver(None).run(execution).exec_properties["fingerprint"].string_value

    _write(tmp_path / "kept" / "kept-1.tfrec", measured[:3])
    first = key()
    assert first == key() and first.startswith("1 files")
    _write(tmp_path / "kept" / "kept-2.tfrec.part", measured[:1])
    second = key()
    _write(tmp_path / "kept" / "kept-2.tfrec.part", measured[:2])
    assert len({first, second, key()}) == 3


def test_the_worked_examples():
    assert doctest.testmod(compare).failed == 0 < doctest.testmod(compare).attempted
