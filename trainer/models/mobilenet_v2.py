"""MobileNetV2 (Sandler et al., 2018, arXiv:1801.04381) from Keras Applications, of any width, with a new last layer."""

import keras

from trainer.models.batch_norm import with_fused_norm
from trainer.models.head import logits


def build(input_shape: tuple[int, int, int], classes: int, alpha: float = 1.0) -> keras.Model:
    """Builds MobileNetV2 for pixels in [-1, 1]; see `trainer.models.build`."""
    base = keras.applications.MobileNetV2(
        alpha=alpha, weights=None, include_top=False, input_shape=input_shape, pooling="avg"
    )
    base = with_fused_norm(base)
    return keras.Model(base.input, logits(base.output, classes), name="mobilenet_v2")
