"""Converts the bodies of TensorFlow Serving's Classify API to serialised tf.Examples, and its answers to JSON."""

from collections.abc import Mapping, Sized
from typing import Any

import numpy as np
import orjson
import tensorflow as tf

from serving.errors import RequestError, brief, check_count
from serving.forms import Arrays, to_bytes

_MOST_FEATURES = 1000


def examples(body: Mapping[str, Any], most: int, most_bytes: int) -> np.ndarray:
    """Returns the serialised tf.Examples of a body, object [n].

    The features of `context` belong to each example.

    Args:
      body: the parsed body.
      most: the largest number of examples.
      most_bytes: the largest size of all examples, because a large context is multiplied.

    Raises:
      RequestError: 400, when the body has not the form of the Classify API, or an example too many features; 413, when
        it has too many examples.
    """
    listed, context = body.get("examples"), body.get("context", {})
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in [*listed, context]):
        raise RequestError(400, f"examples: expected a list of objects with features, received {brief(listed)}")
    check_count(len(listed), most)
    for each in listed or [{}]:
        check_features(each, context)
    _example(context)  # it must be valid without examples, too
    serialized: list[bytes] = []
    size = 0
    for each in listed:
        serialized.append(_example({**context, **each}).SerializeToString())
        size += len(serialized[-1])
        if size > most_bytes:
            raise RequestError(
                413, f"expected examples of at most {most_bytes:,} bytes with their context; send fewer examples"
            )
    return np.array([*serialized, None], dtype=object)[:-1]  # None keeps numpy from making a string dtype


def check_features(own: Sized, context: Sized) -> None:
    """Checks the number of features of an example, and of the context that is added to it.

    A feature takes microseconds, in which no other request is answered, even if the model does not read it.

    Raises:
      RequestError: 400, when there are more than 1,000.
    """
    count = len(own) + len(context)
    if count > _MOST_FEATURES:
        raise RequestError(
            400, f"expected at most {_MOST_FEATURES:,} features in an example with its context, received {count:,}"
        )


def _example(features: Mapping[str, Any]) -> tf.train.Example:
    return tf.train.Example(
        features=tf.train.Features(feature={name: _feature(name, each) for name, each in features.items()})
    )


def _feature(name: str, value: Any) -> tf.train.Feature:
    values = value if isinstance(value, list) else [value]
    try:
        if all(isinstance(each, bool | int) for each in values):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        if all(isinstance(each, int | float) for each in values):
            return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    except ValueError:
        raise RequestError(400, f"{name[:100]}: expected numbers of 64 bits, received {brief(value)}") from None
    if all(isinstance(each, str | dict) for each in values):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[to_bytes(each) for each in values]))
    raise RequestError(
        400,
        f'{name[:100]}: expected a number, a string or {{"b64": …}}, or a list of one kind, received {brief(value)}',
    )


def answer(outputs: Arrays) -> bytes:
    """Returns the JSON of the Classify API: for each example, pairs of a label and a score."""
    rows = zip(outputs["classes"].tolist(), outputs["scores"], strict=True)
    result = [[[name.decode(), score] for name, score in zip(*row, strict=True)] for row in rows]
    return orjson.dumps({"result": result}, option=orjson.OPT_SERIALIZE_NUMPY)
