"""What explains a mistake in the report: similar training photos, and occlusion."""

import doctest

import numpy as np
import pytest
import tensorflow as tf

from components.photos import Photos
from components.report import neighbours, occlusion, page
from components.report.thumbnails import pictures
from testing import graphs
from tests.helpers import records
from trainer import embeddings, models
from trainer.embeddings import Embeddings
from trainer.export import export


def _digests(count: int, first: int) -> np.ndarray:
    return np.arange(first, first + 8 * count, dtype=np.uint8).reshape(count, 8)


def _split(labels: list[int], names: list[bytes], first: int) -> Photos:
    count = len(labels)
    zeros = np.zeros([count], np.float32)
    sizes, colours = np.zeros([count, 2], np.int32), np.zeros([count, 3], np.float32)
    return Photos(np.array(labels), sizes, zeros, zeros, colours, _digests(count, first), np.array(names))


SPLITS = {
    "train": _split([0, 1, 0, 7], [b"a.jpg", b"<b>.jpg", b"new\nline.jpg", b"d.jpg"], 0),
    "test": _split([1, 0], [b"x", b"y"], 100),
}


def _write(folder, train: list, test: list = ((0, 0), (2, 0))) -> str:
    for split, features in (("train", train), ("test", test)):
        photos = SPLITS[split]
        rows = Embeddings(photos.digests, photos.labels, np.array(features, np.float16))
        embeddings.write({"original": [rows]}, str(folder), split, "00000-of-00001")
    return str(folder)


def test_the_nearest_training_photos_by_hand(tmp_path):
    table = _write(tmp_path, [[3, 4], [0, 2], [5, 0], [-1, 0]])
    relabelled = {SPLITS["train"].digests[0].tobytes().hex(): "tulip"}
    zeros, found = neighbours.nearest(table, SPLITS, "test", [0, 1], ["rose", "<i>tulip"], relabelled)
    assert [(each["record"], each["file"], each["class"]) for each in found] == [
        (2, "new\\nline.jpg", "rose"),
        (0, "a.jpg", "rose"),
        (1, "<b>.jpg", "<i>tulip"),
    ]
    assert [each["similarity"] for each in found] == pytest.approx([1, 0.6, 0])
    assert [each["was"] for each in found] == [None, "tulip", None]
    assert [each["similarity"] for each in zeros] == [0, 0, 0]  # features of zeros have no direction


def test_a_small_training_split_and_a_class_without_a_name(tmp_path):
    splits = SPLITS | {"train": _split([7], [b"a"], 0)}
    rows = Embeddings(splits["train"].digests, np.array([7]), np.ones([1, 2], np.float16))
    table = _write(tmp_path, np.ones([4, 2]))
    embeddings.write({"original": [rows]}, table, "train", "00000-of-00001")
    ((only,),) = neighbours.nearest(table, splits, "test", [1], ["rose"], {})
    assert (only["class"], only["record"]) == ("class 7", 0)


@pytest.mark.parametrize("case", ["no table", "other records", "no photos", "no mistakes"])
def test_without_embeddings_of_the_same_records(tmp_path, case):
    table = _write(tmp_path, np.ones([4, 2])) if case != "no table" else None
    splits = {
        "other records": SPLITS | {"train": _split([0] * 4, [b"a"] * 4, 50)},
        "no photos": {},
    }.get(case, SPLITS)
    chosen = [] if case == "no mistakes" else [0, 1]
    assert neighbours.nearest(table, splits, "test", chosen, ["a", "b"], {}) == [None] * len(chosen)


def _corner(photos) -> np.ndarray:
    """A model that looks only at the first 2 × 2 pixels."""
    bright = np.array([each[:2, :2].mean() / 255 for each in photos])
    return np.stack([bright, np.full_like(bright, 0.1)], axis=1)


def test_the_losses_and_the_heat_by_hand():
    white = np.full([8, 8, 3], 255, np.uint8)
    (losses,) = occlusion.losses(_corner, [white])
    lost = 128 / 255  # from white to the grey of the square
    expected = np.zeros([7, 7])
    expected[:2, :2] = [[lost, lost / 2], [lost / 2, lost / 4]]
    np.testing.assert_allclose(losses, expected, atol=1e-6)
    heat = occlusion.heat(losses, 8)
    assert heat[0, 0] == pytest.approx(lost)  # one square covers this pixel
    assert heat[1, 1] == pytest.approx((lost + 2 * lost / 2 + lost / 4) / 4)
    assert not heat[3:].any()
    shown = occlusion.overlay(white, losses)
    assert shown[0, 0].tolist() == [255, 83, 51]  # 0.8 of the red (255, 40, 0)
    assert shown[7, 7].tolist() == [255, 255, 255]
    assert white.min() == 255  # the photo itself is not changed


def test_the_examples_of_the_docstrings():
    for module in (occlusion, page):
        assert doctest.testmod(module).failed == 0 < doctest.testmod(module).attempted


def test_a_gain_is_not_red():
    losses = np.full([7, 7], -0.3)
    photo = np.full([8, 8, 3], 90, np.uint8)
    assert (occlusion.overlay(photo, losses) == photo).all()
    losses[3, 3] = 0.05  # a loss is red, whatever the squares beside it do
    (row, column) = [occlusion.squares(8, 7)[3]] * 2
    strong = occlusion.overlay(photo, losses)[row, column, 0]
    assert (strong > 90).all()
    losses[3, 3] = 0.01
    assert strong.max() == 222  # 0.8 of the red
    assert occlusion.overlay(photo, losses)[row, column, 0].max() == 116  # a fifth of it
    assert "No single square decided: with the worst" in occlusion.words("a", 0.88, losses.tolist())


@pytest.mark.parametrize("positions", [3, 5, 7])
@pytest.mark.parametrize("size", [8, 28, 192, 299])
def test_the_squares_cover_the_photo(size, positions):
    parts = occlusion.squares(size, positions)
    covered = np.zeros(size, int)
    for each in parts:
        covered[each] += 1
    assert covered.min() >= 1
    assert (parts[0].start, parts[-1].stop, len(parts)) == (0, size, positions)


@pytest.mark.parametrize(("channels", "resize"), [(1, "pad"), (3, "plain")])
def test_the_model_sees_the_resized_photo_as_the_original(tmp_path, channels, resize):
    photo = tf.io.encode_jpeg(tf.cast(tf.random.stateless_uniform([50, 30, 3], [1, 2], 0, 255), tf.uint8)).numpy()
    settings = {"image_size": 16, "channels": channels, "resize": resize, "normalize": "mean-deviation"}
    transform = graphs.build(tmp_path / "graph", [photo, records.jpeg()], **settings)
    export(models.build("softmax", (16, 16, channels), 3), transform, "abc", str(tmp_path / "Format-Serving"))
    (tmp_path / "Split-test").mkdir()
    with tf.io.TFRecordWriter(str(tmp_path / "Split-test" / "data.gz"), "GZIP") as writer:
        writer.write(records.example(0, photo).SerializeToString())
    resized = pictures(str(tmp_path), "test", [0], 16, resize)
    serve = tf.saved_model.load(str(tmp_path / "Format-Serving")).signatures["serving_default"]
    expected = serve(image_bytes=tf.constant([photo]))["probabilities"].numpy()
    predict = occlusion.load(str(tmp_path))
    np.testing.assert_allclose(predict([resized[0]]), expected, atol=1e-6)
    (losses,) = occlusion.losses(predict, [resized[0]])
    assert losses.shape == (7, 7) and np.ptp(losses) > 0


def test_a_missing_model_or_photo(tmp_path):
    assert occlusion.load(None) is occlusion.load(str(tmp_path)) is None
    assert occlusion.losses(_corner, []) == []
    assert occlusion.affordable(0.0, 3) == 7
