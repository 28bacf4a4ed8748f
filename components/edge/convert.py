"""Converts a Keras model to files for devices: from uint8 pixels, as they are after the resizing, to probabilities."""

import io
import json
import re
import zipfile
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from components.edge import litert_metadata
from components.edge.formats import LABELS, LITERT_INT8, ONNX, PROPERTY
from errors import shortened
from trainer.features import IMAGE, PIXELS, PROBABILITIES

_OPSET = 17  # of ONNX: onnxruntime 1.12 and newer (2022) run it
_LACKING = re.compile(r"(?:(?:TF Select|Flex|Custom) ops:|No Op registered for) *([\w, ]+?)(?: with domain|\n|$)")


class Normalisation(NamedTuple):
    """What the transform graph does after the resizing: float pixels = uint8 pixels × scale + offset.

    Attributes:
      scale: float32 [channels].
      offset: float32 [channels].
    """

    scale: np.ndarray
    offset: np.ndarray

    def to_uint8(self, pixels: np.ndarray) -> np.ndarray:
        """Returns the uint8 pixels from which the transform graph made float pixels; both have the same shape."""
        return np.round((pixels - self.offset) / self.scale).astype(np.uint8)


class Source(NamedTuple):
    """What is converted.

    Attributes:
      model: maps float pixels to logits.
      normalisation: of the transform graph.
      temperature: the logits are divided by it.
      classes: the class names.
    """

    model: keras.Model
    normalisation: Normalisation
    temperature: float
    classes: Sequence[str]


class NotConverted(Exception):
    """A converter refused the model; the message is one line."""


def normalisation(transform: tft.TFTransformOutput) -> Normalisation:
    """Returns the normalisation of a transform graph, from its answers for a black and a white photo."""
    layer = transform.transform_features_layer()
    size, *_ = transform.transformed_feature_spec()[PIXELS].shape
    black, white = (
        layer({IMAGE: tf.io.encode_png(tf.fill([size, size, 3], tf.constant(value, tf.uint8)))[tf.newaxis, tf.newaxis]})
        for value in (0, 255)
    )
    offset, last = (each[PIXELS].numpy()[0, 0, 0] for each in (black, white))
    return Normalisation((last - offset) / np.float32(255), offset)


def convert(form: str, source: Source, photos: np.ndarray) -> bytes:
    """Returns the file of a format, with the class names in it.

    Args:
      form: one of `components.edge.formats`.
      source: what is converted.
      photos: uint8 [n, size, size, channels], photos of the training split, from which int8 learns its ranges.

    Raises:
      NotConverted: when the converter refuses the model, for example because of an operation that the format lacks.
    """
    try:
        return _to_onnx(source) if form == ONNX else _to_litert(form, source, photos)
    except Exception as error:  # the converters raise errors of many types
        raise NotConverted(_reason(error)) from error


def _function(source: Source, batch: int | None, dtype: tf.DType) -> Any:
    """Returns a TensorFlow function of pixels from 0 to 255, with the weights as constants; see `trunks.to_lite`."""
    model, (scale, offset) = source.model, source.normalisation
    groups = model.trainable_variables, model.non_trainable_variables
    values = [[variable.numpy() for variable in group] for group in groups]

    @tf.function(input_signature=[tf.TensorSpec([batch, *model.input_shape[1:]], dtype, name=PIXELS)], autograph=False)
    def call(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        constants = [[tf.constant(value) for value in group] for group in values]
        normalised = tf.cast(pixels, tf.float32) * scale + offset
        logits = model.stateless_call(*constants, normalised, training=False)[0]
        return {PROBABILITIES: tf.nn.softmax(logits / np.float32(source.temperature))}

    return call


def _to_litert(form: str, source: Source, photos: np.ndarray) -> bytes:
    full_int8 = form == LITERT_INT8
    call = _function(source, 1, tf.float32 if full_int8 else tf.uint8)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([call.get_concrete_function()], tf.Module())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if full_int8:
        representative = _with_all_values(photos).astype(np.float32)
        converter.representative_dataset = lambda: ([photo[np.newaxis]] for photo in representative)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    else:
        converter.target_spec.supported_types = [tf.float16]
    described = litert_metadata.add(converter.convert(), source.classes, source.model.input_shape[1:])
    file = io.BytesIO(described)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(zipfile.ZipInfo(LABELS), "".join(f"{' '.join(name.split())}\n" for name in source.classes))
    return file.getvalue()


def _with_all_values(photos: np.ndarray) -> np.ndarray:
    """Returns the photos with 0 and 255 in one corner, so that an int8 model's input has the scale 1 and no offset."""
    photos = photos.copy()
    photos[0, 0, 0], photos[0, 0, 1] = 0, 255
    return photos


def _to_onnx(source: Source) -> bytes:
    import onnx  # both are slow to import, and only this format needs them
    import tf2onnx

    call = _function(source, None, tf.uint8)
    proto, _ = tf2onnx.convert.from_function(call, input_signature=call.input_signature, opset=_OPSET)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.helper.set_model_props(proto, {PROPERTY: json.dumps(list(source.classes))})
    onnx.checker.check_model(proto)
    return proto.SerializeToString()


def _reason(error: Exception) -> str:
    """Returns one line of a converter's error, or the operations that the format lacks."""
    if found := _LACKING.search(str(error)):
        return f"the format has no operation for {found[1]}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return shortened(lines[0]) if lines else type(error).__name__
