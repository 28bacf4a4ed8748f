"""Stores the class names in a SavedModel: in the folder `assets.extra`, which TensorFlow ignores."""

import json
from collections.abc import Sequence

import tensorflow as tf

FILE = "assets.extra/classes.json"


def write(directory: str, classes: Sequence[str]) -> None:
    """Writes the class names, in the order of the model's outputs, into the folder of a SavedModel."""
    file = f"{directory}/{FILE}"
    tf.io.gfile.makedirs(file.rpartition("/")[0])
    with tf.io.gfile.GFile(file, "w") as opened:
        opened.write(json.dumps(list(classes)))


def read(directory: str) -> list[str] | None:
    """Returns the class names of a SavedModel; None if it has none."""
    file = f"{directory.rstrip('/')}/{FILE}"
    if not tf.io.gfile.exists(file):
        return None
    with tf.io.gfile.GFile(file) as opened:
        return json.loads(opened.read())
