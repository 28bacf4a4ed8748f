"""Xception (Chollet, 2017, arXiv:1610.02357) from Keras Applications, with a new last layer."""

import keras

from trainer.models.batch_norm import with_fused_norm
from trainer.models.head import logits


def build(input_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Builds Xception for pixels in [-1, 1]; see `trainer.models.build`."""
    base = keras.applications.Xception(weights=None, include_top=False, input_shape=input_shape, pooling="avg")
    base = with_fused_norm(base)
    return keras.Model(base.input, logits(base.output, classes), name="xception")
