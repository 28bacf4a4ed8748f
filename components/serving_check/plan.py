"""Makes the requests of the serving check: which photos are sent to which signatures."""

import json
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from scipy.special import softmax
from tensorflow.compat.v1.saved_model import CLASSIFY_INPUTS, CLASSIFY_OUTPUT_CLASSES, CLASSIFY_OUTPUT_SCORES

from trainer.features import (
    CLASS_INDEX,
    CLASSIFY,
    EXAMPLES,
    FAMILIAR,
    HISTORY,
    IMAGE,
    IMAGE_BYTES,
    LABEL,
    LABELS,
    LOGITS,
    PIXELS,
    PROBABILITIES,
    RECORD,
    REFERENCE,
    SIZE,
    STATUS,
    SURE,
)

ONE, THREE, LARGEST, ODD, DAMAGED, EMPTY = (
    "one photo",
    "three photos",
    "the largest batch",
    "odd sizes",
    "damaged photos",
    "an empty batch",
)
_ODD_SIZES = ((1, 1, 3), (3, 517, 3), (517, 3, 3), (31, 17, 1))  # height, width, channels
PHOTOS, EXAMPLES_FILE = "photos.tfrecord", "examples.tfrecord"
_PROJECT = "tfx-photo-pipeline"
_NOT_IN_SERVING = ("tfx", "tensorflow_transform")  # TensorFlow imports Keras itself


class Signature(NamedTuple):
    """A signature that an export must have: its argument, the file of its records, and its outputs."""

    argument: str
    records: str
    outputs: tuple[str, ...]


class Expected(NamedTuple):
    """What the Trainer says about its model.

    Attributes:
      classes: the class names.
      probabilities: float32 [n, classes], of the n reference photos.
      threshold: of `sure`; None without it.
      quantile: of the prediction sets; None without them.
      has_familiar: whether the model has the output `familiar`.
    """

    classes: list[str]
    probabilities: np.ndarray
    threshold: float | None
    quantile: float | None
    has_familiar: bool


class Plan(NamedTuple):
    """The requests.

    Attributes:
      photos: the encoded photos: the reference photos, then photos of odd sizes, then damaged ones.
      examples: the same photos as serialized tf.Examples.
      requests: the numbers of the photos in each request.
      damaged: the number of the first damaged photo; all after it are damaged too.
      signatures: by name.
    """

    photos: list[bytes]
    examples: list[bytes]
    requests: dict[str, list[int]]
    damaged: int
    signatures: dict[str, Signature]


def read(model_run: str) -> tuple[Expected, list[bytes]]:
    """Returns what the Trainer wrote into the folder `model_run`, and the records of the reference photos."""
    with tf.io.gfile.GFile(f"{model_run}/{HISTORY}") as file:
        history = json.load(file)
    spec = {
        RECORD: tf.io.FixedLenFeature([], tf.string),
        LOGITS: tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True),
    }
    serialized = tf.data.TFRecordDataset(f"{model_run}/{REFERENCE}")
    parsed = [tf.io.parse_single_example(each, spec) for each in serialized]
    records, logits = ([each[key].numpy() for each in parsed] for key in (RECORD, LOGITS))
    fitted = history["fitted"]
    expected = Expected(
        history["recipe"]["data"]["classes"],
        softmax(np.stack(logits) / np.float32(fitted["temperature"]), axis=1),
        fitted["threshold"],
        fitted["quantile"],
        history["familiarity"] is not None,
    )
    return expected, records


def make(expected: Expected, records: list[bytes], largest_batch: int) -> Plan:
    """Returns the requests for the reference photos, given their records."""
    references = [_photo_of(record) for record in records]
    count, others = len(records), [*_odd_photos(), *_damaged_photos(references[0])]
    odd, damaged = range(count, count + len(_ODD_SIZES)), range(count + len(_ODD_SIZES), count + len(others))
    requests = {
        ONE: [0],
        THREE: [each % count for each in range(3)],
        LARGEST: [each % count for each in range(largest_batch)],
        ODD: [*odd, 0],
        DAMAGED: [0, *damaged, 1 % count],
        EMPTY: [],
    }
    examples = [*records, *map(_example_of, others)]
    return Plan([*references, *others], examples, requests, damaged.start, _signatures(expected))


def write(plan: Plan, model: str, folder: Path) -> None:
    """Writes the requests for `components.serving_check.client`.

    Args:
      plan: the requests.
      model: the folder of the SavedModel.
      folder: where the files are written.
    """
    for name, records in ((PHOTOS, plan.photos), (EXAMPLES_FILE, plan.examples)):
        with tf.io.TFRecordWriter(str(folder / name)) as writer:
            for record in records:
                writer.write(record)
    content: dict[str, Any] = {
        "model": model,
        "absent": [*_NOT_IN_SERVING, *(metadata.distribution(_PROJECT).read_text("top_level.txt") or "").split()],
        "records": [PHOTOS, EXAMPLES_FILE],
        "signatures": {name: [each.argument, each.records] for name, each in plan.signatures.items()},
        "requests": plan.requests,
        "one": ONE,
        "largest": LARGEST,
    }
    (folder / "requests.json").write_text(json.dumps(content))


def _signatures(expected: Expected) -> dict[str, Signature]:
    answer: tuple[str, ...] = (LABEL, CLASS_INDEX, PROBABILITIES, STATUS)
    answer += (SURE,) * (expected.threshold is not None) + (FAMILIAR,) * expected.has_familiar
    signatures = {
        "serving_default": Signature(IMAGE_BYTES, PHOTOS, answer),
        "serve_examples": Signature(EXAMPLES, EXAMPLES_FILE, answer),
        CLASSIFY: Signature(CLASSIFY_INPUTS, EXAMPLES_FILE, (CLASSIFY_OUTPUT_CLASSES, CLASSIFY_OUTPUT_SCORES)),
        "transform_features": Signature(EXAMPLES, EXAMPLES_FILE, (PIXELS, STATUS)),
    }
    if expected.quantile is not None:
        signatures["prediction_set"] = Signature(IMAGE_BYTES, PHOTOS, (LABELS, SIZE, STATUS))
    return signatures


def _photo_of(record: bytes) -> bytes:
    return tf.train.Example.FromString(record).features.feature[IMAGE].bytes_list.value[0]


def _example_of(photo: bytes) -> bytes:
    feature = {IMAGE: tf.train.Feature(bytes_list=tf.train.BytesList(value=[photo]))}
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def _odd_photos() -> Iterator[bytes]:
    for number, size in enumerate(_ODD_SIZES):
        pixels = tf.cast(tf.reshape(tf.range(size[0] * size[1] * size[2]) % 256, size), tf.uint8)
        yield (tf.io.encode_png if number % 2 else tf.io.encode_jpeg)(pixels).numpy()


def _damaged_photos(photo: bytes) -> list[bytes]:
    """Returns a photo of which the second half is missing, an empty one, and text."""
    return [photo[: len(photo) // 2], b"", b"not a photo"]
