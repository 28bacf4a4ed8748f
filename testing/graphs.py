"""Builds transform graphs with the project's preprocessing_fn and schema, without a pipeline."""

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata import dataset_metadata

import schemas
from trainer.preprocessing import preprocessing_fn

CONFIG = {"image_size": 48, "channels": 3, "resize": "fill-crop", "normalize": "range"}


def build(folder: Path, photos: Sequence[bytes], **config: object) -> tft.TFTransformOutput:
    """Writes the transform graph to `folder` and returns it. CONFIG contains the defaults of `config`."""
    schema = text_format.Parse((Path(schemas.__file__).parent / "flowers.pbtxt").read_text(), schema_pb2.Schema())
    metadata = dataset_metadata.DatasetMetadata(schema)
    rows = [
        {"image": [photo], "class": [0], "label": [b"daisy"], "size": [1, 1], "one_hot_class": [1.0, 0, 0, 0, 0]}
        | {"filename": [], "digest": []}
        for photo in photos
    ]
    with tft_beam.Context(temp_dir=str(folder / "temp")):
        graph = (rows, metadata) | tft_beam.AnalyzeDataset(lambda inputs: preprocessing_fn(inputs, CONFIG | config))
        _ = graph | tft_beam.WriteTransformFn(str(folder))
    tft.tf_metadata.metadata_io.write_metadata(metadata, str(folder / tft.TFTransformOutput.RAW_METADATA_DIR))
    return tft.TFTransformOutput(str(folder))


def first_photos(shard: Path, count: int) -> list[bytes]:
    """Returns the first encoded photos of a shard."""
    spec = {"image": tf.io.FixedLenFeature([], tf.string)}
    records = tf.data.TFRecordDataset(str(shard)).take(count)
    return [tf.io.parse_single_example(record, spec)["image"].numpy() for record in records]
