"""SqueezeNet's fire modules (Iandola et al., 2016, arXiv:1602.07360) with batch norm, as in Google's codelab."""

import keras
from keras import layers

from trainer.models.batch_norm import MOMENTUM, BatchNormalization
from trainer.models.head import logits, scaled_width

STEM = 32
FIRES = ((24, 48), (48, 96), (64, 128), (48, 96), (24, 48))  # (squeeze, expand) filters; pooling between


def build(input_shape: tuple[int, int, int], classes: int, alpha: float = 1.0) -> keras.Model:
    """Builds the network; see `trainer.models.build`."""
    inputs = layers.Input(input_shape, name="pixels")
    x = _norm(_conv(inputs, scaled_width(STEM, alpha), 3))
    for index, (squeeze, expand) in enumerate(FIRES):
        if index:
            x = layers.MaxPooling2D(2)(x)
        x = _fire(x, scaled_width(squeeze, alpha), scaled_width(expand // 2, alpha))
    return keras.Model(inputs, logits(layers.GlobalAveragePooling2D()(x), classes), name="squeezenet")


def _fire(x: keras.KerasTensor, squeeze: int, filters: int) -> keras.KerasTensor:
    x = _norm(_conv(x, squeeze, 1))
    return _norm(layers.Concatenate()([_conv(x, filters, 1), _conv(x, filters, 3)]))  # one norm, as it is per channel


def _conv(x: keras.KerasTensor, filters: int, size: int) -> keras.KerasTensor:
    return layers.Conv2D(filters, size, padding="same", activation="relu", use_bias=size == 3)(x)


def _norm(x: keras.KerasTensor) -> keras.KerasTensor:
    return BatchNormalization(momentum=MOMENTUM)(x)
