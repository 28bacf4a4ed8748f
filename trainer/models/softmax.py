"""One dense layer on the pixels: multinomial logistic regression, the first model of Google's codelab on MNIST."""

import keras
from keras import layers

from trainer.models.head import logits


def build(input_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Builds the layer; see `trainer.models.build`."""
    inputs = layers.Input(input_shape, name="pixels")
    return keras.Model(inputs, logits(layers.Flatten()(inputs), classes), name="softmax")
