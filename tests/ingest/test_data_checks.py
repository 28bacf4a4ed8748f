"""The checks of record files before a run read little, and name what to do."""

import pytest
import tensorflow as tf

from errors import UserError
from ingest import data_checks
from ingest.feature_names import FEATURES
from ingest.records import list_files
from tests.helpers import records

FLOWERS = FEATURES["flowers"]


def _files(folder):
    return list_files(folder, "*")


def _shard(path, **features):
    example = tf.train.Example()
    for name, value in features.items():
        kind = example.features.feature[name.replace("__", "/")]
        (kind.int64_list if isinstance(value, int) else kind.bytes_list).value.append(value)
    records.write(path, [example])


@pytest.mark.parametrize(
    ("features", "says"),
    [
        ({"image__encoded": b"x", "image__class__label": 3}, "--set data.features=tf-slim"),
        ({"image": b"x", "label": 3}, "--set data.features=tfds"),
        ({"image": b"x", "target": 3, "image_name": b"a"}, "--set data.features=kaggle"),
        ({"image": b"x", "species": 3}, "--set data.features.class=NAME"),
        ({"jpeg": b"x", "species": 3}, "--set data.features.image=NAME --set data.features.class=NAME"),
        (
            {"image": 7, "class": 3},
            r"features image \(bytes\) in the records; received in a.tfrec: class \(int64\), image \(int64\)",
        ),
        ({}, "received in a.tfrec: none"),
    ],
)
def test_other_features_are_listed_with_the_setting_that_names_them(tmp_path, features, says):
    _shard(tmp_path / "a.tfrec", **features)
    with pytest.raises(UserError, match=says):
        data_checks.check_features(_files(tmp_path), FLOWERS)


@pytest.mark.parametrize("value", [3, b"roses"])
def test_a_class_is_a_number_or_a_name(tmp_path, value):
    _shard(tmp_path / "a.tfrec", **{"image": b"x", "class": value})
    data_checks.check_features(_files(tmp_path), FLOWERS)
    with pytest.raises(UserError, match="image/encoded"):
        data_checks.check_features(_files(tmp_path), FEATURES["tf-slim"])
    _shard(tmp_path / "a.tfrec", **{"image__encoded": b"x", "image__class__label": value})
    data_checks.check_features(_files(tmp_path), FEATURES["tf-slim"])


def test_one_readable_record_is_enough(tmp_path):
    folder = records.folder(tmp_path, shards=4)
    (folder / "part0-10.tfrec").write_bytes(b"")
    (folder / "part1-10.tfrec").write_bytes(b"<html>404</html>")
    data_checks.check_features(_files(folder), FLOWERS)
    with pytest.raises(UserError, match="no record can be read in 2 files"):
        data_checks.check_features(_files(folder)[:2], FLOWERS)


def test_files_without_a_readable_record_are_named(tmp_path):
    (tmp_path / "a.tfrec").touch()
    (tmp_path / "b.tfrec").write_bytes(b"<html>404</html>")
    with (tmp_path / "c.tfrec").open("wb") as file:
        data_checks.record_file.write_record(file, b"\xff\xff no example")
    (tmp_path / "d.tfrec").symlink_to("nowhere")
    with pytest.raises(UserError, match="no record can be read in 4 files") as error:
        data_checks.check_features(_files(tmp_path), FLOWERS)
    for line in (
        "a.tfrec: contains no records",
        "b.tfrec: wrong checksum of the length; not a TFRecord file",
        "c.tfrec: the first record is not a tf.Example",
        "d.tfrec: No such file or directory",
    ):
        assert line in str(error.value)


def test_record_files_that_are_not_read_are_named(tmp_path):
    folder = records.folder(tmp_path, shards=2)
    files = list_files(folder, "*.tfrec")
    assert data_checks.unmatched_notice(folder, "*.tfrec", files) == ""
    (folder / "z.tfrecord").touch()
    (folder / "notes.txt").touch()
    assert data_checks.unmatched_notice(folder, "*.tfrec", files) == (
        "skipped 1 file that '*.tfrec' (data.pattern) does not match: z.tfrecord"
    )
    (folder / "z.tfrecord").unlink()
    beside = ["a.tfrec.part", "b.tfrecord.index", "c-00001-of-00002.json", "d-1-of-2~", "part0-10.tfrec.bak"]
    for name in beside:
        (folder / name).touch()
    assert _files(folder) == files
    assert data_checks.unmatched_notice(folder, "*", files) == (
        f"skipped 5 files that '*' (data.pattern) does not match: {', '.join(beside)}"
    )
    for name in beside:
        (folder / name).unlink()
    (folder / "z.tfrecord").touch()
    (folder / "a").mkdir()
    (folder / "a" / "x.tfrec").touch()
    assert data_checks.unmatched_notice(folder, "*.tfrec", files) == (
        "skipped 2 files that '*.tfrec' (data.pattern) does not match: a/x.tfrec, z.tfrecord"
    )
