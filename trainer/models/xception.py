"""Xception (Chollet, 2017, arXiv:1610.02357) from Keras Applications, with a new last layer."""

import keras

from trainer.models.batch_norm import fused
from trainer.models.head import logits


def build(input_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Builds Xception for pixels in [-1, 1]; see `trainer.models.build`."""
    base = fused(keras.applications.Xception(weights=None, include_top=False, input_shape=input_shape, pooling="avg"))
    return keras.Model(base.input, logits(base.output, classes), name="xception")
