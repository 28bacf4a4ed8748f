"""Keras callbacks: TensorBoard's logs, and a stop when the training diverges."""

import math
from typing import Any

import keras
import tensorflow as tf

from trainer import weights
from trainer.checkpoints import Checkpoints

_GRID = 4  # photos on each side
_LAST_GOOD = "last-good.weights.h5"


class Board(keras.callbacks.TensorBoard):
    """TensorBoard with the learning rate of every step, and a grid of augmented training photos.

    Args:
      directory: for the logs.
      photos: a training batch, float32 [batch, height, width, channels].
      first_step: the number of steps before a resumed run.
      profile_steps: the first and the last step to profile, or None.
    """

    def __init__(self, directory: str, photos: tf.Tensor, first_step: int, profile_steps: tuple[int, int] | None):
        super().__init__(directory, update_freq="batch", profile_batch=profile_steps or 0)
        self._photos, self._first_step = photos, first_step

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Writes the grid."""
        super().on_train_begin(logs)
        self._global_train_batch = self._first_step
        with self._train_writer.as_default():
            tf.summary.image("training_photos", grid(self._photos), step=self._first_step)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the learning rate to the logs, and counts all steps: Keras counts each execution as one step."""
        self._global_train_batch += self.model.steps_per_execution - 1
        rate = self._collect_learning_rate({})
        super().on_train_batch_end(batch, {**(logs or {}), **rate})


def grid(photos: tf.Tensor) -> tf.Tensor:
    """Returns the first photos side by side: float32 [1, 4 × height, 4 × width, channels] in [0, 1].

    Fewer than 16 photos are repeated.
    """
    count, height, width, channels = photos.shape
    chosen = tf.gather(photos, tf.range(_GRID * _GRID) % count)
    rows = tf.transpose(tf.reshape(chosen, [_GRID, _GRID, height, width, channels]), [0, 2, 1, 3, 4])
    pixels = tf.reshape(rows, [1, _GRID * height, _GRID * width, channels])
    low, high = tf.reduce_min(pixels), tf.reduce_max(pixels)
    return (pixels - low) / tf.maximum(high - low, 1e-6)


class NotFinite(ValueError):
    """The loss or a weight is NaN or Inf."""


class FiniteLoss(keras.callbacks.Callback):
    """Stops the training if the loss or a weight is NaN or Inf, before a checkpoint is written.

    Args:
      steps: the steps of an epoch.
      checkpoints: the last checkpoint contains the last good weights.

    Raises:
      NotFinite: naming the step, the learning rate and the file with the last good weights.
    """

    def __init__(self, steps: int, checkpoints: Checkpoints):
        super().__init__()
        self._steps, self._checkpoints, self._epoch = steps, checkpoints, 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Stores the number of the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Checks the loss."""
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            self._stop(f"the loss is {loss}", self._epoch * self._steps + batch + 1)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Checks the weights: if TensorFlow fuses batch norm and ReLU on a CPU, a NaN does not reach the loss."""
        for variable in self.model.trainable_variables:
            if not bool(tf.reduce_all(tf.math.is_finite(variable.value))):
                self._stop(f"{variable.path} is NaN or Inf", (epoch + 1) * self._steps)

    def _stop(self, what: str, step: int) -> None:
        rate = float(self.model.optimizer.learning_rate)
        good = "none, because this was the first epoch"
        if self._checkpoints.finished:
            self._checkpoints.restore(self.model, with_optimizer=False)
            weights.save(self.model, f"{self._checkpoints.folder}/{_LAST_GOOD}")
            good = self._checkpoints.keep(_LAST_GOOD)
        raise NotFinite(
            f"{what} at step {step} (epoch {self._epoch + 1}) with the learning rate {rate:.3g}; lower "
            f"trainer.learning_rate, or check the photos of this epoch. The last good weights, for --weights: {good}"
        )
