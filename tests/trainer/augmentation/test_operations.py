"""Each operation: worked examples, its range, and what its random numbers depend on."""

import functools
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from trainer.augmentation import colour, filters, geometry, mixing, randaugment
from trainer.augmentation.batches import augmentation
from trainer.augmentation.table import OPERATIONS
from trainer.settings import Trainer

SEED = tf.constant([7, 8])
CLASSES = tf.one_hot(tf.range(64) % 5, 5)


@functools.cache
def _graph(settings: Trainer) -> Callable:
    return tf.function(augmentation(settings.augment))


def applied(*operations: str | dict, pixels: tf.Tensor, seed: tf.Tensor = SEED) -> tuple[np.ndarray, np.ndarray]:
    """Returns the changed pixels and classes, computed in a graph as tf.data does."""
    changed, classes = _graph(Trainer(augment=operations))(seed, pixels, CLASSES[: len(pixels)])
    return changed.numpy(), classes.numpy()


def random_pixels(batch: int = 64, channels: int = 3, size: int = 8) -> tf.Tensor:
    return tf.random.stateless_uniform([batch, size, size, channels], seed=(1, 2), minval=-1.0, maxval=1.0)


def smooth_pixels(batch: int = 2, size: int = 12) -> tf.Tensor:
    """Returns photos that differ, without noise."""
    rows, columns = tf.meshgrid(tf.linspace(-0.9, 0.9, size), tf.linspace(-0.8, 0.4, size), indexing="ij")
    photo = tf.stack([rows, columns, rows * columns], axis=-1)
    return tf.stack([photo * (1 - 0.01 * number) for number in range(batch)])


@pytest.mark.parametrize(
    ("name", "channels"), [(name, each) for name in OPERATIONS for each in OPERATIONS[name].channels]
)
def test_pixels_stay_in_the_range_and_shares_of_classes_sum_to_one(name, channels):
    pixels = random_pixels(channels=channels)
    changed, classes = applied(name, pixels=pixels)
    assert changed.shape == pixels.shape and changed.dtype == np.float32
    assert changed.min() >= -1.0 and changed.max() <= 1.0
    assert classes.min() >= 0.0 and np.allclose(classes.sum(axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("name", OPERATIONS)
def test_changes_follow_from_the_seed_and_differ_by_photo(name):
    same_photo = tf.repeat(smooth_pixels(1), 64, axis=0) * tf.reshape(
        tf.where(tf.range(64) % 2 == 0, 1.0, 0.999), [64, 1, 1, 1]
    )
    changed, classes = applied(name, pixels=same_photo)
    again = applied(name, pixels=same_photo)
    other = applied(name, pixels=same_photo, seed=tf.constant([7, 9]))
    assert np.array_equal(changed, again[0]) and np.array_equal(classes, again[1])
    assert not np.allclose(changed, other[0], atol=1e-5)
    assert len({round(float(each), 4) for each in np.abs(changed - same_photo.numpy()).mean(axis=(1, 2, 3))}) > 1


def test_an_operation_draws_the_same_beside_others():
    """Others may change the photos before it, but not what it draws: the classes, and which pixels are cut out."""
    pixels, others = random_pixels(), ["flip", {"rotation": {"degrees": 0}}, {"brightness": {"delta": 0}}, "blur"]
    for name in ("mixup", "cutmix"):
        assert np.array_equal(applied(name, pixels=pixels)[1], applied(*others, name, pixels=pixels)[1])
    alone, beside = applied("cutout", pixels=pixels)[0], applied("cutout", *others, pixels=pixels)[0]
    assert np.array_equal(alone == 0, beside == 0)
    flipped, both = applied("flip", pixels=pixels)[0], applied("flip", {"contrast": {"strength": 0}}, pixels=pixels)[0]
    assert np.allclose(flipped, both, atol=1e-6)


def test_the_order_in_the_setting_changes_nothing():
    pixels, names = random_pixels(), list(OPERATIONS)
    ours, theirs = applied(*names, pixels=pixels), applied(*names[::-1], pixels=pixels)
    assert np.array_equal(ours[0], theirs[0]) and np.array_equal(ours[1], theirs[1])


def test_no_augmentation_is_none():
    assert augmentation([]) is None


def test_flips_are_left_right_and_about_half():
    pixels = random_pixels()
    flipped, _ = applied("flip", pixels=pixels)
    same = np.all(flipped == pixels.numpy(), axis=(1, 2, 3))
    mirrored = np.all(flipped == pixels.numpy()[:, :, ::-1], axis=(1, 2, 3))
    assert np.all(same | mirrored)
    assert 16 < mirrored.sum() < 48
    assert np.array_equal(applied("flip", pixels=flipped)[0], pixels)


def test_a_crop_of_the_whole_photo_changes_nothing():
    pixels = random_pixels()
    whole = {"resized_crop": {"scale": 1, "ratio": 1}}
    assert np.allclose(applied(whole, pixels=pixels)[0], pixels, atol=1e-6)


def test_a_crop_enlarges_its_box():
    ramp = tf.reshape(tf.range(9.0), [1, 1, 9, 1]) * tf.ones([1, 9, 1, 1])
    left_half = geometry.crop(ramp, tf.constant([[0.0, 0.0, 1.0, 0.5]])).numpy()
    assert np.allclose(left_half[0, 4, :, 0], np.arange(9) / 2)


def test_crops_have_the_areas_and_ratios_of_the_options():
    """The step between two pixels of a ramp is the crop's share of the side."""
    down, across = tf.meshgrid(tf.range(65.0), tf.range(65.0), indexing="ij")
    pixels = tf.repeat(tf.stack([down, across], axis=-1)[tf.newaxis], 64, axis=0)
    crops, _ = applied({"resized_crop": {"scale": 0.25, "ratio": 2}}, pixels=pixels)
    height, width = crops[:, 1, 0, 0] - crops[:, 0, 0, 0], crops[:, 0, 1, 1] - crops[:, 0, 0, 1]
    inside = (height < 0.999) & (width < 0.999)
    assert inside.sum() > 20
    assert (height * width)[inside].min() > 0.25 and np.ptp(height * width) > 0.3
    ratios = (width / height)[inside]
    assert 0.5 <= ratios.min() < 0.8 < 1.25 < ratios.max() <= 2.0


def test_a_turn_by_nothing_and_by_right_angles():
    pixels = random_pixels(4)
    assert np.allclose(geometry.rotate(pixels, tf.zeros([4])), pixels, atol=1e-6)
    turned = geometry.rotate(pixels, tf.constant([90.0, 180.0, -90.0, 0.0])).numpy()
    for photo, times, got in zip(pixels.numpy(), (1, 2, -1, 0), turned, strict=True):
        assert np.allclose(np.rot90(photo, times), got, atol=1e-4)


def test_an_affine_map_of_a_photo_that_is_not_square():
    pixels = tf.reshape(tf.range(12.0), [1, 3, 4, 1])
    assert np.array_equal(geometry.affine(pixels), pixels)
    moved = geometry.affine(pixels, x=1.0).numpy()
    assert np.array_equal(moved[:, :, :3], pixels.numpy()[:, :, 1:])
    assert np.array_equal(moved[:, :, 3], pixels.numpy()[:, :, 3])  # the edge is reflected


def test_brightness_adds_one_number_to_a_photo():
    dark = tf.fill([64, 2, 2, 3], -0.5)
    changed, _ = applied({"brightness": {"delta": 0.1}}, pixels=dark)
    assert np.allclose(np.ptp(changed, axis=(1, 2, 3)), 0.0)
    assert -0.7 <= changed.min() < -0.65 and -0.35 < changed.max() <= -0.3


def test_contrast_is_tensorflows_with_a_factor_for_each_photo():
    pixels = random_pixels() / 2  # far from the limits
    factors = tf.random.stateless_uniform([64], SEED, 0.5, 1.5)
    changed, _ = colour.contrast(SEED, pixels, CLASSES, strength=0.5)
    for photo, factor, got in zip(pixels, factors, changed, strict=True):
        assert np.allclose(tf.clip_by_value(tf.image.adjust_contrast(photo, factor), -1, 1), got, atol=1e-5)


def test_saturation_is_tensorflows_with_a_factor_for_each_photo():
    pixels = random_pixels()
    changed = colour.saturation(SEED, pixels, CLASSES, strength=1.0)[0].numpy()
    value = lambda batch: batch.max(axis=-1)  # noqa: E731 (HSV's value, which saturation does not change)
    assert np.allclose(value(changed), value(pixels.numpy()), atol=1e-5)
    spread = (changed.max(-1) - changed.min(-1)).mean(axis=(1, 2)) / np.ptp(pixels.numpy(), axis=-1).mean(axis=(1, 2))
    assert spread.min() < 0.3 < 1.1 < spread.max()
    factors = tf.random.stateless_uniform([64], SEED, 0.0, 2.0)
    for photo, factor, got in zip(pixels, factors, changed, strict=True):
        assert np.allclose(tf.image.adjust_saturation((photo + 1) / 2, factor) * 2 - 1, got, atol=1e-5)
    grey = tf.fill([1, 4, 4, 3], 0.25)
    assert np.allclose(colour.saturation(SEED, grey, CLASSES, strength=1.0)[0], grey, atol=1e-6)


def test_a_third_of_the_circle_turns_red_into_green():
    red = tf.constant([[[[1.0, -1.0, -1.0]]]])
    nothing, _ = colour.hue(SEED, red, CLASSES, delta=0.0)
    assert np.allclose(nothing, red, atol=1e-6)
    hues, _ = applied({"hue": {"delta": 0.5}}, pixels=tf.repeat(red, 64, axis=0))
    assert np.allclose(hues.max(axis=-1), 1.0) and np.allclose(hues.min(axis=-1), -1.0)
    assert set(hues.argmax(axis=-1).ravel()) == {0, 1, 2}
    little, _ = applied({"hue": {"delta": 0.1}}, pixels=tf.repeat(red, 64, axis=0))
    assert set(little.argmax(axis=-1).ravel()) == {0}


def test_a_blur_spreads_a_point_as_a_gaussian():
    point = np.zeros([2, 21, 21, 1], np.float32)
    point[:, 10, 10] = 1.0
    blurred = filters.gaussian(tf.constant(point), tf.constant([1e-3, 1.5])).numpy()[..., 0]
    assert np.array_equal(blurred[0], point[0, ..., 0])
    weights = np.exp(-np.square(np.arange(-10, 11)) / (2 * 1.5**2))
    assert np.allclose(blurred[1], np.outer(weights, weights) / weights.sum() ** 2, atol=1e-5)
    even = tf.fill([1, 5, 7, 3], 0.25)
    assert np.allclose(filters.gaussian(even, tf.constant([2.0])), even, atol=1e-6)  # also at the edges


def test_a_blur_changes_its_share_of_photos():
    pixels = random_pixels()
    for probability, least, most in ((0, 0, 0), (0.5, 16, 48), (1, 64, 64)):
        blurred, _ = applied({"blur": {"probability": probability, "sigma": 3}}, pixels=pixels)
        changed = sum(not np.array_equal(*pair) for pair in zip(blurred, pixels.numpy(), strict=True))
        assert least <= changed <= most


def test_cutout_removes_a_square_around_a_pixel_and_nothing_else():
    pixels = tf.ones([64, 10, 10, 3])
    changed, classes = applied({"cutout": {"size": 0.4}}, pixels=pixels)
    assert set(np.unique(changed)) == {0.0, 1.0} and np.array_equal(classes, CLASSES)
    removed = changed[..., 0] == 0.0
    heights, widths = removed.any(axis=2).sum(axis=1), removed.any(axis=1).sum(axis=1)
    assert np.array_equal(removed.sum(axis=(1, 2)), heights * widths)  # a rectangle
    assert heights.max() == widths.max() == 4 and heights.min() == widths.min() == 2  # at an edge, a part is outside
    assert removed.any(axis=0).all()  # each pixel can be removed


def test_a_square_of_the_whole_side_or_of_none():
    pixels = tf.ones([2, 6, 6, 1])
    masks = mixing.squares(SEED, pixels, tf.constant([0.0, 1.0])).numpy()
    assert not masks[0].any() and masks[1].sum() >= 9


def test_mixup_mixes_photos_and_classes_alike():
    pixels = tf.ones([64, 4, 4, 3]) * tf.reshape(tf.cast(tf.range(64) % 2, tf.float32), [64, 1, 1, 1])
    mixed, labels = mixing.mixup(SEED, pixels, tf.one_hot(tf.range(64) % 2, 2), alpha=0.2)
    assert np.allclose(mixed[:, 0, 0, 0], labels[:, 1], atol=1e-6)  # class 1 is white, class 0 is black
    assert 0.02 < float(tf.reduce_mean(tf.minimum(labels[:, 0], labels[:, 1]))) < 0.3


def test_the_class_has_the_share_of_the_area_that_cutmix_left():
    pixels = tf.ones([64, 10, 10, 3]) * tf.reshape(tf.cast(tf.range(64) % 2, tf.float32), [64, 1, 1, 1])
    mixed, labels = mixing.cutmix(SEED, pixels, tf.one_hot(tf.range(64) % 2, 2), alpha=1.0, probability=0.5)
    white = mixed.numpy()[..., 0].mean(axis=(1, 2))
    assert np.allclose(white, labels[:, 1], atol=1e-6)
    whole = (white == 0.0) | (white == 1.0)
    assert 16 < whole.sum() < 56
    assert np.unique(mixed[~whole].numpy()).tolist() == [0.0, 1.0]


def test_randaugments_operations_are_pillows():
    photo = np.uint8(np.clip(smooth_pixels(1, 32).numpy()[0] * 90 + 120, 20, 235))
    image, pixels = Image.fromarray(photo), tf.constant(photo[np.newaxis] / 127.5 - 1, tf.float32)
    expected = {
        "identity": image,
        "brightness": ImageEnhance.Brightness(image).enhance(1 + 0.9 * 0.3),
        "colour": ImageEnhance.Color(image).enhance(1 + 0.9 * 0.3),
        "contrast": ImageEnhance.Contrast(image).enhance(1 + 0.9 * 0.3),
        "sharpness": ImageEnhance.Sharpness(image).enhance(1 + 0.9 * 0.3),
        "posterize": ImageOps.posterize(image, 7),
        "solarize": ImageOps.solarize(image, 179),
        "autocontrast": ImageOps.autocontrast(image),
        "equalize": ImageOps.equalize(image),
    }
    for name, theirs in expected.items():
        ours = randaugment.CHANGES[name](pixels, tf.constant([0.3])).numpy()[0]
        assert np.abs((ours + 1) * 127.5 - np.asarray(theirs)).max() <= 1.6, name  # Pillow rounds to whole numbers
    assert set(randaugment.CHANGES) - set(expected) == {"shear x", "shear y", "translate x", "translate y", "rotate"}


@pytest.mark.parametrize("name", randaugment.CHANGES)
def test_randaugments_operations_take_a_batch_of_none(name):
    assert randaugment.CHANGES[name](tf.zeros([0, 8, 8, 3]), tf.zeros([0])).shape == (0, 8, 8, 3)


def test_each_photo_has_its_own_operation_of_randaugment():
    pixels = smooth_pixels(64) / 2
    kinds = tf.range(64) % len(randaugment.CHANGES)
    changed = randaugment._changed(pixels, kinds, tf.fill([64], 0.5))
    for number, change in enumerate(list(randaugment.CHANGES.values())[:64]):
        alone = change(pixels[number : number + 1], tf.constant([0.5]))
        assert np.allclose(changed[number], alone[0], atol=1e-6), number
