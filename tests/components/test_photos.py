"""The measurements of photos in the data gate."""

import numpy as np
import pytest
import tensorflow as tf

from components import data_gate, photos
from tests.helpers import records


def test_brightness_and_contrast_are_computed_from_the_luma(tmp_path):
    random = np.random.default_rng(3).integers(0, 256, [24, 30, 3]).astype(np.uint8)
    (tmp_path / "Split-train").mkdir()
    with tf.io.TFRecordWriter(str(tmp_path / "Split-train" / "data.gz"), "GZIP") as writer:
        writer.write(records.example(4, tf.io.encode_png(random).numpy()).SerializeToString())
    measured = photos.measure(str(tmp_path), "train")
    luma = tf.image.rgb_to_grayscale(random.astype(np.float32) / 255).numpy()
    assert (measured.brightness[0], measured.contrast[0]) == pytest.approx((luma.mean(), luma.std()), abs=1e-4)
    assert measured.colours[0] == pytest.approx(random.mean(axis=(0, 1)) / 255, abs=1e-4)
    assert (measured.records, measured.labels.tolist(), measured.sizes.tolist()) == (1, [4], [[24, 30]])


def test_measurements_are_read_as_written(tmp_path):
    (tmp_path / "Split-train").mkdir()
    with tf.io.TFRecordWriter(str(tmp_path / "Split-train" / "data.gz"), "GZIP") as writer:
        for photo in (records.jpeg(), b"no photo"):
            writer.write(records.example(1, photo).SerializeToString())
    (tmp_path / "Split-eval").mkdir()
    for split, (count, decoded) in {"train": (2, 1), "eval": (0, 0)}.items():
        measured = photos.measure(str(tmp_path), split)
        photos.write(measured, str(tmp_path / "table"), split)
        read = photos.read(str(tmp_path / "table"), split)
        assert (read.records, len(read.record_numbers), len(read.digests)) == (count, decoded, decoded)
        assert all(np.array_equal(*pair) for pair in zip(measured, read, strict=True))


@pytest.mark.parametrize("classes", [[], [0, 1]])
def test_a_photo_whose_class_cannot_be_read_is_not_reported_as_undecodable(tmp_path, classes):
    example = records.example()
    example.features.feature["class"].int64_list.value[:] = classes
    (tmp_path / "Split-eval").mkdir()
    with tf.io.TFRecordWriter(str(tmp_path / "Split-eval" / "data.gz"), "GZIP") as writer:
        writer.write(example.SerializeToString())
    assert len(photos.measure(str(tmp_path), "eval").labels) == 0
    records.write(tmp_path / "data" / "a.tfrec", [example])
    assert data_gate._undecodable(str(tmp_path), "eval", str(tmp_path / "data"), "*.tfrec") == []
    records.write(tmp_path / "data" / "b.tfrec", [records.example(0, b"no photo")])
    with tf.io.TFRecordWriter(str(tmp_path / "Split-eval" / "more.gz"), "GZIP") as writer:
        writer.write(records.example(0, b"no photo").SerializeToString())
    (found,) = data_gate._undecodable(str(tmp_path), "eval", str(tmp_path / "data"), "*.tfrec")
    assert found.what.startswith("1 photo cannot be decoded") and "b.tfrec record 0" in found.what
