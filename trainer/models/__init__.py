"""The table of models. Each is `build(input_shape, classes, alpha)` and gives logits, in float32."""

from collections.abc import Callable

import keras

from trainer.models import cnn, convnet, dense, mobilenet_v2, softmax, squeezenet, xception

Build = Callable[[tuple[int, int, int], int, float], keras.Model]

MODELS: dict[str, Build] = {
    "softmax": softmax.build,
    "mlp": dense.build_mlp,
    "dense": dense.build_dense,
    "cnn": cnn.build,
    "convnet": convnet.build,
    "squeezenet": squeezenet.build,
    "mobilenet_v2": mobilenet_v2.build,
    "xception": xception.build,
}


def build(name: str, input_shape: tuple[int, int, int], classes: int, alpha: float = 1.0) -> keras.Model:
    """Builds a model by name, with random weights.

    Args:
      name: a key of MODELS.
      input_shape: (height, width, channels).
      classes: the number of classes.
      alpha: the width multiplier of MobileNets (arXiv:1704.04861): a factor on the units of every hidden layer.

    Returns:
      A model of float32 [batch, height, width, channels] to logits, float32 [batch, classes]. Its last layer is
      `logits`; what comes before it is what pretrained weights are for.

    Raises:
      ValueError: for an unknown name, or an alpha that the model does not come in.
    """
    if name not in MODELS:
        raise ValueError(f"expected a model of {sorted(MODELS)}, received {name!r}")
    return MODELS[name](input_shape, classes, alpha)
