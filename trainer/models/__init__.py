"""The table of models. Each is `build(input_shape, classes, weights)` and gives logits."""

from collections.abc import Callable

import keras

from trainer.models import convnet, squeezenet, xception

Build = Callable[[tuple[int, int, int], int, str | None], keras.Model]

MODELS: dict[str, Build] = {
    "convnet": convnet.build,
    "squeezenet": squeezenet.build,
    "xception": xception.build,
}


def build(name: str, input_shape: tuple[int, int, int], classes: int, weights: str | None = None) -> keras.Model:
    """Builds a model by name.

    Args:
      name: a key of MODELS.
      input_shape: (height, width, channels).
      classes: the number of classes.
      weights: a file of pretrained weights, for the models that take one.

    Returns:
      A model of float32 [batch, height, width, channels] to logits, float32 [batch, classes].

    Raises:
      ValueError: for an unknown name, or weights that do not fit.
    """
    if name not in MODELS:
        raise ValueError(f"expected a model of {sorted(MODELS)}, received {name!r}")
    return MODELS[name](input_shape, classes, weights)
