"""BulkInferrer gives each photo, record and file of a folder one row: an answer, or the reason why there is none."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from pyarrow import parquet
from tfx.types.standard_artifacts import InferenceResult, PushedModel

from components import input_files
from components.bulk import component, counts, inference, reading, table
from errors import UserError
from ingest import bulk_input, record_file
from ingest.feature_names import FEATURES
from ingest.sample import CLASSES
from serving import tables
from testing import graphs
from tests.helpers import records
from tests.helpers.trained import FITTED, _model
from trainer.export import export

PHOTOS = [records.jpeg((40 * index, 250 - 40 * index, 30 * index)) for index in range(6)]
VERSION = 1700000000123456


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    graph = graphs.build(folder / "graph", PHOTOS[:1], image_size=16)
    export(_model(), graph, CLASSES, str(folder / "model"), FITTED)
    return folder / "model"


def _run(model: Path, data: Path, to: Path, pushed: int = 1, features="flowers", beam=()) -> InferenceResult:
    artifact, output = PushedModel(), InferenceResult()
    artifact.uri, output.uri = str(model), str(to)
    artifact.set_int_custom_property("pushed", pushed)
    artifact.set_string_custom_property("pushed_version", str(VERSION))
    to.mkdir()
    properties = {"bulk_data": str(data), "pattern": "*", "features": json.dumps(FEATURES[features])}
    context = component.Executor.Context(beam_pipeline_args=list(beam), tmp_dir=str(to.parent), unique_id="1")
    executor = component.Executor(context)
    executor.Do({"pushed_model": [artifact]}, {"predictions": [output]}, properties | {"model_name": "pets"})
    return output


def _rows(output: InferenceResult) -> list[dict]:
    return sorted(parquet.read_table(output.uri).to_pylist(), key=lambda row: (row["file"], row["record"] or 0))


def _example(**values: bytes | int) -> bytes:
    example = tf.train.Example()
    for name, value in values.items():
        feature = example.features.feature[name.replace("__", "/")]
        (feature.int64_list if isinstance(value, int) else feature.bytes_list).value.append(value)
    return example.SerializeToString()


def _shard(path: Path, *examples: bytes) -> bytes:
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        for each in examples:
            record_file.write_record(file, each)
    return path.read_bytes()


def test_the_columns_are_those_of_predict():
    assert tuple(table.SCHEMA.names) == (*tables.COLUMNS, "record", "filename")


def test_each_record_has_a_row_whether_it_can_be_used_or_not(model, tmp_path):
    data = tmp_path / "data"
    good = [_example(image=photo, filename=f"{index}.jpg".encode()) for index, photo in enumerate(PHOTOS)]
    bad = [
        _example(image=PHOTOS[0][:200], filename=b"cut.jpg"),
        _example(image=b"RIFF\0\0\0\0WEBPVP8 "),
        _example(filename=b"none.jpg"),
        b"\xff\xfe no example",
    ]
    content = _shard(data / "a.tfrecord", *good, *bad)
    flipped = bytearray(content)
    flipped[100] ^= 1  # in the first record
    (data / "b.tfrecord").write_bytes(flipped)
    (data / "c.tfrecord").write_bytes(b"\0" * 12 + content)  # its first length is damaged
    (data / "empty.tfrecord").write_bytes(b"")
    output = _run(model, data, tmp_path / "out")
    rows = _rows(output)
    assert [(row["file"], row["record"]) for row in rows] == [
        *(("a.tfrecord", index) for index in range(10)),
        *(("b.tfrecord", index) for index in range(10)),
        ("c.tfrecord", 0),
    ]
    reasons = ["the photo is damaged", "WebP is not supported; send JPEG, PNG, GIF or BMP", "no image"]
    reasons.append("not a tf.Example")
    found = [row["status"].partition(": ")[0] for row in rows]
    assert found == [*[""] * 6, *reasons, "damaged record", *[""] * 5, *reasons, "damaged record"]
    direct = tf.saved_model.load(str(model)).signatures["serving_default"](image_bytes=tf.constant(PHOTOS))
    for row, label, probabilities in zip(rows, direct["label"].numpy(), direct["probabilities"].numpy(), strict=False):
        assert (row["label"], row["filename"]) == (label.decode(), f"{row['record']}.jpg")
        np.testing.assert_allclose(row["probabilities"], probabilities, atol=1e-5)
        assert row["probability"] == max(row["probabilities"])
        assert row["sure"] == (row["probability"] >= FITTED.threshold)
    assert all((row["model"], row["version"]) == ("pets", VERSION) for row in rows)
    unused = [row for row in rows if row["status"]]
    assert all((row["label"], row["probability"], row["probabilities"]) == (None, None, []) for row in unused)
    counted = counts.read(output.uri)
    assert counted.unused == dict.fromkeys(reasons, 2) | {"damaged record": 2}
    assert (counted.read, counted.rows, sum(counted.classes.values())) == (21, 21, 11)


def test_a_folder_of_photos_with_names_and_files_of_all_kinds(model, tmp_path):
    data = tmp_path / "photos"
    (data / "deep er").mkdir(parents=True)
    names = ["a.jpg", "deep er/é.JPEG", "damaged.png", os.fsdecode(b"odd \xff.jpg")]
    for name, photo in zip(names, [PHOTOS[0], PHOTOS[1], b"no photo", PHOTOS[2]], strict=True):
        (data / name).write_bytes(photo)
    (data / "link.jpg").symlink_to("nowhere")
    for name in ("notes.txt", ".hidden.jpg"):
        (data / name).write_bytes(PHOTOS[0])
    output = _run(model, data, tmp_path / "out")
    assert {row["file"]: row["status"][:30] for row in _rows(output)} == {
        "a.jpg": "",
        "damaged.png": "the format is unknown; send JP",
        "deep er/é.JPEG": "",
        "link.jpg": "the file cannot be read: No su",
        "odd \\xff.jpg": "",
    }
    assert counts.lines(counts.read(output.uri))[0] == "5 photos, 2 of them not used"
    assert counts.lines(counts.read(output.uri))[-1] == "skipped: 1 file that is no photo"


def test_other_names_of_features_and_no_class(model, tmp_path):
    photo = {"image__encoded": PHOTOS[0], "image__filename": b"x.jpg"}
    _shard(tmp_path / "slim" / "a.tfrecord", _example(**photo))
    (row,) = _rows(_run(model, tmp_path / "slim", tmp_path / "out", features="tf-slim"))
    assert (row["status"], row["filename"]) == ("", "x.jpg")


def test_a_model_that_was_not_pushed_predicts_nothing(model, tmp_path):
    _shard(tmp_path / "data" / "a.tfrecord", _example(image=PHOTOS[0]))
    output = _run(model, tmp_path / "data", tmp_path / "out", pushed=0)
    assert not list(Path(output.uri).iterdir())
    assert component.STAGE.figure({"predictions": [output]}, {}) == "not run, because no model was pushed"


def test_empty_record_files_are_no_photos(model, tmp_path):
    _shard(tmp_path / "data" / "a.tfrecord")
    with pytest.raises(UserError, match="bulk.data: expected photos, received only empty record files in"):
        _run(model, tmp_path / "data", tmp_path / "out")


def test_a_missing_row_is_an_error(model, tmp_path, monkeypatch):
    _shard(tmp_path / "data" / "a.tfrecord", *[_example(image=photo) for photo in PHOTOS])
    whole = inference.Handler.run_inference
    monkeypatch.setattr(inference.Handler, "run_inference", lambda *args: list(whole(*args))[1:])
    with pytest.raises(RuntimeError, match="expected a row for each of 6 photos, received 5 rows"):
        _run(model, tmp_path / "data", tmp_path / "out")


class _Noted(inference.Handler):
    """Notes each load of the model in a folder, by process."""

    def load_model(self):
        with (Path(self._path).parent / f"load-{os.getpid()}").open("a") as file:
            file.write("x")
        return super().load_model()


def test_each_process_of_the_workers_loads_the_model_once(model, tmp_path, monkeypatch):
    monkeypatch.setattr(component, "Handler", _Noted)
    for index in range(8):
        _shard(tmp_path / "data" / f"{index}.tfrecord", *[_example(image=photo) for photo in PHOTOS] * 10)
    beam = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    rows = _rows(_run(model, tmp_path / "data", tmp_path / "out", beam=beam))
    assert len({(row["file"], row["record"]) for row in rows}) == len(rows) == 480
    loads = {path.name: path.read_text() for path in model.parent.glob("load-*")}
    assert len(loads) <= 2
    assert f"load-{os.getpid()}" not in loads
    assert set(loads.values()) == {"x"}


def test_a_folder_that_cannot_be_used(tmp_path):
    with pytest.raises(UserError, match="in which no record file matches 'x.*' .* and no photo is found"):
        bulk_input.find(str(tmp_path), "x*")


def test_links_to_nothing_and_pipes_have_a_row(model, tmp_path):
    data = tmp_path / "data"
    records.photo_file(data / "0.jpg", (40, 200, 30))
    (data / "1.jpg").symlink_to("nowhere")
    (data / "2.jpg").symlink_to("2.jpg")
    os.mkfifo(data / "3.jpg")
    files = component.Driver(None).files({"bulk_data": str(data), "pattern": "*"})
    assert [input_files._state(file)[0] > 0 for file in files] == [True, False, False, False]
    rows = _rows(_run(model, data, tmp_path / "out"))
    assert [row["status"] for row in rows] == [
        "",
        "the file cannot be read: No such file or directory",
        "the file cannot be read: Too many levels of symbolic links",
        "the file cannot be read: expected a file, received a folder, a pipe or a device",
    ]


def test_a_link_to_a_pipe_among_the_record_files_is_no_wait(tmp_path):
    _shard(tmp_path / "data" / "a.tfrecord", _example(image=PHOTOS[0]))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "data" / "b.tfrecord").symlink_to(tmp_path / "pipe")
    (tmp_path / "data" / "c.tfrecord").symlink_to("c.tfrecord")
    found = bulk_input.find(str(tmp_path / "data"), "*")
    assert [Path(file).name for file in found.files] == ["a.tfrecord", "b.tfrecord", "c.tfrecord"]
    read = reading.Read(str(tmp_path / "data"), FEATURES["flowers"], found.are_records)
    assert next(read.process(os.fsencode(found.files[0]))).photo == PHOTOS[0]
    with pytest.raises(OSError, match=r"expected a file, received a folder, a pipe or a device.*b\.tfrecord"):
        next(read.process(os.fsencode(found.files[1])))
    assert not record_file.begins(Path(found.files[1]))
