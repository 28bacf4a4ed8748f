"""Convolutions, batch norm and dropout for small photos, as in Google's codelab on MNIST."""

import keras
from keras import layers

from trainer.models.batch_norm import BatchNormalization
from trainer.models.head import logits, scaled_width

CONVOLUTIONS = ((6, 24, 1), (5, 48, 2), (4, 64, 2))  # (side, filters, stride)
HIDDEN = 200
DROPOUT = 0.4


def build(input_shape: tuple[int, int, int], classes: int, alpha: float = 1.0) -> keras.Model:
    """Builds the network; see `trainer.models.build`."""
    inputs = layers.Input(input_shape, name="pixels")
    x = inputs
    for side, filters, stride in CONVOLUTIONS:
        x = layers.Conv2D(scaled_width(filters, alpha), side, stride, padding="same", use_bias=False)(x)
        x = _norm_relu(x)
    x = layers.Dense(scaled_width(HIDDEN, alpha), use_bias=False)(layers.Flatten()(x))
    x = layers.Dropout(DROPOUT)(_norm_relu(x))
    return keras.Model(inputs, logits(x, classes), name="cnn")


def _norm_relu(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.ReLU()(BatchNormalization(scale=False)(x))  # no scale, because the next layer can learn it
