"""Turns the photos of a request into pixels, each on its own, so that a damaged photo does not fail the others."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import tensorflow as tf

from trainer import formats
from trainer.features import IMAGE, PIXELS

if TYPE_CHECKING:
    import tensorflow_transform as tft

_DAMAGED = f"the photo is damaged: it cannot be decoded; send another copy of it as {formats.DECODED}"

Reader = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def reader(transform: "tft.TFTransformOutput", photo_of: Callable[[tf.Tensor], tf.Tensor] = tf.identity) -> Reader:
    """Returns a function of strings [batch] that gives pixels and a status for each.

    TensorFlow's graphs cannot catch an error, but tf.data can: an element of a dataset that fails is left out, and the
    photo of a missing element is damaged. The dataset decodes in parallel, and it is part of the SavedModel.

    Args:
      transform: the transform graph.
      photo_of: a function of one string, scalar, that returns the encoded photo in it.

    Returns:
      A function of a string tensor [batch] that returns the pixels, float32 [batch, height, width, channels], and the
      status, string [batch]: '' or why the photo was not used. The pixels of such a photo are 0.
    """
    layer = transform.transform_features_layer()
    shape = transform.transformed_feature_spec()[PIXELS].shape
    blank = tf.io.encode_jpeg(tf.zeros([1, 1, 3], tf.uint8)).numpy()

    def read_one(place: tf.Tensor, item: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        photo = photo_of(item)
        status = formats.problem(photo)
        pixels = layer({IMAGE: tf.reshape(tf.where(tf.equal(status, ""), photo, blank), [1, 1])})[PIXELS][0]
        return place, status, tf.where(tf.equal(status, ""), pixels, 0.0)

    def read(items: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        count = tf.size(items)
        photos = tf.data.Dataset.from_tensor_slices((tf.range(count), items))
        photos = photos.map(read_one, num_parallel_calls=tf.data.AUTOTUNE).ignore_errors()
        # One more element, which cannot fail: a dataset without elements has no batch.
        extra = tf.data.Dataset.from_tensors((count, "", tf.zeros(shape)))
        places, status, pixels = extra.concatenate(photos).batch(tf.cast(count, tf.int64) + 1).get_single_element()
        places = places[:, tf.newaxis]
        all_pixels = tf.scatter_nd(places, pixels, [count + 1, *shape])
        all_status = tf.tensor_scatter_nd_update(tf.repeat(_DAMAGED, count + 1), places, status)
        return all_pixels[:count], all_status[:count]

    return read
