"""Applies random changes to training batches: photos and their one-hot classes.

The random numbers depend only on the seed of each batch.
"""

import pkgutil
from collections.abc import Callable, Sequence

import tensorflow as tf
from tensorflow.autograph.experimental import do_not_convert

from trainer.augmentation.table import OPERATIONS, Chosen

Augment = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def augmentation(operations: Sequence[Chosen]) -> Augment | None:
    """Returns a function of a seed (int [2]), pixels and classes that applies the operations; None without any.

    They are applied in the order of the table, whatever their order in the setting.
    """
    order = list(OPERATIONS)
    functions = [operation(each) for each in sorted(operations, key=lambda each: order.index(each.name))]

    @do_not_convert
    def apply(seed: tf.Tensor, pixels: tf.Tensor, classes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        for function in functions:
            pixels, classes = function(seed, pixels, classes)
        return pixels, classes

    return apply if functions else None


def operation(chosen: Chosen) -> Augment:
    """Returns the function of one operation with its options."""
    row, options = OPERATIONS[chosen.name], dict(chosen.options)
    function = pkgutil.resolve_name(row.function)

    def apply(seed: tf.Tensor, pixels: tf.Tensor, classes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        own = tf.random.experimental.stateless_fold_in(seed, row.number)
        return function(own, pixels, classes, **options)

    return apply
