"""EfficientNet-Lite: EfficientNet (Tan and Le, 2019, arXiv:1905.11946) with ReLU6 and without squeeze-and-excitation.

The architecture is that of TensorFlow's tpu/models/official/efficientnet/lite. Layers are named `block3_depthwise`, so
that weights are found by name.
"""

import math
from typing import NamedTuple

import keras
from keras import layers

from trainer.models.batch_norm import BatchNormalization
from trainer.models.head import logits

_STEM, _FEATURES = 32, 1280  # filters; no version scales them
_EPSILON = 1e-3
_MOMENTUM = 0.99


class _Stage(NamedTuple):
    """Blocks of one shape; the first has the stride, and only stages between the first and the last are repeated."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    filters: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


def build_lite0(input_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Builds EfficientNet-Lite0 for pixels in [-1, 1]; see `trainer.models.build`."""
    return _build(input_shape, classes, "efficientnet_lite0", depth=1.0)


def build_lite1(input_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Builds EfficientNet-Lite1 for pixels in [-1, 1]; see `trainer.models.build`."""
    return _build(input_shape, classes, "efficientnet_lite1", depth=1.1)


def _build(input_shape: tuple[int, int, int], classes: int, name: str, depth: float) -> keras.Model:
    inputs = layers.Input(input_shape, name="pixels")
    x = layers.Rescaling(127.5 / 128, offset=0.5 / 128, name="scaled")(inputs)  # to (x - 127) / 128 of [0, 255]
    x = _relu6(_norm(layers.Conv2D(_STEM, 3, 2, "same", use_bias=False, name="stem")(x), "stem_bn"), "stem_relu")
    number = 0
    for stage in _STAGES:
        repeats = stage.repeats if stage in (_STAGES[0], _STAGES[-1]) else math.ceil(depth * stage.repeats)
        for index in range(repeats):
            x = _block(x, f"block{number}", stage if index == 0 else stage._replace(stride=1))
            number += 1
    x = _relu6(_norm(layers.Conv2D(_FEATURES, 1, use_bias=False, name="head")(x), "head_bn"), "head_relu")
    return keras.Model(inputs, logits(layers.GlobalAveragePooling2D(name="features")(x), classes), name=name)


def _block(inputs: keras.KerasTensor, name: str, stage: _Stage) -> keras.KerasTensor:
    """An inverted residual block with a linear bottleneck (Sandler et al., 2018, arXiv:1801.04381)."""
    x, before = inputs, inputs.shape[-1]
    if stage.expand > 1:
        x = layers.Conv2D(before * stage.expand, 1, use_bias=False, name=f"{name}_expand")(x)
        x = _relu6(_norm(x, f"{name}_expand_bn"), f"{name}_expand_relu")
    x = layers.DepthwiseConv2D(stage.kernel, stage.stride, "same", use_bias=False, name=f"{name}_depthwise")(x)
    x = _relu6(_norm(x, f"{name}_depthwise_bn"), f"{name}_depthwise_relu")
    x = _norm(layers.Conv2D(stage.filters, 1, use_bias=False, name=f"{name}_project")(x), f"{name}_project_bn")
    return layers.Add(name=f"{name}_add")([x, inputs]) if (stage.stride, before) == (1, stage.filters) else x


def _norm(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return BatchNormalization(momentum=_MOMENTUM, epsilon=_EPSILON, name=name)(x)


def _relu6(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.ReLU(6.0, name=name)(x)
