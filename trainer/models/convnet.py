"""A plain stack of convolutions and pooling, as in Google's codelab "Keras and modern convnets, on TPUs"."""

import keras
from keras import layers

from trainer.models.head import logits, scaled_width

STAGES = (16, 30, 60, 90, 110)  # filters of each 3×3 convolution; pooling halves the side between stages
SQUEEZE = (130, 40)  # filters of the last 3×3 and 1×1 convolutions, before global average pooling


def build(input_shape: tuple[int, int, int], classes: int, alpha: float = 1.0) -> keras.Model:
    """Builds the stack; see `trainer.models.build`."""
    inputs = layers.Input(input_shape, name="pixels")
    x = inputs
    for index, filters in enumerate(STAGES):
        if index:
            x = layers.MaxPooling2D(2)(x)
        x = layers.Conv2D(scaled_width(filters, alpha), 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(scaled_width(SQUEEZE[0], alpha), 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(scaled_width(SQUEEZE[1], alpha), 1, padding="same", activation="relu")(x)
    return keras.Model(inputs, logits(layers.GlobalAveragePooling2D()(x), classes), name="convnet")
