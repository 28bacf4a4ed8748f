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
    if not operations:
        return None
    chosen = {each.name: dict(each.options) for each in operations}
    functions = {name: pkgutil.resolve_name(OPERATIONS[name].function) for name in OPERATIONS if name in chosen}

    @do_not_convert
    def apply(seed: tf.Tensor, pixels: tf.Tensor, classes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        for name, function in functions.items():
            own = tf.random.experimental.stateless_fold_in(seed, OPERATIONS[name].number)
            pixels, classes = function(own, pixels, classes, **chosen[name])
        return pixels, classes

    return apply
