"""RandAugment (Cubuk et al., 2020, arXiv:1909.13719) on the batch: each photo has its own operations.

The operations and their largest changes are those of torchvision, with two differences: the corners of moved photos
are filled by reflection, and TensorFlow's kernels interpolate bilinearly.
"""

import tensorflow as tf

from trainer.augmentation import draws
from trainer.augmentation.colour import blend, clip
from trainer.augmentation.filters import smoothed
from trainer.augmentation.geometry import affine, rotate

_MOST = 30  # the largest magnitude
_TRANSLATION = 150 / 331  # of the side


def randaugment(
    seed: tf.Tensor, pixels: tf.Tensor, classes: tf.Tensor, layers: int, magnitude: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Applies `layers` operations to each photo, drawn from CHANGES with replacement, in a random direction."""
    for own in draws.seeds(seed, layers):
        choice, direction = draws.seeds(own, 2)
        sign = tf.sign(draws.uniform(direction, pixels, -1.0, 1.0))
        kinds = tf.random.stateless_uniform([tf.shape(pixels)[0]], choice, 0, len(CHANGES), tf.int32)
        pixels = _changed(pixels, kinds, sign * magnitude / _MOST)
    return pixels, classes


def _changed(pixels: tf.Tensor, kinds: tf.Tensor, strengths: tf.Tensor) -> tf.Tensor:
    """Applies to each photo the operation with its number; the photos of an operation are one batch."""
    count = len(CHANGES)
    parts = zip(
        CHANGES.values(),
        tf.dynamic_partition(pixels, kinds, count),
        tf.dynamic_partition(strengths, kinds, count),
        strict=True,
    )
    changed = [change(part, strength) for change, part, strength in parts]
    places = tf.dynamic_partition(tf.range(tf.shape(pixels)[0]), kinds, count)
    return tf.ensure_shape(tf.dynamic_stitch(places, changed), pixels.shape)


def _factors(strengths: tf.Tensor) -> tf.Tensor:
    return 1.0 + 0.9 * strengths[:, tf.newaxis, tf.newaxis, tf.newaxis]


def _amounts(strengths: tf.Tensor) -> tf.Tensor:
    """Returns strengths without direction, float32 [batch, 1, 1, 1]."""
    return tf.abs(strengths)[:, tf.newaxis, tf.newaxis, tf.newaxis]


def _grey(pixels: tf.Tensor) -> tf.Tensor:
    return tf.image.rgb_to_grayscale(pixels) if pixels.shape[-1] == 3 else pixels


def _side(pixels: tf.Tensor, axis: int) -> tf.Tensor:
    return tf.cast(tf.shape(pixels)[axis], tf.float32)


def _contrast(pixels: tf.Tensor, strengths: tf.Tensor) -> tf.Tensor:
    return blend(tf.reduce_mean(_grey(pixels), axis=[1, 2, 3], keepdims=True), pixels, _factors(strengths))


def _posterize(pixels: tf.Tensor, strengths: tf.Tensor) -> tf.Tensor:
    """Keeps the first 8 to 4 bits of each value."""
    step = 2.0 ** tf.round(4 * _amounts(strengths))
    return _from_bytes(tf.floor(_bytes(pixels) / step) * step)


def _solarize(pixels: tf.Tensor, strengths: tf.Tensor) -> tf.Tensor:
    """Inverts the values that are not below a threshold, from white to black."""
    return tf.where(pixels >= 1.0 - 2 * _amounts(strengths), -pixels, pixels)


def _autocontrast(pixels: tf.Tensor, strengths: tf.Tensor) -> tf.Tensor:
    """Stretches each channel to the whole range; a constant channel does not change."""
    low = tf.reduce_min(pixels, axis=[1, 2], keepdims=True)
    width = tf.reduce_max(pixels, axis=[1, 2], keepdims=True) - low
    return tf.where(width > 0, clip(2 * tf.math.divide_no_nan(pixels - low, width) - 1), pixels)


def _equalize(pixels: tf.Tensor, strengths: tf.Tensor) -> tf.Tensor:
    """Gives each channel an even histogram of its 256 values, as `ImageOps.equalize` of Pillow does."""
    values = tf.cast(_bytes(pixels), tf.int32)
    shape = tf.shape(pixels)
    rows = tf.reshape(tf.transpose(values, [0, 3, 1, 2]), [shape[0] * shape[3], shape[1] * shape[2]])
    counts = tf.math.bincount(rows, minlength=256, maxlength=256, axis=-1)
    used = tf.range(256) * tf.cast(counts > 0, tf.int32)
    last = tf.gather(counts, tf.argmax(used, axis=-1), batch_dims=1)[:, tf.newaxis]
    step = (tf.reduce_sum(counts, axis=-1, keepdims=True) - last) // 255
    before = tf.cumsum(counts, axis=-1, exclusive=True)
    table = tf.clip_by_value((before + step // 2) // tf.maximum(step, 1), 0, 255)
    table = tf.where(step > 0, table, tf.range(256))
    equal = tf.reshape(tf.gather(table, rows, batch_dims=1), [shape[0], shape[3], shape[1], shape[2]])
    return _from_bytes(tf.cast(tf.transpose(equal, [0, 2, 3, 1]), tf.float32))


def _bytes(pixels: tf.Tensor) -> tf.Tensor:
    return tf.round((clip(pixels) + 1.0) * 127.5)


def _from_bytes(values: tf.Tensor) -> tf.Tensor:
    return values / 127.5 - 1.0


# Functions of photos and strengths, float32 [batch] from -1 to 1; the sign is a direction. The paper's 14 operations.
CHANGES = {
    "identity": lambda pixels, strengths: pixels,
    "shear x": lambda pixels, strengths: affine(pixels, xy=0.3 * strengths),
    "shear y": lambda pixels, strengths: affine(pixels, yx=0.3 * strengths),
    "translate x": lambda pixels, strengths: affine(pixels, x=_TRANSLATION * _side(pixels, 2) * strengths),
    "translate y": lambda pixels, strengths: affine(pixels, y=_TRANSLATION * _side(pixels, 1) * strengths),
    "rotate": lambda pixels, strengths: rotate(pixels, 30.0 * strengths),
    "brightness": lambda pixels, strengths: blend(-tf.ones_like(pixels), pixels, _factors(strengths)),
    "colour": lambda pixels, strengths: blend(_grey(pixels), pixels, _factors(strengths)),
    "contrast": _contrast,
    "sharpness": lambda pixels, strengths: blend(smoothed(pixels), pixels, _factors(strengths)),
    "posterize": _posterize,
    "solarize": _solarize,
    "autocontrast": _autocontrast,
    "equalize": _equalize,
}
