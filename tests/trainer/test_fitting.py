"""Training with the settings of a recipe, and resuming it, on generated pixels without a pipeline."""

import json
from functools import partial
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer import budget, callbacks, fitting, models, weights
from trainer.checkpoints import Checkpoints
from trainer.settings import LearningRate, Trainer

STEPS, BATCH, CLASSES, SIDE = 6, 8, 3, 16


class PowerCut(Exception):
    """Ends a training as a killed process would: between two steps, without a word to anybody."""


class Cut(keras.callbacks.Callback):
    def __init__(self, step: int):
        super().__init__()
        self._left = step

    def on_train_batch_begin(self, batch, logs=None):
        self._left -= 1
        if self._left < 0:
            raise PowerCut


class Spoil(keras.callbacks.Callback):
    """Makes a weight NaN after the last step of an epoch, whose loss is a number."""

    def on_train_batch_end(self, batch, logs=None):
        if batch == STEPS - 1:
            kernel = self.model.trainable_variables[0]
            kernel.assign(kernel * np.nan)


def _batches(first_epoch: int = 0, ill_step: int = 0, ill: str = "labels") -> tf.data.Dataset:
    """Batches in which a class is a brightness; the same step gives the same batch, and one may hold no numbers."""

    def batch(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        labels = tf.random.stateless_uniform([BATCH], (7, step % STEPS), 0, CLASSES, tf.int32)
        noise = tf.random.stateless_normal([BATCH, SIDE, SIDE, 3], (8, step % STEPS)) * 0.3
        pixels = noise + tf.reshape(tf.cast(labels - 1, tf.float32), [-1, 1, 1, 1])
        one_hot = tf.one_hot(labels, CLASSES)
        number = tf.where(tf.equal(step, ill_step - 1), np.nan, 1.0)
        return (pixels, one_hot * number) if ill == "labels" else (pixels * number, one_hot)

    return tf.data.Dataset.range(first_epoch * STEPS, 10**6).map(lambda step: batch(tf.cast(step, tf.int32)))


class Replicas(NamedTuple):
    """Stands in for a strategy of so many replicas where the learning rate alone is looked at."""

    num_replicas_in_sync: int


def _fit(folder: Path, settings: Trainer, chosen=None, train=_batches, seed: int = 1, mirror=None):
    keras.utils.set_random_seed(seed)
    model = models.build("cnn", (SIDE, SIDE, 3), CLASSES)
    checkpoints = Checkpoints(str(folder / "checkpoints"), mirror=mirror)
    inputs = fitting.Inputs(BATCH, STEPS, train, _batches().take(2))
    fitting.fit(model, settings, chosen or tf.distribute.get_strategy(), inputs, checkpoints)
    return model, checkpoints


def _settings(**changes) -> Trainer:
    return Trainer(**{"epochs": 4, "batch_size": BATCH, **changes})


@pytest.mark.parametrize(
    ("changes", "cut_at"),
    [
        ({}, STEPS * 2 + 3),
        ({"frozen_epochs": 2}, STEPS * 2),
        ({"frozen_epochs": 2, "ema": 0.8, "weight_decay": 0.01}, STEPS * 3 + 2),
    ],
    ids=["within an epoch", "where the layers thaw", "with all options"],
)
def test_a_broken_training_ends_as_an_unbroken_one(tmp_path, monkeypatch, changes, cut_at):
    settings = _settings(**changes)
    whole, unbroken = _fit(tmp_path / "whole", settings)
    with monkeypatch.context() as patch:
        given = Checkpoints.callbacks
        cut = Cut(cut_at)
        patch.setattr(Checkpoints, "callbacks", lambda self, ema: [*given(self, ema), cut])
        with pytest.raises(PowerCut):
            _fit(tmp_path / "broken", settings)
    resumed, checkpoints = _fit(tmp_path / "broken", settings, seed=2)  # what the seed starts is not used
    assert checkpoints.finished == unbroken.finished == 4
    assert checkpoints.best == unbroken.best
    for ours, theirs in zip(resumed.variables, whole.variables, strict=True):
        assert np.allclose(ours, theirs, atol=1e-4), ours.path
    for name in ("loss", "val_loss", "learning_rate"):
        assert checkpoints.history[name] == pytest.approx(unbroken.history[name], abs=1e-4)


def test_the_last_three_checkpoints_and_the_best_are_kept(tmp_path):
    _, checkpoints = _fit(tmp_path, _settings(epochs=6))
    names = {path.stem for path in (tmp_path / "checkpoints").glob("*.index")}
    assert names == {"epoch-4", "epoch-5", "epoch-6", f"best-{checkpoints.best}"}
    accuracies = checkpoints.history["val_accuracy"]
    assert checkpoints.best == accuracies.index(max(accuracies)) + 1
    assert json.loads((tmp_path / "checkpoints" / "state.json").read_text())["finished"] == 6


def test_the_best_weights_are_what_is_left(tmp_path, monkeypatch):
    model, checkpoints = _fit(tmp_path, _settings(learning_rate=LearningRate(start=0.3, peak=0.3)))
    loss, accuracy = model.evaluate(_batches().take(2), verbose=0)
    assert accuracy == pytest.approx(max(checkpoints.history["val_accuracy"]), abs=1e-6)
    assert loss == pytest.approx(checkpoints.history["val_loss"][checkpoints.best - 1], rel=1e-3)


def test_the_first_epochs_may_train_the_last_layer_alone(tmp_path):
    _fit(tmp_path, _settings(epochs=3, frozen_epochs=2))
    after = [tf.train.load_checkpoint(str(tmp_path / "checkpoints" / f"epoch-{epoch}")) for epoch in (1, 2, 3)]
    kernels = [checkpoint.get_tensor("model/0/.ATTRIBUTES/VARIABLE_VALUE") for checkpoint in after]
    heads = [checkpoint.get_tensor("model/17/.ATTRIBUTES/VARIABLE_VALUE") for checkpoint in after]
    assert kernels[0].shape == (6, 6, 3, 24)
    assert np.array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[1], kernels[2])
    assert not np.array_equal(heads[0], heads[1])


def test_fewer_epochs_than_frozen_ones_are_all_frozen(tmp_path):
    _, checkpoints = _fit(tmp_path, _settings(epochs=1, frozen_epochs=2))  # as a cluster's --parameter epochs=1 asks
    assert checkpoints.finished == 1


def test_the_learning_rate_grows_with_the_replicas(tmp_path):
    settings = _settings(epochs=3, learning_rate=LearningRate(start=1e-4, peak=1e-3, ramp_epochs=1, decay=0.5))
    _, one = _fit(tmp_path / "one", settings)
    _, four = _fit(tmp_path / "four", settings, chosen=Replicas(4))
    assert one.history["learning_rate"] == pytest.approx([1e-4, 1e-3, 5e-4])
    assert four.history["learning_rate"] == pytest.approx([4e-4, 4e-3, 2e-3])


def test_a_loss_that_is_no_number_names_step_rate_and_checkpoint(tmp_path):
    train = partial(_batches, ill_step=STEPS * 2 + 4)
    with pytest.raises(callbacks.NotFinite) as error:
        _fit(tmp_path, _settings(), train=train)
    text = str(error.value)
    assert f"the loss is nan at step {STEPS * 2 + 4} (epoch 3) with the learning rate 0.001" in text
    assert f"The last good weights, for --weights: {tmp_path / 'checkpoints'}/last-good.weights.h5" in text
    model = models.build("cnn", (SIDE, SIDE, 3), CLASSES)
    assert not weights.load(model, tmp_path / "checkpoints" / "last-good.weights.h5").skipped
    after = tf.train.load_checkpoint(str(tmp_path / "checkpoints" / "epoch-2"))
    assert np.array_equal(model.variables[0], after.get_tensor("model/0/.ATTRIBUTES/VARIABLE_VALUE"))


def test_a_weight_that_is_nan_is_found_at_the_end_of_the_epoch(tmp_path, monkeypatch):
    given = Checkpoints.callbacks
    monkeypatch.setattr(Checkpoints, "callbacks", lambda self, ema: [*given(self, ema), Spoil()])
    with pytest.raises(
        callbacks.NotFinite, match="conv2d.* is NaN or Inf at step 6 .* none, because this was the first epoch"
    ):
        _fit(tmp_path, _settings())
    assert not (tmp_path / "checkpoints" / "state.json").exists()


def test_photos_that_are_no_numbers_leave_no_checkpoint(tmp_path):
    # Some CPU kernels hide NaN behind a fused ReLU until the end of the epoch, others show it in the loss.
    found = r"^(the loss is nan at step 2|.* is NaN or Inf at step 6) \(epoch 1\)"
    with pytest.raises(callbacks.NotFinite, match=found):
        _fit(tmp_path, _settings(), train=partial(_batches, ill_step=2, ill="pixels"))
    assert not (tmp_path / "checkpoints" / "state.json").exists()


def test_weight_decay_is_of_kernels_alone():
    keras.utils.set_random_seed(1)
    model = models.build("cnn", (SIDE, SIDE, 3), CLASSES)
    settings = _settings(weight_decay=0.5, ema=0.9, learning_rate=LearningRate(start=0.1, peak=0.1))
    fitting.compile_model(model, settings, tf.distribute.get_strategy(), STEPS)
    for variable in model.trainable_variables:
        variable.assign(variable + 1.0)  # biases begin at 0
    before = [variable.numpy() for variable in model.trainable_variables]
    model.optimizer.apply([tf.zeros(variable.shape) for variable in model.trainable_variables])
    assert {variable.name for variable in model.trainable_variables} == {"kernel", "bias", "beta"}
    for variable, old in zip(model.trainable_variables, before, strict=True):
        share = 1.0 if variable.name in ("bias", "beta") else 1 - 0.1 * 0.5
        assert np.allclose(variable, old * share, atol=1e-6), variable.path


def test_smoothed_labels_raise_the_loss_that_can_be_reached(tmp_path):
    _, plain = _fit(tmp_path / "plain", _settings(epochs=6))
    _, smooth = _fit(tmp_path / "smooth", _settings(epochs=6, label_smoothing=0.3))
    floor = -sum(share * np.log(share) for share in (0.8, 0.1, 0.1))
    assert min(smooth.history["loss"]) > floor > plain.history["loss"][-1]


@pytest.mark.parametrize("at_once", [1, 3])
def test_tensorboard_has_every_step_and_the_photos(tmp_path, at_once):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, checkpoints = _fit(tmp_path, _settings(epochs=2, steps_per_execution=at_once))
    times = zip(checkpoints.history["training_seconds"], checkpoints.history["seconds"], strict=True)
    assert all(0 < training < whole for training, whole in times)
    board = EventAccumulator(str(tmp_path / "checkpoints" / "logs" / "train"), size_guidance={"tensors": 0})
    board.Reload()
    tags = board.Tags()
    steps = [event.step for event in board.Tensors("batch_loss")]
    assert steps == list(range(at_once, 2 * STEPS + 1, at_once))
    assert {"batch_learning_rate", "batch_accuracy", "epoch_loss", "epoch_learning_rate", "keras"} <= set(
        tags["tensors"]
    )
    assert "training_photos" in tags["tensors"]
    assert list((tmp_path / "checkpoints" / "logs" / "validation").glob("events.*"))


def test_chosen_steps_are_profiled(tmp_path):
    _fit(tmp_path, _settings(epochs=1, profile_steps=(2, 3)))
    assert list((tmp_path / "checkpoints" / "logs").rglob("*.xplane.pb"))


def test_the_grid_shows_sixteen_photos_in_rows():
    photos = tf.reshape(tf.range(20.0), [20, 1, 1, 1]) * tf.ones([20, 2, 2, 1])
    shown = callbacks.grid(photos)
    assert shown.shape == (1, 8, 8, 1)
    assert np.allclose(shown[0, ::2, ::2, 0] * 15, np.arange(16).reshape(4, 4))
    assert callbacks.grid(photos[:3]).shape == (1, 8, 8, 1)


def test_the_epochs_that_fit_in_a_time_are_measured_without_a_change_of_the_model(tmp_path):
    model, chosen = models.build("cnn", (SIDE, SIDE, 3), CLASSES), tf.distribute.get_strategy()
    fitting.compile_model(model, Trainer(batch_size=BATCH), chosen, STEPS)
    before = [variable.numpy() for variable in (*model.variables, *model.optimizer.variables)]
    one, many, none = (budget.epochs(model, chosen, _batches(), STEPS, 100.0, time) for time in (150.0, 1050.0, 1.0))
    assert (one, many, none) == (1, 10, 0)  # an epoch takes a little more than its validation, 100 s
    for variable, value in zip((*model.variables, *model.optimizer.variables), before, strict=True):
        assert np.array_equal(variable.numpy(), value)


@pytest.mark.parametrize(("minutes", "epochs"), [(1e-6, 0), (1e3, 2)])
def test_a_time_limits_the_epochs_and_the_start_is_a_candidate(tmp_path, minutes, epochs):
    model, chosen = models.build("cnn", (SIDE, SIDE, 3), CLASSES), tf.distribute.get_strategy()
    checkpoints = Checkpoints(str(tmp_path / "checkpoints"))
    inputs = fitting.Inputs(BATCH, STEPS, _batches, _batches().take(2))
    start = model.get_weights()
    settings = Trainer(epochs=2, minutes=minutes)
    fitting.fit(model, settings, chosen, inputs, checkpoints, start_counts=True)
    assert (checkpoints.finished, checkpoints.planned) == (epochs, epochs)
    assert checkpoints.best_accuracy >= max(checkpoints.history.get("val_accuracy", [0.0]))
    same = [np.array_equal(ours, theirs) for ours, theirs in zip(model.get_weights(), start, strict=True)]
    assert all(same) == (checkpoints.best == 0)
    assert checkpoints.best == 0 or epochs
    assert Checkpoints(str(tmp_path / "checkpoints")).planned == (epochs or None)  # a resumed run trains as many
