"""Exports the SavedModel: the transform graph and the model, so that serving and training see the same pixels.

Its signatures:

serving_default: `image_bytes` string [batch], encoded photos (REST: {"b64": …}), to `label` string [batch],
  `class_index` int64 [batch], `probabilities` float32 [batch, classes] and `status` string [batch]. The status is
  '' or the reason why a photo was not used; its label is then '', its index -1 and its probabilities are 0, because
  JSON has no NaN. With a threshold, `sure` bool [batch] is whether the largest probability reaches the threshold.
  Of a probe, `familiar` float32 [batch] is 0 to 1 (`trainer.familiarity`), and 0 for a photo that was not used.
serve_examples: `examples` string [batch], serialised tf.Examples, to the same outputs without `status`.
prediction_set, only with a quantile: `image_bytes` to `labels` string [batch, classes], the classes of the set from
  the most to the least probable, then ''; `size` int32 [batch], their number; and `status`.
transform_features: `examples` to `pixels`, the model's input.

An empty batch gives empty outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import keras
import tensorflow as tf
from keras.export import ExportArchive

from trainer import class_names, familiarity, formats, images, prediction_sets
from trainer.calibration import UNFITTED, Fitted
from trainer.familiarity import Familiarity
from trainer.features import (
    CLASS_INDEX,
    EXAMPLES,
    FAMILIAR,
    IMAGE,
    IMAGE_BYTES,
    LABEL,
    LABELS,
    PIXELS,
    PROBABILITIES,
    SIZE,
    STATUS,
    SURE,
)
from trainer.models.head import HEAD

if TYPE_CHECKING:
    import tensorflow_transform as tft

# the outputs for a photo that is not used
_UNUSED = {LABEL: "", CLASS_INDEX: -1, PROBABILITIES: 0.0, SURE: False, FAMILIAR: 0.0, LABELS: "", SIZE: 0}


def export(
    model: keras.Model,
    transform: tft.TFTransformOutput,
    classes: Sequence[str],
    directory: str,
    fitted: Fitted = UNFITTED,
    familiar: Familiarity | None = None,
) -> None:
    """Writes a SavedModel with the signatures of this module, and the class names; see `trainer.class_names`.

    Args:
      model: maps pixels to logits in float32; see `in_float32`.
      transform: the transform graph.
      classes: the class names.
      directory: the folder of the SavedModel.
      fitted: temperature, threshold and quantile.
      familiar: for the features that the last layer reads; None without `familiar`.
    """
    to_pixels, predict = _to_pixels(transform), _predictor(model, classes, fitted, familiar)
    names = tf.constant(list(classes))

    def answer(encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        return predict(to_pixels(encoded))

    def answer_with_set(encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        return _set_of(answer(encoded)[PROBABILITIES], names, fitted.quantile)

    image_of = _image_of(transform)
    archive = ExportArchive()
    archive.track(model)  # not the transform graph, which has no variables and no files: 4 s more
    encoded = [tf.TensorSpec([None], tf.string, name=IMAGE_BYTES)]
    serialized = [tf.TensorSpec([None], tf.string, name=EXAMPLES)]
    archive.add_endpoint("serving_default", lambda photos: _with_status(answer, photos), encoded)
    if fitted.quantile is not None:
        archive.add_endpoint("prediction_set", lambda photos: _with_status(answer_with_set, photos), encoded)
    archive.add_endpoint("serve_examples", lambda examples: answer(image_of(examples)), serialized)
    archive.add_endpoint("transform_features", lambda examples: {PIXELS: to_pixels(image_of(examples))}, serialized)
    archive.write_out(directory, verbose=False)
    class_names.write(directory, classes)


def _image_of(transform: tft.TFTransformOutput) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function of serialised tf.Examples that returns their encoded photos."""
    spec = {IMAGE: transform.raw_feature_spec()[IMAGE]}
    return lambda examples: tf.io.parse_example(examples, spec)[IMAGE]


def _to_pixels(transform: tft.TFTransformOutput) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function of encoded photos that checks them, and applies the transform graph."""
    layer = transform.transform_features_layer()

    def to_pixels(encoded: tf.Tensor) -> tf.Tensor:
        photos = tf.map_fn(images.checked, tf.reshape(encoded, [-1]))
        return layer({IMAGE: photos[:, tf.newaxis]})[PIXELS]

    return to_pixels


def _predictor(
    model: keras.Model, classes: Sequence[str], fitted: Fitted, familiar: Familiarity | None
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Returns a function of pixels that gives the outputs of `serve_examples`."""
    names = tf.constant(list(classes))
    inner = keras.Model(model.inputs, [model.get_layer(HEAD).input, model.output]) if familiar else None

    def predict(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        photos = tf.shape(pixels)[0]
        # at least one photo: TensorFlow's fused convolutions give wrong shapes for an empty batch
        blank = tf.zeros([tf.cast(tf.equal(photos, 0), tf.int32), *pixels.shape[1:]], pixels.dtype)
        pixels = tf.concat([pixels, blank], axis=0)
        features, logits = inner(pixels, training=False) if inner else (None, model(pixels, training=False))
        index = tf.argmax(logits, axis=-1)
        probabilities = tf.nn.softmax(logits / fitted.temperature)
        answer = {LABEL: tf.gather(names, index), CLASS_INDEX: index, PROBABILITIES: probabilities}
        if fitted.threshold is not None:
            answer[SURE] = tf.reduce_max(probabilities, axis=1) >= fitted.threshold
        if familiar:
            answer[FAMILIAR] = familiarity.familiar(familiar, features, logits)
        return {key: value[:photos] for key, value in answer.items()}

    return predict


def _with_status(predict: Callable[[tf.Tensor], dict[str, tf.Tensor]], encoded: tf.Tensor) -> dict[str, tf.Tensor]:
    """Predicts a blank photo in place of each photo that cannot be used, and returns the reasons as `status`."""
    blank = tf.io.encode_jpeg(tf.zeros([1, 1, 3], tf.uint8))
    status = tf.map_fn(formats.problem, encoded)
    is_used = tf.equal(status, "")
    answer = predict(tf.where(is_used, encoded, blank))
    used = {key: is_used[:, tf.newaxis] if value.shape.rank == 2 else is_used for key, value in answer.items()}
    return {key: tf.where(used[key], value, _UNUSED[key]) for key, value in answer.items()} | {STATUS: status}


def _set_of(probabilities: tf.Tensor, names: tf.Tensor, quantile: float | None) -> dict[str, tf.Tensor]:
    order, scores = prediction_sets.ranked(probabilities)
    inside = scores <= quantile
    labels = tf.where(inside, tf.gather(names, order), "")
    return {LABELS: labels, SIZE: tf.reduce_sum(tf.cast(inside, tf.int32), axis=1)}


def in_float32(model: keras.Model) -> keras.Model:
    """Returns a copy of a model, with the same weights, that computes in float32 and has no strategy.

    Mixed precision computes in bfloat16 or float16, for which most CPUs have no instructions.
    """

    def rebuild(layer: keras.layers.Layer) -> keras.layers.Layer:
        return type(layer).from_config(layer.get_config() | {"dtype": "float32"})

    copy = keras.models.clone_model(model, clone_function=rebuild)
    copy.set_weights(model.get_weights())
    return copy
