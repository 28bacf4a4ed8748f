"""Mirrors, crops and turns photos; pixels of any range. `table.Operation` describes the arguments."""

import math

import tensorflow as tf

from trainer.augmentation import draws


def flip(seed: tf.Tensor, pixels: tf.Tensor, classes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mirrors half of the photos, left to right."""
    return tf.image.stateless_random_flip_left_right(pixels, seed), classes


def resized_crop(
    seed: tf.Tensor, pixels: tf.Tensor, classes: tf.Tensor, scale: float, ratio: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Enlarges a part of each photo to the photo's size.

    The area is drawn from [scale, 1] of the photo's, and the ratio of width to height log-uniformly from
    [1 / ratio, ratio]. A side that would be longer than the photo's is as long as the photo's.
    """
    area_seed, ratio_seed, place_seed = draws.seeds(seed, 3)
    area = draws.uniform(area_seed, pixels, scale, 1.0)
    root = tf.exp(draws.uniform(ratio_seed, pixels, -math.log(ratio), math.log(ratio)) / 2)
    sides = tf.minimum(tf.sqrt(area)[:, tf.newaxis] * tf.stack([1 / root, root], axis=1), 1.0)  # height, width
    start = draws.uniform(place_seed, pixels, 0.0, 1.0, [2]) * (1.0 - sides)
    return crop(pixels, tf.concat([start, start + sides], axis=1)), classes


def crop(pixels: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Enlarges a box of each photo to the photo's size, bilinearly.

    Args:
      pixels: float32 [batch, height, width, channels].
      boxes: float32 [batch, 4]: top, left, bottom and right, from 0 to 1.
    """
    cropped = tf.image.crop_and_resize(pixels, boxes, tf.range(tf.shape(pixels)[0]), tf.shape(pixels)[1:3])
    return tf.ensure_shape(cropped, pixels.shape)


def rotation(seed: tf.Tensor, pixels: tf.Tensor, classes: tf.Tensor, degrees: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Turns each photo by an angle in [-degrees, degrees]; the corners are filled by reflection."""
    return rotate(pixels, draws.uniform(seed, pixels, -degrees, degrees)), classes


def rotate(pixels: tf.Tensor, degrees: tf.Tensor) -> tf.Tensor:
    """Turns each photo counterclockwise by its angle, float32 [batch]."""
    sine, cosine = tf.sin(degrees * math.pi / 180), tf.cos(degrees * math.pi / 180)
    return affine(pixels, xx=cosine, xy=-sine, yx=sine, yy=cosine)


def affine(
    pixels: tf.Tensor,
    xx: tf.Tensor | float = 1.0,
    xy: tf.Tensor | float = 0.0,
    yx: tf.Tensor | float = 0.0,
    yy: tf.Tensor | float = 1.0,
    x: tf.Tensor | float = 0.0,
    y: tf.Tensor | float = 0.0,
) -> tf.Tensor:
    """Applies an affine map around the centre of each photo, bilinearly; pixels outside are filled by reflection.

    A pixel at (X, Y) is read at (xx X + xy Y + x, yx X + yy Y + y), in pixels from the centre. Each coefficient is a
    number or float32 [batch].
    """
    batch = tf.shape(pixels)[0]
    right, down = (tf.cast(tf.shape(pixels)[axis] - 1, tf.float32) / 2 for axis in (2, 1))
    across = [xx, xy, x + right - xx * right - xy * down]
    along = [yx, yy, y + down - yx * right - yy * down]
    columns = [tf.broadcast_to(tf.cast(each, tf.float32), [batch]) for each in (*across, *along, 0.0, 0.0)]
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=pixels,
        transforms=tf.stack(columns, axis=1),
        output_shape=tf.shape(pixels)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    return tf.ensure_shape(moved, pixels.shape)
