"""Small copies of photos, for the page."""

import base64
from collections.abc import Sequence

import tensorflow as tf

from components import photos
from trainer import images
from trainer.features import IMAGE


def thumbnails(examples: str, split: str, places: Sequence[int], side: int) -> dict[int, str]:
    """Returns photos as JPEG data URIs by their record's number: the middle square, `side` pixels wide.

    Photos that cannot be decoded are left out.
    """
    if not places:
        return {}
    wanted = tf.constant(sorted(places), tf.int64)

    @tf.autograph.experimental.do_not_convert
    def small(place: tf.Tensor, serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        encoded = tf.io.parse_single_example(serialized, {IMAGE: photos.SPEC[IMAGE]})[IMAGE]
        pixels = images.decode(images.checked(encoded))
        return place, tf.io.encode_jpeg(images.fit(pixels, side, "fill-crop"), quality=80)

    numbered = photos.of_split(examples, split).enumerate().filter(lambda place, _: tf.reduce_any(place == wanted))
    encoded = numbered.take(len(places)).map(small).ignore_errors().as_numpy_iterator()
    return {int(place): "data:image/jpeg;base64," + base64.b64encode(jpeg).decode() for place, jpeg in encoded}
