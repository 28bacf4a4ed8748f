"""Writes small folders of valid and damaged TFRecords for the tests."""

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
from PIL import Image

from ingest.examples import make_example
from ingest.sample import CLASSES


def jpeg(colour: Sequence[int] = (200, 30, 60), size: tuple[int, int] = (40, 40)) -> bytes:
    """Returns a JPEG of one colour."""
    pixels = tf.fill([*size, 3], 0) + tf.constant(colour)
    return tf.io.encode_jpeg(tf.cast(pixels, tf.uint8)).numpy()


def example(label: int = 0, image: bytes | None = None) -> tf.train.Example:
    """Returns the example of a labelled photo."""
    return make_example(jpeg() if image is None else image, label, CLASSES, (40, 40))


def write(path: Path, examples: Sequence[tf.train.Example]) -> Path:
    """Writes one shard."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for each in examples:
            writer.write(each.SerializeToString())
    return path


def folder(path: Path, bad: tf.train.Example | None = None, shards: int = 3, per_shard: int = 10) -> Path:
    """Writes a folder of shards; `bad` replaces the last record of the last shard."""
    for shard in range(shards):
        colours = [(30 * shard, 4 * index % 256, 50 * (index % 5)) for index in range(per_shard)]
        examples = [example(index % len(CLASSES), jpeg(colour)) for index, colour in enumerate(colours)]
        if bad is not None and shard == shards - 1:
            examples[-1] = bad
        write(path / f"part{shard}-{per_shard}.tfrec", examples)
    return path


def photo_file(path: Path, colour=(200, 30, 60), size=(50, 40), mode="RGB", **options) -> Path:
    """Writes a picture of one colour, in the format of the file's extension."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).convert(mode).save(path, **options)
    return path
