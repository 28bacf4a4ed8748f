"""Models, schedule and input, without a pipeline around them."""

import doctest

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer import input_pipeline, models, schedules, strategy


@pytest.mark.parametrize("name", list(models.MODELS))
@pytest.mark.parametrize("classes", [2, 5])
def test_every_model_gives_logits(name, classes):
    size = 96
    model = models.build(name, (size, size, 3), classes)
    logits = model(np.zeros((2, size, size, 3), np.float32))
    assert logits.shape == (2, classes)
    assert logits.dtype == tf.float32
    assert model.layers[-1].activation is keras.activations.linear


@pytest.mark.parametrize(("name", "parameters"), [("convnet", 293_233), ("squeezenet", 120_197)])
def test_sizes(name, parameters):
    assert models.build(name, (192, 192, 3), 5).count_params() == parameters


def test_xception_is_keras_xception_and_a_head():
    base = keras.applications.Xception(weights=None, include_top=False, input_shape=(96, 96, 3))
    assert models.build("xception", (96, 96, 3), 5).count_params() == base.count_params() + 2048 * 5 + 5


def test_xception_takes_the_weights_it_is_given(real_data):
    path = str(real_data / "weights" / "xception_notop_imagenet_block14_random.h5")
    model = models.build("xception", (96, 96, 3), 5, path)
    expected = keras.applications.Xception(weights=path, include_top=False, input_shape=(96, 96, 3))
    name = "block10_sepconv2"
    for ours, theirs in zip(model.get_layer(name).get_weights(), expected.get_layer(name).get_weights(), strict=True):
        assert np.array_equal(ours, theirs)


def test_weights_of_another_model_are_refused(real_data):
    path = str(real_data / "weights" / "mobilenet_v2_0.35_224_imagenet_notop.h5")
    with pytest.raises(ValueError, match="does not fit Xception without its top"):
        models.build("xception", (96, 96, 3), 5, path)


def test_unknown_models_and_weights_that_nobody_takes():
    with pytest.raises(
        ValueError, match=r"expected a model of \['convnet', 'squeezenet', 'xception'\], received 'vgg'"
    ):
        models.build("vgg", (96, 96, 3), 5)
    with pytest.raises(ValueError, match="convnet: it has no pretrained weights"):
        models.build("convnet", (96, 96, 3), 5, "file.h5")


def test_the_schedule_rises_then_falls():
    assert doctest.testmod(schedules).failed == 0
    rates = [schedules.ramp_then_decay(epoch, 1e-5, 4e-4, 5, 0.8) for epoch in range(12)]
    assert rates[0] == 1e-5
    assert max(rates) == rates[5] == 4e-4
    assert rates[:6] == sorted(rates[:6])
    assert rates[11] == pytest.approx(4e-4 * 0.8**6)


def test_no_ramp_starts_at_the_peak():
    assert schedules.ramp_then_decay(0, 1e-3, 5e-3, 0, 0.5) == 5e-3


def _random_pixels(batch: int = 64) -> tf.Tensor:
    return tf.random.stateless_uniform([batch, 8, 8, 3], seed=(1, 2), minval=-1.0, maxval=1.0)


def test_flips_are_left_right_and_about_half():
    pixels = _random_pixels()
    flipped = input_pipeline.augmentation(["flip"], seed=0)(pixels)
    same = np.all(flipped.numpy() == pixels.numpy(), axis=(1, 2, 3))
    mirrored = np.all(flipped.numpy() == pixels.numpy()[:, :, ::-1], axis=(1, 2, 3))
    assert np.all(same | mirrored)
    assert 16 < mirrored.sum() < 48


def test_saturation_is_tensorflows_with_a_factor_for_each_photo():
    pixels = _random_pixels()
    changed = input_pipeline.saturate(pixels, seed=3).numpy()
    assert changed.min() >= -1.0
    assert changed.max() <= 1.0
    value = lambda batch: batch.max(axis=-1)  # noqa: E731 (HSV's value, which saturation leaves alone)
    assert np.allclose(value(changed), value(pixels.numpy()), atol=1e-5)
    spread = (changed.max(-1) - changed.min(-1)).mean(axis=(1, 2)) / np.ptp(pixels.numpy(), axis=-1).mean(axis=(1, 2))
    assert spread.min() < 0.3 < 1.1 < spread.max()
    grey = tf.fill([1, 4, 4, 3], 0.25)
    assert np.allclose(input_pipeline.saturate(grey, seed=3), grey, atol=1e-6)


def test_no_augmentation_is_none():
    assert input_pipeline.augmentation([], seed=0) is None


def test_one_cpu_is_the_default_strategy(monkeypatch):
    monkeypatch.delenv("TPU_NAME", raising=False)
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("this machine has a GPU")
    assert strategy.describe(strategy.choose()) == "1 × CPU"
