"""Writes ExampleGen's records in an order that depends only on the records, and the table of their photos.

Records that cannot be used go to the quarantine.
"""

import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import tensorflow as tf

from components import photos
from components.quarantine import QUARANTINE, Reason
from components.record_check import Good
from ingest.bad_records import BadRecord

_SHARD_BYTES = 128 * 2**20  # on average; a worker sorts one shard in memory
# level 0 stores: encoded photos get 4 % smaller at best, and 3,670 of them took 1.3 s in place of 0.06 s
_GZIP = tf.io.TFRecordOptions("GZIP", compression_level=0)
_FIRST = 3  # records of each reason that a shard reports


class Folders(NamedTuple):
    """The folders of ExampleGen's outputs."""

    examples: str
    table: str
    quarantine: str


def shard_count(total_bytes: int) -> int:
    """Returns the number of shards for data of this size, at least 1."""
    return max(1, -(-total_bytes // _SHARD_BYTES))


def shard_of(record: bytes, shards: int) -> int:
    """Returns the shard of a record, from the last bytes of its SHA-256; the first bytes decide the position there."""
    return int.from_bytes(_digest(record)[-8:]) % shards


@beam.ptransform_fn
def Write(  # noqa: N802 (Beam's style)
    records: beam.PCollection, folders: Folders, splits: Sequence[str], shards: Sequence[int], total: int
) -> beam.PCollection:
    """Writes gzipped TFRecord files, their table and the quarantine. Returns the counts for `quarantine.write_counts`.

    TFX's WriteSplit writes one file for each bundle, but no Beam engine guarantees the order of bundles.
    For a split without records, each shard is an empty file.

    Args:
      records: ((split or QUARANTINE, shard), Good or BadRecord).
      folders: the folders of the outputs.
      splits: the names of the splits.
      shards: the numbers of the shards that are written.
      total: the number of all shards.
    """
    keys = [((split, shard), True) for split in splits for shard in shards]
    return (
        {"records": records, "keys": records.pipeline | "Keys" >> beam.Create(keys)}
        | "ByShard" >> beam.CoGroupByKey()
        | "WriteShard" >> beam.FlatMap(_write, folders, total)
    )


def _write(
    group: tuple[tuple[str, int], dict[str, Iterable[Any]]], folders: Folders, total: int
) -> Iterator[dict[str, Any]]:
    (split, number), grouped = group
    shard = f"{number:05d}-of-{total:05d}"
    if split == QUARANTINE:
        bad: list[BadRecord] = sorted(grouped["records"])
        _write_quarantine(bad, folders, shard)
        yield {"reasons": _reasons(bad)}
        return
    records: list[Good] = sorted(grouped["records"], key=lambda good: _digest(good.data))
    folder = f"{folders.examples}/Split-{split}"
    _write_records((each.data for each in records), folder, f"data_tfrecord-{shard}.gz", _GZIP)
    photos.write([each.measured for each in records], folders.table, split, shard)
    yield {"split": split, "labels": Counter(each.measured.label for each in records)}


def _reasons(records: Sequence[BadRecord]) -> dict[str, Reason]:
    reasons: dict[str, Reason] = {}
    for each in records:
        before = reasons.get(each.reason, Reason(0, []))
        first = [*before.first, f"{each.place}: {each.detail}"]
        reasons[each.reason] = Reason(before.records + 1, first[:_FIRST])
    return reasons


def _write_quarantine(records: Sequence[BadRecord], folders: Folders, shard: str) -> None:
    _write_records((each.data for each in records), folders.quarantine, f"{QUARANTINE}-{shard}.tfrecord", None)
    rows = [{name: value for name, value in each._asdict().items() if name != "data"} for each in records]
    with tf.io.gfile.GFile(f"{folders.quarantine}/{QUARANTINE}-{shard}.jsonl", "w") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))


def _write_records(records: Iterable[bytes], folder: str, name: str, options: tf.io.TFRecordOptions | None) -> None:
    # outside the folder that is read, and unique: an engine may run a bundle twice in parallel
    part = f"{folder}-{uuid.uuid4()}.part"
    tf.io.gfile.makedirs(folder)
    with tf.io.TFRecordWriter(part, options) as writer:
        for record in records:
            writer.write(record)
    tf.io.gfile.rename(part, f"{folder}/{name}", overwrite=True)


def _digest(record: bytes) -> bytes:
    return hashlib.sha256(record).digest()
