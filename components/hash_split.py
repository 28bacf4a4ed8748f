"""Divides records by a hash of their photo: `data.split: hash`."""

import hashlib
from typing import Any

import tensorflow as tf

from ingest.split_names import EVAL, TEST, TRAIN


def split_of(data: bytes, options: dict[str, Any]) -> str:
    """Returns the split of a record, a serialized tf.Example; see `split_of_photo`."""
    image = tf.train.Example.FromString(data).features.feature["image"].bytes_list.value[0]
    return split_of_photo(image, options)


def split_of_photo(image: bytes, options: dict[str, Any]) -> str:
    """Returns the split of an encoded photo, from its hash, so that copies of a photo are in one split.

    Args:
      image: the encoded photo.
      options: the settings of the section `data`.
    """
    position = int.from_bytes(hashlib.sha256(image).digest()[:8]) / 2**64
    held_out = fractions(options)
    if position < held_out.get(TEST, 0.0):
        return TEST
    return EVAL if position < held_out.get(TEST, 0.0) + held_out[EVAL] else TRAIN


def fractions(options: dict[str, Any]) -> dict[str, float]:
    """Returns the fraction of each split for a split by hash, otherwise {}."""
    if options["split"] != "hash":
        return {}
    held_out = {TEST: options["test_fraction"], EVAL: options["eval_fraction"]}
    return {TRAIN: 1 - sum(held_out.values())} | {split: value for split, value in held_out.items() if value}
