"""SqueezeNet's fire modules (Iandola et al., 2016, arXiv:1602.07360) with batch norm, as in Google's codelab."""

import keras
from keras import layers

MOMENTUM = 0.9
STEM = 32
FIRES = ((24, 48), (48, 96), (64, 128), (48, 96), (24, 48))  # (squeeze, expand) filters; pooling between


def build(input_shape: tuple[int, int, int], classes: int, weights: str | None = None) -> keras.Model:
    """Builds the network; see `trainer.models.build`."""
    if weights:
        raise ValueError("expected weights=None for squeezenet: it has no pretrained weights")
    inputs = layers.Input(input_shape, name="pixels")
    x = _conv(inputs, STEM, 3)
    for index, (squeeze, expand) in enumerate(FIRES):
        if index:
            x = layers.MaxPooling2D(2)(x)
        x = _fire(x, squeeze, expand)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(classes, name="logits")(x), name="squeezenet")


def _fire(x: keras.KerasTensor, squeeze: int, expand: int) -> keras.KerasTensor:
    x = _conv(x, squeeze, 1)
    return layers.Concatenate()([_conv(x, expand // 2, 1), _conv(x, expand // 2, 3)])


def _conv(x: keras.KerasTensor, filters: int, size: int) -> keras.KerasTensor:
    x = layers.Conv2D(filters, size, padding="same", activation="relu", use_bias=size == 3)(x)
    return layers.BatchNormalization(momentum=MOMENTUM)(x)
