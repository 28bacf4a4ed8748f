"""Fits a model: first only the last layer, for `frozen_epochs`, then all layers."""

import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from trainer import budget, schedules, strategy
from trainer.callbacks import Board, FiniteLoss
from trainer.checkpoints import Checkpoints
from trainer.models.head import HEAD
from trainer.settings import Trainer


class Inputs(NamedTuple):
    """The input of a training.

    Attributes:
      batch: the global batch size.
      steps: the number of steps in an epoch.
      training: returns endless batches (pixels, one-hot classes and, with weights, weights of the photos), given the
        first epoch, counted from 0.
      evaluation: batches (pixels, one-hot classes) of the eval split, once.
      balance: see `trainer.balance.summary`.
    """

    batch: int
    steps: int
    training: Callable[[int], tf.data.Dataset]
    evaluation: tf.data.Dataset
    balance: dict[str, Any] | None = None


def fit(
    model: keras.Model,
    settings: Trainer,
    chosen: tf.distribute.Strategy,
    inputs: Inputs,
    checkpoints: Checkpoints,
    start_counts: bool = False,
) -> None:
    """Resumes from the checkpoints, trains until `settings.epochs` are finished, and restores the best weights.

    The best epoch has the highest validation accuracy; if several are equal, the first is used. With `start_counts`,
    the weights before the training are epoch 0, and with `settings.minutes`, only the epochs that fit in this time are
    trained; the learning rates are those of a training of so many epochs. Call this in the scope of the strategy.
    TensorBoard's logs go to `checkpoints.logs`.

    Raises:
      NotFinite: when the loss or a weight is NaN or Inf.
    """
    start = time.monotonic()
    if checkpoints.planned is not None:
        settings = settings.model_copy(update={"epochs": checkpoints.planned})
    epochs, frozen = settings.epochs, min(settings.frozen_epochs, settings.epochs)
    for first, last in ((0, frozen), (frozen, epochs)):
        if not first <= checkpoints.finished < last:
            continue
        freeze(model, last == frozen)
        compile_model(model, settings, chosen, inputs.steps)
        checkpoints.restore(model, with_optimizer=checkpoints.finished > first)
        if start_counts and not checkpoints.finished:
            figures = model.evaluate(inputs.evaluation, verbose=0, return_dict=True)
            checkpoints.save_best(model, 0, figures["accuracy"])
            if settings.minutes is not None:
                last = checkpoints.planned = _epochs(model, settings, chosen, inputs, time.monotonic() - start)
                settings = settings.model_copy(update={"epochs": last})
        if last:
            _train(model, settings, chosen, inputs, checkpoints, last)
    checkpoints.restore_best(model)


def _train(
    model: keras.Model,
    settings: Trainer,
    chosen: tf.distribute.Strategy,
    inputs: Inputs,
    checkpoints: Checkpoints,
    last: int,
) -> None:
    """Trains a compiled model from the last finished epoch until `last` epochs are finished."""
    batches = inputs.training(checkpoints.finished)
    photos, *_ = next(iter(batches.take(1)))
    board = Board(checkpoints.logs, photos, checkpoints.finished * inputs.steps, settings.profile_steps)
    finite = FiniteLoss(inputs.steps, checkpoints)
    model.fit(
        batches,
        initial_epoch=checkpoints.finished,
        epochs=last,
        steps_per_epoch=inputs.steps,
        validation_data=inputs.evaluation,
        callbacks=[learning_rates(settings, chosen), board, finite, *checkpoints.callbacks(bool(settings.ema))],
        verbose=1 if sys.stdout.isatty() else 2,
    )


def compile_model(model: keras.Model, settings: Trainer, chosen: tf.distribute.Strategy, steps: int) -> None:
    """Compiles the model with Adam, or AdamW with a weight decay, for one-hot classes.

    Kernels decay; biases and batch norm's scales and offsets, which are vectors, do not (He et al., 2019,
    arXiv:1812.01187).
    """
    optimizer = keras.optimizers.Adam(
        settings.learning_rate.start,
        weight_decay=settings.weight_decay or None,
        use_ema=bool(settings.ema),
        ema_momentum=settings.ema or 0.99,
    )
    vectors = [variable for variable in model.trainable_variables if len(variable.shape) < 2]
    optimizer.exclude_from_weight_decay(var_list=vectors)
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=settings.label_smoothing),
        metrics=["accuracy"],
        jit_compile=strategy.jit_compile(chosen, settings.xla),
        steps_per_execution=strategy.steps_per_execution(chosen, steps, settings.steps_per_execution),
    )
    model.optimizer.build(model.trainable_variables)


def _epochs(
    model: keras.Model, settings: Trainer, chosen: tf.distribute.Strategy, inputs: Inputs, evaluation: float
) -> int:
    """Returns the number of epochs, at most `settings.epochs`, for which `settings.minutes` are enough."""
    seconds = 60 * float(settings.minutes or 0) - evaluation
    count = budget.epochs(model, chosen, inputs.training(0), inputs.steps, evaluation, seconds)
    planned = min(count, settings.epochs)
    print(f"{settings.minutes:g} minutes are enough for {count} epochs; {planned} follow", flush=True)
    return planned


def learning_rates(settings: Trainer, chosen: tf.distribute.Strategy) -> keras.callbacks.Callback:
    """Returns the callback for the learning-rate schedule, multiplied by the number of replicas."""

    def rate(epoch: int) -> float:
        return strategy.scaled(chosen, schedules.learning_rate(epoch, settings.epochs, settings.learning_rate))

    return keras.callbacks.LearningRateScheduler(rate)


def freeze(model: keras.Model, frozen: bool) -> None:
    """Makes only the last layer trainable if `frozen`, otherwise all layers."""
    for layer in model.layers:
        layer.trainable = layer.name == HEAD or not frozen
