"""Chooses the number of epochs that fit in a time, from the measured time of a few steps."""

import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer import strategy

_STEPS = 6  # calls of the training function that are timed; the first one, which traces it, is left out


class _Times(keras.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.ends.append(time.monotonic())


def epochs(
    model: keras.Model,
    chosen: tf.distribute.Strategy,
    batches: tf.data.Dataset,
    steps: int,
    evaluation: float,
    seconds: float,
) -> int:
    """Returns how many epochs fit in a time, 0 or more. The model and its optimizer are not changed.

    Args:
      model: a compiled model.
      chosen: its strategy. All workers get the number of the chief.
      batches: training batches.
      steps: the steps of an epoch.
      evaluation: the time of a validation, in seconds.
      seconds: the time for all epochs. The time that this measurement takes is subtracted.
    """
    start, at_once = time.monotonic(), model.steps_per_execution
    variables = [*model.variables, *model.optimizer.variables]
    before = [variable.numpy() for variable in variables]
    times = _Times()
    model.fit(batches, steps_per_epoch=_STEPS * at_once, epochs=1, callbacks=[times], verbose=0)
    for variable, value in zip(variables, before, strict=True):
        variable.assign(value)
    step = (times.ends[-1] - times.ends[0]) / (len(times.ends) - 1) / at_once
    left = seconds - (time.monotonic() - start)
    count = max(0, int(left / (step * steps + evaluation)))
    (agreed,) = strategy.from_chief(chosen, [np.array(count, np.int32)])
    return int(agreed)
