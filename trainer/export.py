"""Exports the SavedModel: the transform graph and the model, so that serving and training see the same pixels."""

from collections.abc import Sequence

import keras
import tensorflow as tf
import tensorflow_transform as tft
from keras.export import ExportArchive

from trainer import class_names, images
from trainer.features import CLASS_INDEX, EXAMPLES, IMAGE, IMAGE_BYTES, LABEL, PIXELS, PROBABILITIES


def export(model: keras.Model, transform: tft.TFTransformOutput, classes: Sequence[str], directory: str) -> None:
    """Writes a SavedModel with three signatures. It computes in float32, whatever the model's precision.

    serving_default: `image_bytes` string [batch], encoded photos (REST: {"b64": …}), to `label` string [batch],
      `class_index` int64 [batch] and `probabilities` float32 [batch, classes].
    serve_examples: `examples` string [batch], serialised tf.Examples, to the same outputs.
    transform_features: `examples` to `pixels`, the model's input.

    The class names are stored in the folder; see `trainer.class_names`.
    """
    served = in_float32(model)
    layer = transform.transform_features_layer()
    spec = {IMAGE: transform.raw_feature_spec()[IMAGE]}
    names = tf.constant(list(classes))

    def to_pixels(encoded: tf.Tensor) -> tf.Tensor:
        photos = tf.map_fn(images.checked, tf.reshape(encoded, [-1]))
        return layer({IMAGE: photos[:, tf.newaxis]})[PIXELS]

    def image_of(examples: tf.Tensor) -> tf.Tensor:
        return tf.io.parse_example(examples, spec)[IMAGE]

    def predict(encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = tf.nn.softmax(served(to_pixels(encoded), training=False))
        index = tf.argmax(probabilities, axis=-1)
        return {LABEL: tf.gather(names, index), CLASS_INDEX: index, PROBABILITIES: probabilities}

    archive = ExportArchive()
    archive.track(served)
    archive.track(layer)
    encoded = [tf.TensorSpec([None], tf.string, name=IMAGE_BYTES)]
    serialized = [tf.TensorSpec([None], tf.string, name=EXAMPLES)]
    archive.add_endpoint("serving_default", predict, encoded)
    archive.add_endpoint("serve_examples", lambda examples: predict(image_of(examples)), serialized)
    archive.add_endpoint("transform_features", lambda examples: {PIXELS: to_pixels(image_of(examples))}, serialized)
    archive.write_out(directory, verbose=False)
    class_names.write(directory, classes)


def in_float32(model: keras.Model) -> keras.Model:
    """Returns a copy of a model, with the same weights, that computes in float32 and has no strategy.

    Mixed precision computes in bfloat16 or float16, for which most CPUs have no instructions (issue 11).
    """

    def rebuild(layer: keras.layers.Layer) -> keras.layers.Layer:
        return type(layer).from_config(layer.get_config() | {"dtype": "float32"})

    copy = keras.models.clone_model(model, clone_function=rebuild)
    copy.set_weights(model.get_weights())
    return copy
