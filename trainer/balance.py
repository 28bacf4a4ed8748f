"""Gives all classes the same share of a training, by the loss or by the records of an epoch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.features import CLASS


def loss_weights(counts: Sequence[int]) -> np.ndarray:
    """Returns the weight of each class in the loss, float32 [classes]: n / (k × count), for n examples of k classes.

    The mean weight of the examples is 1. A class without examples is not one of the k, and has the weight 0.

    >>> loss_weights([6, 2]).tolist()
    [0.6666666865348816, 2.0]
    """
    examples = np.asarray(counts, np.float64)
    present = examples > 0
    weights = np.zeros_like(examples)
    weights[present] = examples.sum() / (present.sum() * examples[present])
    return weights.astype(np.float32)


def draws(counts: Sequence[int]) -> np.ndarray:
    """Returns how many records of each class an epoch has, int64 [classes]: as many in total as there are examples.

    If they cannot be equal, the first classes have one more.

    >>> draws([6, 2, 0]).tolist(), draws([6, 2, 1]).tolist(), draws([8, 1, 1]).tolist()
    ([4, 4, 0], [3, 3, 3], [4, 3, 3])
    """
    examples = np.asarray(counts, np.int64)
    present = np.flatnonzero(examples)
    result = np.zeros_like(examples)
    result[present] = examples.sum() // len(present)
    result[present[: examples.sum() % len(present)]] += 1
    return result


def sampled(windows: tf.data.Dataset, counts: Sequence[int], seed: tf.Tensor) -> tf.data.Dataset:
    """Returns the windows of an epoch in which each class has as many records as `draws` says, in random order.

    Records of a frequent class are left out, those of a rare class repeated. Record i of the m of a class is drawn
    ⌊((i + 1) d + u) / m⌋ - ⌊(i d + u) / m⌋ times, with d draws of the class and an offset u of the epoch (systematic
    sampling: Madow and Madow, 1944). So the number of draws is exact, and no two records of a class are drawn more
    than one time apart. Only one window is in memory.

    Args:
      windows: the number of each window and its serialised examples, string [n].
      counts: the records of each class in all windows.
      seed: of the epoch, int [2].
    """
    classes = len(counts)
    sizes, wanted = tf.constant(np.maximum(counts, 1), tf.int64), tf.constant(draws(counts))
    offsets = tf.cast(
        tf.random.stateless_uniform([classes], seed, dtype=tf.float64) * tf.cast(sizes, tf.float64), tf.int64
    )

    def draw(seen: tf.Tensor, window: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        number, records = window
        first, second = tf.unstack(tf.random.experimental.stateless_split(_fold_in(seed, number), 2))
        order = tf.random.experimental.stateless_shuffle(tf.range(tf.size(records)), first)
        labels = tf.gather(labels_of(records), order)
        members = tf.one_hot(labels, classes, dtype=tf.int64)
        places = tf.gather(seen + tf.cumsum(members, exclusive=True), labels, batch_dims=1)
        size, each, offset = (tf.gather(values, labels) for values in (sizes, wanted, offsets))
        times = ((places + 1) * each + offset) // size - (places * each + offset) // size
        drawn = tf.random.experimental.stateless_shuffle(tf.repeat(order, times), second)
        return seen + tf.reduce_sum(members, axis=0), tf.gather(records, drawn)

    return windows.scan(tf.zeros([classes], tf.int64), draw)


def labels_of(records: tf.Tensor) -> tf.Tensor:
    """Returns the classes of serialised examples, int64 with the shape of `records`."""
    return tf.io.parse_example(records, {CLASS: tf.io.FixedLenFeature([], tf.int64)})[CLASS]


def summary(method: str, names: Sequence[str], counts: Sequence[int]) -> dict[str, Any] | None:
    """Returns what a method of `trainer.balance` changes, for `history.json`; None for 'none'.

    It is {method, classes: {name: {photos, factor}}}. The factor is the weight of a photo in the loss, or how often it
    is in an epoch on average.
    """
    if method == "none":
        return None
    factors = loss_weights(counts) if method == "loss" else draws(counts) / np.maximum(counts, 1)
    rows = zip(names, counts, factors, strict=True)
    return {
        "method": method,
        "classes": {name: {"photos": count, "factor": round(float(factor), 4)} for name, count, factor in rows},
    }


def _fold_in(seed: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    return tf.random.experimental.stateless_fold_in(seed, number)
