"""Writes ExampleGen's records in an order that depends only on the records."""

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import tensorflow as tf

_SHARD_BYTES = 128 * 2**20  # on average; a worker sorts one shard in memory


def shard_count(total_bytes: int) -> int:
    """Returns the number of shards for a split of this size, at least 1."""
    return max(1, -(-total_bytes // _SHARD_BYTES))


@beam.ptransform_fn
def Write(records: beam.PCollection, folder: str, shards: int) -> beam.PCollection:  # noqa: N802 (Beam's style)
    """Writes gzipped TFRecord files. The SHA-256 of a record decides its shard and its position in the shard.

    TFX's WriteSplit writes one file for each bundle, but no Beam engine guarantees the order of bundles (issue 11).
    For a split without records, each shard is an empty file.

    Args:
      records: serialized examples, or tf.train.Examples.
      folder: the folder of the files `data_tfrecord-00000-of-00001.gz`.
      shards: the number of files.
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
    return int.from_bytes(_digest(data)[-8:]) % shards, data  # the first bytes decide the position in the shard


def _write(shard: tuple[int, dict[str, Iterable[Any]]], folder: str, shards: int) -> Iterator[str]:
    number, grouped = shard
    path = f"{folder}/data_tfrecord-{number:05d}-of-{shards:05d}.gz"
    # outside the folder that is read, and unique: an engine may run a bundle twice in parallel
    part = f"{folder}-{uuid.uuid4()}.part"
    tf.io.gfile.makedirs(folder)
    with tf.io.TFRecordWriter(part, "GZIP") as writer:
        for record in sorted(grouped["records"], key=_digest):
            writer.write(record)
    tf.io.gfile.rename(part, path, overwrite=True)
    yield path


def _digest(record: bytes) -> bytes:
    return hashlib.sha256(record).digest()
