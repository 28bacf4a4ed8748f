"""The class names that a SavedModel holds beside its graph: in `assets.extra`, which TensorFlow leaves alone."""

import json
from collections.abc import Sequence

import tensorflow as tf

FILE = "assets.extra/classes.json"


def write(directory: str, classes: Sequence[str]) -> None:
    """Writes the class names of a SavedModel, in the order of its outputs, into its folder."""
    file = f"{directory}/{FILE}"
    tf.io.gfile.makedirs(file.rpartition("/")[0])
    with tf.io.gfile.GFile(file, "w") as opened:
        opened.write(json.dumps(list(classes)))


def read(directory: str) -> list[str] | None:
    """Returns what `write` wrote; None where it wrote nothing."""
    file = f"{directory.rstrip('/')}/{FILE}"
    if not tf.io.gfile.exists(file):
        return None
    with tf.io.gfile.GFile(file) as opened:
        return json.loads(opened.read())
