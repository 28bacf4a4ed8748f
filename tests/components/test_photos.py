"""The measurements of photos in ExampleGen."""

import numpy as np
import pytest
import tensorflow as tf

from components import photos
from testing import example_gen
from tests.helpers import records


def test_brightness_and_contrast_are_computed_from_the_luma():
    random = np.random.default_rng(3).integers(0, 256, [64, 128, 3]).astype(np.uint8)
    ((size, brightness, contrast, colours),) = photos.measure([tf.io.encode_png(random).numpy()])
    grid = random[:, 1::2]  # 64 × 64 pixels at equal distances
    luma = tf.image.rgb_to_grayscale(grid.astype(np.float32) / 255).numpy()
    assert (brightness, contrast) == pytest.approx((luma.mean(), luma.std()), abs=1e-4)
    assert colours == pytest.approx(grid.mean(axis=(0, 1)) / 255, abs=1e-4)
    assert size == [64, 128]


def test_one_colour_has_no_contrast_at_any_size():
    for size in ((1, 1), (7, 300), (500, 40)):
        ((_, brightness, contrast, colours),) = photos.measure([records.jpeg((128, 128, 128), size)])
        assert (brightness, contrast) == pytest.approx((128 / 255, 0), abs=1e-3)
        assert colours == pytest.approx([128 / 255] * 3, abs=1e-3)


def test_the_table_is_in_the_order_of_the_records(tmp_path):
    folder = records.folder(tmp_path / "data", shards=4, per_shard=10)
    outputs = example_gen.run(folder, tmp_path / "out")
    for split in outputs.splits:
        table = photos.read(outputs.table, split)
        serialized = list(photos.serialized_examples(outputs.examples, split).as_numpy_iterator())
        assert np.array_equal(table.digests, photos.digests(serialized).numpy())
        features = [tf.train.Example.FromString(each).features.feature for each in serialized]
        assert table.labels.tolist() == [each["class"].int64_list.value[0] for each in features]
        ((size, *_),) = photos.measure([features[0]["image"].bytes_list.value[0]])
        assert table.sizes[0].tolist() == size
        assert len(table.names) == len(serialized) == table.records


def test_an_empty_split_has_an_empty_table(tmp_path):
    photos.write([], str(tmp_path), "eval", "00000-of-00001")
    table = photos.read(str(tmp_path), "eval")
    assert (table.records, table.sizes.shape, table.colours.shape) == (0, (0, 2), (0, 3))
