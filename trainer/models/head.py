"""What the models share: the last layer, and how a width multiplier is applied."""

import keras
from keras import layers

HEAD = "logits"  # the last layer's name in every model


def logits(x: keras.KerasTensor, classes: int) -> keras.KerasTensor:
    """Returns logits, in float32 also where the layers before compute in less."""
    return layers.Dense(classes, dtype="float32", name=HEAD)(x)


def scaled_width(units: int, alpha: float) -> int:
    """Returns the units of a hidden layer under a width multiplier, one at least."""
    return max(1, round(units * alpha))
