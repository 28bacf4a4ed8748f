"""Parts that the models share: the last layer and the width multiplier."""

import keras
from keras import layers

HEAD = "logits"  # the last layer's name in every model


def logits(x: keras.KerasTensor, classes: int) -> keras.KerasTensor:
    """Returns logits, in float32 even under mixed precision."""
    return layers.Dense(classes, dtype="float32", name=HEAD)(x)


def scaled_width(units: int, alpha: float) -> int:
    """Returns the units of a hidden layer times a width multiplier, at least 1."""
    return max(1, round(units * alpha))
