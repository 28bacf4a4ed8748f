"""The range test of the learning rate, without a pipeline."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from tfx.components.trainer.fn_args_utils import FnArgs

from testing import graphs
from tests.helpers import records
from trainer import range_test
from trainer.settings import Recipe, Trainer

RATES = np.geomspace(1e-7, 1, 240)


def _losses(fall: float, depth: float = 1.0) -> np.ndarray:
    """Returns losses that fall by `depth` around one rate, and diverge above 0.1."""
    return 2 - depth / (1 + np.exp(-6 * (np.log10(RATES) - np.log10(fall)))) + np.maximum(0, RATES - 0.1) * 20


@pytest.mark.parametrize("fall", [1e-4, 3e-3])
def test_the_suggestion_is_where_the_loss_falls_most_steeply(fall):
    noise = np.random.default_rng(0).normal(0, 0.02, len(RATES))
    result = range_test.evaluated(RATES.tolist(), (_losses(fall) + noise).tolist())
    assert abs(math.log10(result.suggestion) - math.log10(fall)) < 0.25
    assert fall < result.lowest < 0.2
    assert len(result.smoothed) == len(result.losses) == len(RATES)
    assert np.abs(np.subtract(result.smoothed, _losses(fall)))[:150].max() < 0.1


def test_a_small_fall_that_exceeds_the_noise_gives_a_suggestion():
    """Two classes and a convnet from random weights: the loss falls from 0.69 to 0.665."""
    noise = np.random.default_rng(0).normal(0, 0.01, len(RATES))
    losses = _losses(3e-4, depth=0.025) - 2 + 0.69 + noise
    result = range_test.evaluated(RATES.tolist(), losses.tolist())
    assert 1e-4 < result.suggestion < 1e-3 and result.suggestion < result.lowest < 0.2


@pytest.mark.parametrize("depth", [0.0, 0.01])
def test_a_fall_within_the_noise_gives_only_the_lowest_loss(depth):
    noises = np.random.default_rng(0).normal(0, 0.02, [200, len(RATES)])
    results = [range_test.evaluated(RATES.tolist(), (_losses(1e-3, depth) + noise).tolist()) for noise in noises]
    assert sum(result.suggestion is not None for result in results) <= 2 + 1000 * depth
    assert all(5e-7 < result.lowest < 0.2 for result in results)


def test_a_loss_that_only_rises_gives_no_suggestion():
    assert range_test.evaluated(RATES.tolist(), np.linspace(2, 8, len(RATES)).tolist()).suggestion is None
    assert range_test.evaluated([1e-7], [2.0])[3:] == (None, None)


@pytest.fixture
def model() -> keras.Model:
    model = keras.Sequential([keras.Input([4]), keras.layers.Dense(2)])
    model.compile(optimizer=keras.optimizers.SGD(), loss=keras.losses.CategoricalCrossentropy(from_logits=True))
    return model


def _fit(model: keras.Model, steps: int, replicas: int, bad_step: int = -1) -> range_test.Rates:
    pixels = tf.random.stateless_uniform([steps, 8, 4], (1, 2))
    pixels = tf.where(tf.reshape(tf.range(steps) == bad_step, [-1, 1, 1]), np.nan, pixels)
    batches = tf.data.Dataset.from_tensor_slices((pixels, tf.one_hot(tf.argmax(pixels, -1) % 2, 2)))
    rates = range_test.Rates(steps, replicas)
    model.fit(batches, callbacks=[rates], verbose=0)
    return rates


def test_each_step_has_its_rate_and_the_loss_of_its_batch(model):
    used, losses = [], []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            used.append(float(self.model.optimizer.learning_rate))

    rates = range_test.Rates(5, replicas=2)
    before = model.get_weights()
    x, y = np.eye(20, 4, dtype=np.float32), np.eye(2, dtype=np.float32)[np.arange(20) % 2]
    model.fit(x, y, batch_size=4, shuffle=False, callbacks=[rates, Watch()], verbose=0)
    assert np.allclose(rates.rates, np.geomspace(1e-7, 1, 5))
    assert np.allclose(used, 2 * np.geomspace(1e-7, 1, 5))
    model.set_weights(before)
    for start, rate in zip(range(0, 20, 4), used, strict=True):
        model.optimizer.learning_rate = rate
        model.reset_metrics()
        losses.append(float(model.train_on_batch(x[start : start + 4], y[start : start + 4])))
    assert np.allclose(rates.losses, losses, atol=1e-5)


def test_a_loss_that_is_nan_ends_the_test(model):
    rates = _fit(model, 40, 1, bad_step=12)
    assert len(rates.rates) == len(rates.losses) == 12


def test_a_loss_that_diverges_ends_the_test(model, monkeypatch):
    monkeypatch.setattr(range_test, "HIGHEST", 1e6)
    rates = _fit(model, 200, 1)
    assert 20 < len(rates.rates) < 200
    assert rates.losses[-1] > 4 * min(rates.losses)


@pytest.mark.parametrize("balance", ["none", "loss"])
def test_the_test_trains_the_recipe_and_leaves_no_policy(tmp_path, balance):
    colours = [(250, 10, 10), (10, 250, 10), (10, 10, 250)]
    examples = [records.example(number % 3, records.jpeg(colours[number % 3])) for number in range(48)]
    file = str(records.write(tmp_path / "a.tfrec", examples))
    graph = graphs.build(tmp_path / "graph", [records.jpeg()], image_size=16)
    settings = Trainer(batch_size=8, balance=balance, steps_per_execution=4)
    recipe = Recipe(data={"classes": list("abc"), "image_size": 16}, model={"name": "softmax"}, trainer=settings)
    fn_args = FnArgs(train_files=[file], eval_files=[file], transform_graph_path=str(tmp_path / "graph"))
    result = range_test.run(fn_args, recipe)
    assert 100 < len(result.rates) <= range_test.LEAST_STEPS  # more than the 6 steps of an epoch
    assert result.losses[0] > 2 * min(result.smoothed)
    assert 1e-7 < result.suggestion < result.lowest
    assert graph and keras.config.dtype_policy().name == "float32"
    again = range_test.run(fn_args, recipe)
    assert np.allclose(again.losses[:50], result.losses[:50], atol=1e-5)
