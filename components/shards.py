"""Writes ExampleGen's records in an order that the records alone decide."""

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import tensorflow as tf

_BYTES = 128 * 2**20  # of a shard, on average: a worker sorts one in memory


def count(total_bytes: int) -> int:
    """Returns the number of shards for a split of about that size, at least 1."""
    return max(1, -(-total_bytes // _BYTES))


@beam.ptransform_fn
def Write(records: beam.PCollection, folder: str, shards: int) -> beam.PCollection:  # noqa: N802 (Beam's style)
    """Writes gzipped TFRecord files, a shard by the SHA-256 of each record, and in each shard sorted by it.

    TFX's own WriteSplit writes a file for each bundle, in the order of the bundles, which no Beam engine promises
    (issue 11). A split without records is one empty file for each shard, as TFX's is.

    Args:
      records: serialized examples, or tf.train.Examples.
      folder: where the files `data_tfrecord-00000-of-00001.gz` go.
      shards: their number.
    """
    keyed = records | "Key" >> beam.Map(_keyed, shards).with_output_types(tuple[int, bytes])
    numbers = records.pipeline | "Numbers" >> beam.Create([(number, True) for number in range(shards)])
    return (
        {"records": keyed, "numbers": numbers}
        | "ByShard" >> beam.CoGroupByKey()
        | "WriteShard" >> beam.FlatMap(_write, folder, shards)
    )


def _keyed(record: bytes | tf.train.Example, shards: int) -> tuple[int, bytes]:
    data = record if isinstance(record, bytes) else record.SerializeToString(deterministic=True)
    return int.from_bytes(_digest(data)[-8:]) % shards, data  # the last bytes: the first decide the order


def _write(shard: tuple[int, dict[str, Iterable[Any]]], folder: str, shards: int) -> Iterator[str]:
    number, grouped = shard
    path = f"{folder}/data_tfrecord-{number:05d}-of-{shards:05d}.gz"
    part = f"{folder}-{uuid.uuid4()}.part"  # beside the folder that is read; an engine may run a bundle twice at once
    tf.io.gfile.makedirs(folder)
    with tf.io.TFRecordWriter(part, "GZIP") as writer:
        for record in sorted(grouped["records"], key=_digest):
            writer.write(record)
    tf.io.gfile.rename(part, path, overwrite=True)
    yield path


def _digest(record: bytes) -> bytes:
    return hashlib.sha256(record).digest()
