"""Exports the SavedModel: the transform graph and the model, so that serving and training see the same pixels.

Its signatures:

serving_default: `image_bytes` string [batch], encoded photos (REST: {"b64": …}), to `label` string [batch],
  `class_index` int64 [batch], `probabilities` float32 [batch, classes] and `status` string [batch]. The status is
  '' or the reason why a photo was not used; its label is then '', its index -1 and its probabilities are 0, because
  JSON has no NaN. With a threshold, `sure` bool [batch] is whether the largest probability reaches the threshold.
  Of a probe, `familiar` float32 [batch] is 0 to 1 (`trainer.familiarity`), and 0 for a photo that was not used.
serve_examples: `examples` string [batch], serialised tf.Examples, to the same outputs.
classify: `inputs`, the same tf.Examples, to `classes` string [batch, classes] and `scores`, the probabilities, as
  TensorFlow Serving's Classify API expects. Of a photo that was not used, the classes are '' and the scores 0.
prediction_set, only with a quantile: `image_bytes` to `labels` string [batch, classes], the classes of the set from
  the most to the least probable, then ''; `size` int32 [batch], their number; and `status`.
transform_features: `examples` to `pixels`, the model's input, and `status`.

A photo that cannot be used does not change the answers for the other photos. An empty batch gives empty outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import keras
import tensorflow as tf
from keras.export import ExportArchive
from tensorflow.compat.v1.saved_model import (
    CLASSIFY_INPUTS,
    CLASSIFY_METHOD_NAME,
    CLASSIFY_OUTPUT_CLASSES,
    CLASSIFY_OUTPUT_SCORES,
    signature_def_utils,
)

from trainer import class_names, familiarity, prediction_sets, served_pixels
from trainer.calibration import UNFITTED, Fitted
from trainer.familiarity import Familiarity
from trainer.features import (
    CLASS_INDEX,
    CLASSIFY,
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
    predict, names = _predictor(model, classes, fitted, familiar), tf.constant(list(classes))
    photos, examples = served_pixels.reader(transform), served_pixels.reader(transform, _photo_of(transform))

    def answer(pixels: tf.Tensor, status: tf.Tensor) -> dict[str, tf.Tensor]:
        return _with_status(predict(pixels), status)

    def answer_with_set(pixels: tf.Tensor, status: tf.Tensor) -> dict[str, tf.Tensor]:
        return _with_status(_set_of(predict(pixels)[PROBABILITIES], names, fitted.quantile), status)

    archive = ExportArchive()
    archive.track(model)  # not the transform graph, which has no variables and no files: 4 s more
    encoded = [tf.TensorSpec([None], tf.string, name=IMAGE_BYTES)]
    serialized = [tf.TensorSpec([None], tf.string, name=EXAMPLES)]
    archive.add_endpoint("serving_default", lambda items: answer(*photos(items)), encoded)
    if fitted.quantile is not None:
        archive.add_endpoint("prediction_set", lambda items: answer_with_set(*photos(items)), encoded)
    archive.add_endpoint("serve_examples", lambda items: answer(*examples(items)), serialized)
    inputs = [tf.TensorSpec([None], tf.string, name=CLASSIFY_INPUTS)]
    archive.add_endpoint(CLASSIFY, lambda items: _classified(answer(*examples(items)), names), inputs)
    pixels = (PIXELS, STATUS)
    archive.add_endpoint(
        "transform_features", lambda items: dict(zip(pixels, examples(items), strict=True)), serialized
    )
    archive.write_out(directory, verbose=False)
    _name_method(directory)
    class_names.write(directory, classes)


def _photo_of(transform: tft.TFTransformOutput) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function of a serialised tf.Example that returns its encoded photo."""
    spec = {IMAGE: transform.raw_feature_spec()[IMAGE]}
    return lambda example: tf.reshape(tf.io.parse_single_example(example, spec)[IMAGE], [])


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


def _with_status(answer: dict[str, tf.Tensor], status: tf.Tensor) -> dict[str, tf.Tensor]:
    """Adds `status`, and replaces the outputs for the photos that were not used."""
    is_used = tf.equal(status, "")
    used = {key: is_used[:, tf.newaxis] if value.shape.rank == 2 else is_used for key, value in answer.items()}
    return {key: tf.where(used[key], value, _UNUSED[key]) for key, value in answer.items()} | {STATUS: status}


def _set_of(probabilities: tf.Tensor, names: tf.Tensor, quantile: float | None) -> dict[str, tf.Tensor]:
    order, scores = prediction_sets.ranked(probabilities)
    inside = scores <= quantile
    labels = tf.where(inside, tf.gather(names, order), "")
    return {LABELS: labels, SIZE: tf.reduce_sum(tf.cast(inside, tf.int32), axis=1)}


def _classified(answer: dict[str, tf.Tensor], names: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns the outputs of TensorFlow Serving's Classify API."""
    scores = answer[PROBABILITIES]
    is_used = tf.equal(answer[STATUS], "")[:, tf.newaxis]
    return {CLASSIFY_OUTPUT_CLASSES: tf.where(is_used, names, ""), CLASSIFY_OUTPUT_SCORES: scores}


def _name_method(directory: str) -> None:
    """Marks `classify` for TensorFlow Serving, whose Classify API refuses signatures of its Predict API."""
    updater = signature_def_utils.MethodNameUpdater(directory)
    updater.replace_method_name(signature_key=CLASSIFY, method_name=CLASSIFY_METHOD_NAME)
    tf.io.gfile.remove(f"{directory}/saved_model.pb")  # not every file system replaces a file
    updater.save()


def in_float32(model: keras.Model) -> keras.Model:
    """Returns a copy of a model, with the same weights, that computes in float32 and has no strategy.

    Mixed precision computes in bfloat16 or float16, for which most CPUs have no instructions.
    """

    def rebuild(layer: keras.layers.Layer) -> keras.layers.Layer:
        return type(layer).from_config(layer.get_config() | {"dtype": "float32"})

    copy = keras.models.clone_model(model, clone_function=rebuild)
    copy.set_weights(model.get_weights())
    return copy
