"""Converts the bodies of TensorFlow Serving's Classify API to serialised tf.Examples, and its answers to JSON."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import tensorflow as tf

from errors import quoted
from serving.errors import RequestError
from serving.forms import Arrays, to_bytes


def examples(body: Mapping[str, Any]) -> np.ndarray:
    """Returns the serialised tf.Examples of a body, object [n].

    The features of `context` belong to each example.

    Raises:
      RequestError: 400, when the body has not the form of the Classify API.
    """
    listed, context = body.get("examples"), body.get("context", {})
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in [*listed, context]):
        raise RequestError(400, f"examples: expected a list of objects with features, received {quoted(listed)}")
    serialized = [_example({**context, **each}).SerializeToString() for each in listed]
    return np.array([*serialized, None], dtype=object)[:-1]  # None keeps numpy from making a string dtype


def _example(features: Mapping[str, Any]) -> tf.train.Example:
    return tf.train.Example(
        features=tf.train.Features(feature={name: _feature(name, each) for name, each in features.items()})
    )


def _feature(name: str, value: Any) -> tf.train.Feature:
    values = value if isinstance(value, list) else [value]
    if all(isinstance(each, bool | int) for each in values):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    if all(isinstance(each, int | float) for each in values):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    if all(isinstance(each, str | dict) for each in values):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[to_bytes(each) for each in values]))
    raise RequestError(
        400, f'{name}: expected a number, a string or {{"b64": …}}, or a list of one kind, received {quoted(value)}'
    )


def answer(outputs: Arrays) -> bytes:
    """Returns the JSON of the Classify API: for each example, pairs of a label and a score."""
    rows = zip(outputs["classes"].tolist(), outputs["scores"], strict=True)
    result = [[[name.decode(), score] for name, score in zip(*row, strict=True)] for row in rows]
    return orjson.dumps({"result": result}, option=orjson.OPT_SERIALIZE_NUMPY)
