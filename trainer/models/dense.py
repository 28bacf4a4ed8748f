"""Dense layers on the pixels: five with dropout for MNIST, three for photos, as in Google's codelabs."""

from collections.abc import Sequence

import keras
from keras import layers

from trainer.models.head import logits, scaled_width

MLP = (200, 100, 60, 30)
MLP_DROPOUT = 0.1
DENSE = (500, 50)


def build_mlp(input_shape: tuple[int, int, int], classes: int, alpha: float = 1.0) -> keras.Model:
    """Builds five dense layers with dropout; see `trainer.models.build`."""
    return _stack("mlp", input_shape, classes, [scaled_width(units, alpha) for units in MLP], MLP_DROPOUT)


def build_dense(input_shape: tuple[int, int, int], classes: int, alpha: float = 1.0) -> keras.Model:
    """Builds three dense layers; see `trainer.models.build`."""
    return _stack("dense", input_shape, classes, [scaled_width(units, alpha) for units in DENSE], 0.0)


def _stack(
    name: str, input_shape: tuple[int, int, int], classes: int, hidden: Sequence[int], dropout: float
) -> keras.Model:
    inputs = layers.Input(input_shape, name="pixels")
    x = layers.Flatten()(inputs)
    for units in hidden:
        x = layers.Dense(units, activation="relu")(x)
        x = layers.Dropout(dropout)(x) if dropout else x
    return keras.Model(inputs, logits(x, classes), name=name)
