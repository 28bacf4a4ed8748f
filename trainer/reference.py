"""Writes the model's own answers for a few photos, with which the serving check compares those of the export."""

import keras
import tensorflow as tf
import tensorflow_transform as tft

from trainer import input_pipeline
from trainer.features import LOGITS, RECORD, REFERENCE

_PHOTOS = 32


def write(folder: str, model: keras.Model, files: list[str], transform: tft.TFTransformOutput) -> None:
    """Writes REFERENCE into a folder: a tf.Example with RECORD and LOGITS for each of the first 32 photos.

    The photos are read as in a training: tf.data, the transform graph on a batch, the Keras model. The export does each
    of these in another way.

    Args:
      folder: where the file is written.
      model: maps pixels to logits; the model that is exported, before the export.
      files: patterns of the record files.
      transform: the transform graph.
    """
    left = _PHOTOS
    with tf.io.TFRecordWriter(f"{folder}/{REFERENCE}") as writer:
        for file in input_pipeline.files_of(files):
            for records, pixels, _ in input_pipeline.with_records(file, transform, _PHOTOS).take(1):
                logits = model.predict_on_batch(pixels[:left])
                for record, row in zip(records[:left].numpy(), logits, strict=True):
                    writer.write(_example(record, row.tolist()))
                left -= len(logits)
            if not left:
                return


def _example(record: bytes, logits: list[float]) -> bytes:
    feature = {
        RECORD: tf.train.Feature(bytes_list=tf.train.BytesList(value=[record])),
        LOGITS: tf.train.Feature(float_list=tf.train.FloatList(value=logits)),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
