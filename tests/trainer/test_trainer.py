"""Models and learning rates, without a pipeline."""

import doctest

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer import features, models, schedules, section
from trainer.families import FAMILIES, PROBE, Width
from trainer.models import batch_norm
from trainer.settings import LearningRate


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != PROBE])
@pytest.mark.parametrize("classes", [2, 5])
def test_every_model_gives_logits(name, classes):
    size = 96
    model = models.build(name, (size, size, 3), classes)
    logits = model(np.zeros((2, size, size, 3), np.float32))
    assert logits.shape == (2, classes)
    assert logits.dtype == tf.float32
    assert model.layers[-1].activation is keras.activations.linear
    assert (model.name, model.layers[-1].name) == (name, "logits")


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != PROBE])
def test_logits_are_float32_under_mixed_precision(name):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = models.build(name, (96, 96, 3), 5)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.layers[-1].compute_dtype == "float32"
    assert model.layers[-2].compute_dtype == "bfloat16"
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.options is Width])
def test_alpha_is_a_width(name):
    narrow, whole, wide = (models.build(name, (32, 32, 3), 5, alpha=alpha).count_params() for alpha in (0.5, 1.0, 1.4))
    assert narrow < whole < wide


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("softmax", 552_965),
        ("dense", 55_321_805),
        ("convnet", 293_233),
        ("squeezenet", 120_197),
    ],
)
def test_sizes(name, parameters):
    assert models.build(name, (192, 192, 3), 5).count_params() == parameters


def test_xception_is_keras_xception_and_a_head():
    base = keras.applications.Xception(weights=None, include_top=False, input_shape=(96, 96, 3))
    assert models.build("xception", (96, 96, 3), 5).count_params() == base.count_params() + 2048 * 5 + 5


def test_mobilenet_is_keras_mobilenet_and_a_head():
    base = keras.applications.MobileNetV2(weights=None, alpha=0.35, include_top=False, input_shape=(96, 96, 3))
    assert models.build("mobilenet_v2", (96, 96, 3), 5, alpha=0.35).count_params() == base.count_params() + 1280 * 5 + 5


@pytest.mark.parametrize("options", [{}, {"scale": False}, {"momentum": 0.5, "epsilon": 0.1, "center": False}])
@pytest.mark.parametrize("shape", [(6, 5, 4, 3), (8, 3)], ids=["photos", "vectors"])
def test_the_fused_batch_norm_is_keras_batch_norm(options, shape):
    ours, theirs = batch_norm.BatchNormalization(**options), keras.layers.BatchNormalization(**options)
    pixels = tf.random.stateless_normal(shape, (1, 2), mean=3.0, stddev=2.0)
    weights = tf.random.stateless_normal(shape, (3, 4))
    for _ in range(3):
        outputs, gradients = zip(*(_slope(layer, pixels, weights) for layer in (ours, theirs)), strict=True)
        assert np.allclose(*outputs, atol=1e-5)
        for mine, other in zip(*gradients, strict=True):
            assert np.allclose(mine, other, atol=1e-4)
    for mine, other in zip(ours.variables, theirs.variables, strict=True):
        assert np.allclose(mine, other, rtol=1e-5)
    assert np.allclose(ours(pixels), theirs(pixels), atol=1e-5)
    ours.trainable = False
    assert np.allclose(ours(pixels, training=True), theirs(pixels), atol=1e-5)


def _slope(layer, pixels, weights):
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        outputs = layer(pixels, training=True)
        loss = tf.reduce_sum(outputs * weights)
    return outputs, tape.gradient(loss, [pixels, *(variable.value for variable in layer.trainable_variables)])


@pytest.mark.parametrize("name", ["xception", "mobilenet_v2", "squeezenet", "cnn"])
def test_every_batch_norm_is_fused(name):
    norms = [
        layer
        for layer in models.build(name, (96, 96, 3), 5).layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert norms
    assert {type(layer) for layer in norms} == {batch_norm.BatchNormalization}
    # an epoch of the flowers has 157 steps: with 0.99, the averages are still those of the start
    assert {layer.momentum for layer in norms} == {0.99 if name == "cnn" else batch_norm.MOMENTUM}


def test_models_that_do_not_exist():
    with pytest.raises(
        ValueError, match="unknown model; did you mean 'convnet'. expected one of: softmax, mlp, dense, .*"
    ):
        models.build("convent", (96, 96, 3), 5)
    with pytest.raises(ValueError, match="xception has no options"):
        models.build("xception", (96, 96, 3), 5, alpha=0.5)
    with pytest.raises(ValueError, match="cnn has the options alpha"):
        models.build("cnn", (96, 96, 3), 5, aplha=0.5)


def test_the_schedule_rises_then_falls():
    assert doctest.testmod(schedules).failed == doctest.testmod(section).failed == doctest.testmod(features).failed == 0
    settings = LearningRate(start=1e-5, peak=4e-4, ramp_epochs=5, decay=0.8)
    rates = [schedules.learning_rate(epoch, 12, settings) for epoch in range(12)]
    assert rates[0] == 1e-5
    assert max(rates) == rates[5] == 4e-4
    assert rates[:6] == sorted(rates[:6])
    assert rates[11] == pytest.approx(4e-4 * 0.8**6)


def test_no_ramp_starts_at_the_peak():
    assert schedules.learning_rate(0, 9, LearningRate(start=1e-3, peak=5e-3, decay=0.5)) == 5e-3


def test_a_cosine_ends_near_nought():
    settings = LearningRate(schedule="cosine", start=1e-3, peak=1e-2, ramp_epochs=2)
    rates = [schedules.learning_rate(epoch, 10, settings) for epoch in range(10)]
    assert max(rates) == rates[2] == 1e-2
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert 0 < rates[9] < 5e-4
