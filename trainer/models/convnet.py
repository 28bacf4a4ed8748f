"""A plain stack of convolutions and pooling, as in Google's codelab "Keras and modern convnets, on TPUs"."""

import keras
from keras import layers

STAGES = (16, 30, 60, 90, 110)  # filters of each 3×3 convolution; pooling halves the side between stages
SQUEEZE = (130, 40)  # a last 3×3 and a 1×1 convolution before the average over the picture


def build(input_shape: tuple[int, int, int], classes: int, weights: str | None = None) -> keras.Model:
    """Builds the stack; see `trainer.models.build`."""
    if weights:
        raise ValueError("expected weights=None for convnet: it has no pretrained weights")
    inputs = layers.Input(input_shape, name="pixels")
    x = inputs
    for index, filters in enumerate(STAGES):
        if index:
            x = layers.MaxPooling2D(2)(x)
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(SQUEEZE[0], 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(SQUEEZE[1], 1, padding="same", activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(classes, name="logits")(x), name="convnet")
