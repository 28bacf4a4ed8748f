"""ExampleGen's files are decided by the records, whatever bundles Beam makes of them."""

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf

from components import shards


def _records(count: int) -> list[bytes]:
    random = np.random.default_rng(0)
    return [random.bytes(40) for _ in range(count)]


def _written(folder, given, number: int, order: int, at_a_time: int) -> dict[str, bytes]:
    """What is written of the records, mixed and in bundles of a size."""
    mixed = [given[index] for index in np.random.default_rng(order).permutation(len(given))]
    bundles = [mixed[start : start + at_a_time] for start in range(0, len(mixed), at_a_time)]
    with beam.Pipeline("BundleBasedDirectRunner") as pipeline:
        created = pipeline | beam.Create(bundles) | beam.Reshuffle()
        records = created | beam.FlatMap(lambda bundle: bundle).with_output_types(bytes)
        _ = records | shards.Write(str(folder), number)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_order_of_3670_records_does_not_depend_on_bundles(tmp_path):
    records = _records(3670)
    first = _written(tmp_path / "first", records, 3, order=1, at_a_time=100)
    assert sorted(first) == [f"data_tfrecord-{number:05d}-of-00003.gz" for number in range(3)]
    assert _written(tmp_path / "second", records, 3, order=2, at_a_time=7) == first
    files = sorted(map(str, (tmp_path / "first").iterdir()))
    read = list(tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator())
    assert sorted(read) == sorted(records)
    assert [1100 < len(list(tf.data.TFRecordDataset(file, "GZIP"))) < 1350 for file in files] == [True] * 3


def test_the_order_is_not_that_of_the_input(tmp_path):
    """A folder of photos comes class by class."""
    records = [bytes([number // 100]) + rest for number, rest in enumerate(_records(500))]
    _written(tmp_path / "out", records, 1, order=0, at_a_time=500)
    read = list(tf.data.TFRecordDataset([str(next((tmp_path / "out").iterdir()))], "GZIP").as_numpy_iterator())
    assert {record[0] for record in read[:50]} == set(range(5))


def test_an_example_is_written_the_same_way_whatever_the_order_of_its_features(tmp_path):
    names = [f"feature {number}" for number in range(20)]
    examples = []
    for order in (names, names[::-1]):
        example = tf.train.Example()
        for name in order:
            example.features.feature[name].int64_list.value.append(1)
        examples.append(example)
    assert shards._keyed(examples[0], 7) == shards._keyed(examples[1], 7)


def test_a_split_without_records_is_an_empty_file(tmp_path):
    assert set(_written(tmp_path / "out", [], 1, order=0, at_a_time=1)) == {"data_tfrecord-00000-of-00001.gz"}
    assert not list(tf.data.TFRecordDataset(str(tmp_path / "out" / "data_tfrecord-00000-of-00001.gz"), "GZIP"))


@pytest.mark.parametrize(("size", "number"), [(0, 1), (56 * 2**20, 1), (128 * 2**20 + 1, 2), (10**12, 7451)])
def test_a_shard_is_sorted_in_memory_and_so_of_128_mb_at_most(size, number):
    assert shards.count(size) == number
