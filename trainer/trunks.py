"""Frozen trunks: pretrained models without their last layer. They compute the features of photos.

On a CPU, LiteRT computes them: its kernels (XNNPACK) are two to four times as fast as Keras's, with the same results.
"""

import os
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from errors import choices
from trainer import models, packaged_weights
from trainer.embeddings import ORIGINAL
from trainer.models.head import HEAD, logits
from trainer.settings import Trunk

BATCH = 32  # photos in one call

Features = Callable[[np.ndarray], np.ndarray]

_CROP = 0.875  # the side of the middle that a crop keeps

# the views of a photo: functions of pixels, float32 [batch, height, width, 3], that keep the shape
VIEWS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    ORIGINAL: tf.identity,
    "flip": lambda pixels: tf.reverse(pixels, [2]),
    "crop": lambda pixels: tf.image.resize(tf.image.central_crop(pixels, _CROP), pixels.shape[1:3]),
}


def build_probe(input_shape: tuple[int, int, int], classes: int, trunks: Sequence[Trunk]) -> keras.Model:
    """Builds a probe for pixels in [-1, 1]: frozen trunks, and a last layer for `trainer.probe`; see `models.build`.

    With one trunk, the layers have the names of the trunk's family, so its weights can start a fine-tuning. With
    several trunks, each layer's name begins with the number of its trunk.
    """
    whole = features(input_shape, trunks)
    model = keras.Model(whole.input, logits(whole.output, classes), name="probe")
    for layer in model.layers[:-1]:
        layer.trainable = False
    return model


def features(input_shape: tuple[int, int, int], trunks: Sequence[Trunk]) -> keras.Model:
    """Returns a model of the concatenated features of all trunks, with pretrained weights.

    It maps pixels, float32 [batch, height, width, 3] in [-1, 1], to float32 [batch, d].

    Args:
      input_shape: (height, width, 3).
      trunks: at least one.

    Raises:
      UserError: when a package with weights is not installed.
      ValueError: when the weights of a trunk do not fit, or it has no layer of this name.
    """
    if len(trunks) == 1:
        return _pretrained(trunks[0], input_shape)
    inputs = keras.Input(input_shape, name="pixels")
    parts = [_named(inputs, trunk, f"trunk{number}_") for number, trunk in enumerate(trunks)]
    return keras.Model(inputs, layers.Concatenate(name="features_of_all")(parts))


def widths(trunks: Sequence[Trunk], size: int) -> list[int]:
    """Returns the number of features of each trunk, for photos of size × size pixels."""
    return [features((size, size, 3), [trunk]).output.shape[1] for trunk in trunks]


def _named(inputs: keras.KerasTensor, trunk: Trunk, prefix: str) -> keras.KerasTensor:
    """Returns the features of a trunk whose layers' names begin with a prefix."""
    original = _pretrained(trunk, inputs.shape[1:])

    def renamed(layer: keras.layers.Layer) -> keras.layers.Layer:
        return type(layer).from_config(layer.get_config() | {"name": f"{prefix}{layer.name}"})

    copy = keras.models.clone_model(original, input_tensors=inputs, clone_function=renamed)
    copy.set_weights(original.get_weights())
    return copy.output


def _pretrained(trunk: Trunk, input_shape: tuple[int, int, int]) -> keras.Model:
    whole = models.build(trunk.name, input_shape, 1, **dict(trunk.options))
    try:
        packaged_weights.load(whole, trunk)
    except ValueError as error:
        raise ValueError(f"embeddings.trunks: the weights of {trunk.name}: {error}") from None
    names = [layer.name for layer in whole.layers[1:] if isinstance(layer.input, keras.KerasTensor)]
    if trunk.layer not in (None, *names):
        raise ValueError(f"embeddings.trunks: {trunk.name} has no such layer; {choices(str(trunk.layer), names)}")
    output = whole.get_layer(trunk.layer or HEAD).input
    if len(output.shape) == 4:
        output = layers.GlobalAveragePooling2D(name="features_of_layer")(output)
    return keras.Model(whole.input, output)


def to_lite(trunks: Sequence[Trunk], size: int) -> bytes:
    """Converts trunks for LiteRT, for batches of BATCH photos of size × size pixels; see `features`."""
    model = features((size, size, 3), trunks)
    # As constants: with variables, the converter ends the process (TF 2.16, Keras 3.15).
    groups = model.trainable_variables, model.non_trainable_variables
    values = [[variable.numpy() for variable in group] for group in groups]

    @tf.function(input_signature=[tf.TensorSpec([BATCH, size, size, 3], tf.float32)], autograph=False)
    def call(pixels: tf.Tensor) -> tf.Tensor:
        constants = [[tf.constant(value) for value in group] for group in values]
        return model.stateless_call(*constants, pixels, training=False)[0]

    nothing = tf.Module()  # with the model, the converter exports all its layers first: 4.8 s in place of 0.8 s
    return tf.lite.TFLiteConverter.from_concrete_functions([call.get_concrete_function()], nothing).convert()


def with_lite(model: bytes) -> Features:
    """Returns a function of at most BATCH photos, given the result of `to_lite`.

    The function maps float32 [n, size, size, 3] to float32 [n, d].
    """
    interpreter = tf.lite.Interpreter(model_content=model, num_threads=os.cpu_count())
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()

    def call(pixels: np.ndarray) -> np.ndarray:
        padding = [(0, BATCH - len(pixels)), (0, 0), (0, 0), (0, 0)]
        interpreter.set_tensor(source["index"], np.pad(pixels, padding) if len(pixels) < BATCH else pixels)
        interpreter.invoke()
        return interpreter.get_tensor(target["index"])[: len(pixels)]

    return call
