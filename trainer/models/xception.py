"""Xception (Chollet, 2017, arXiv:1610.02357) from Keras Applications, with a new head."""

import keras
from keras import layers


def build(input_shape: tuple[int, int, int], classes: int, weights: str | None = None) -> keras.Model:
    """Builds Xception, all layers trainable; see `trainer.models.build`. Pixels are in [-1, 1]."""
    try:
        base = keras.applications.Xception(weights=weights, include_top=False, input_shape=input_shape, pooling="avg")
    except (ValueError, OSError) as error:
        raise ValueError(f"the weights file {weights} does not fit Xception without its top: {error}") from None
    return keras.Model(base.input, layers.Dense(classes, name="logits")(base.output), name="xception")
