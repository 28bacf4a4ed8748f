"""The content of ExampleGen's files depends only on the records, not on Beam's bundles."""

from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf

from components import photos, record_order
from components.record_check import Good


def _records(count: int) -> list[bytes]:
    random = np.random.default_rng(0)
    return [random.bytes(40) for _ in range(count)]


def _written(folder, records, number: int, seed: int, bundle_size: int) -> dict[str, bytes]:
    """Returns the files written from the records, which are shuffled and divided into bundles."""
    shuffled = [records[index] for index in np.random.default_rng(seed).permutation(len(records))]
    bundles = [shuffled[start : start + bundle_size] for start in range(0, len(shuffled), bundle_size)]
    folders = record_order.Folders(str(folder), str(folder / "table"), str(folder / "quarantine"))
    measured = photos.Measured(1, (8, 8), 0.5, 0.1, (0.5, 0.5, 0.5), (0,) * 8, b"name")
    with beam.Pipeline("BundleBasedDirectRunner") as pipeline:
        created = pipeline | beam.Create(bundles) | beam.Reshuffle()
        flat = created | beam.FlatMap(lambda bundle: bundle).with_output_types(bytes)
        keyed = flat | beam.Map(
            lambda data: (("train", record_order.shard_of(data, number)), Good(data, measured))
        ).with_output_types(tuple[tuple[str, int], Any])
        _ = keyed | record_order.Write(folders, ["train"], range(number), number)
    return {path.name: path.read_bytes() for path in (folder / "Split-train").iterdir()}


def test_the_order_of_3670_records_does_not_depend_on_bundles(tmp_path):
    records = _records(3670)
    first = _written(tmp_path / "first", records, 3, seed=1, bundle_size=100)
    assert sorted(first) == [f"data_tfrecord-{number:05d}-of-00003.gz" for number in range(3)]
    assert _written(tmp_path / "second", records, 3, seed=2, bundle_size=7) == first
    files = sorted(map(str, (tmp_path / "first" / "Split-train").iterdir()))
    read = list(tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator())
    assert sorted(read) == sorted(records)
    assert [1100 < len(list(tf.data.TFRecordDataset(file, "GZIP"))) < 1350 for file in files] == [True] * 3


def test_the_order_differs_from_the_input(tmp_path):
    """In a folder of photos, the classes follow each other."""
    records = [bytes([number // 100]) + rest for number, rest in enumerate(_records(500))]
    _written(tmp_path / "out", records, 1, seed=0, bundle_size=500)
    read = list(
        tf.data.TFRecordDataset([str(next((tmp_path / "out" / "Split-train").iterdir()))], "GZIP").as_numpy_iterator()
    )
    assert {record[0] for record in read[:50]} == set(range(5))


def test_a_split_without_records_is_an_empty_file(tmp_path):
    assert set(_written(tmp_path / "out", [], 1, seed=0, bundle_size=1)) == {"data_tfrecord-00000-of-00001.gz"}
    assert not list(
        tf.data.TFRecordDataset(str(tmp_path / "out" / "Split-train" / "data_tfrecord-00000-of-00001.gz"), "GZIP")
    )


@pytest.mark.parametrize(("size", "number"), [(0, 1), (56 * 2**20, 1), (128 * 2**20 + 1, 2), (10**12, 7451)])
def test_a_shard_has_at_most_128_mb_because_it_is_sorted_in_memory(size, number):
    assert record_order.shard_count(size) == number
