"""Finds a learning rate by a range test (Smith, 2017, arXiv:1506.01186): the rate rises with each step of one epoch."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow_transform as tft
from scipy.ndimage import gaussian_filter1d
from tfx.components.trainer.fn_args_utils import FnArgs

from trainer import fitting, strategy
from trainer.recipe import inputs_of, model_of
from trainer.settings import Recipe

# Adam changes each weight by about the rate in each step, so a softmax on 6,912 values already learns at 1e-6. At 1,
# most models diverge.
LOWEST, HIGHEST = 1e-7, 1.0
LEAST_STEPS = 240  # 34 for each decade; a small data set is read several times
_SKIPPED = 0.1  # the share of the first steps that are not suggested, as in fastai
_DIVERGED = 4.0  # times the lowest loss, as in fastai
_DECADE = 0.15  # the deviation of the smoothing, in decades of the rate
# The least fall of the smoothed loss for a suggestion, in deviations of the loss of a batch. A flat loss with normal
# noise exceeds it in less than 1 % of tests.
_FALL = 1.5


class RangeTest(NamedTuple):
    """The result: for each step the rate for one replica, the loss of its batch, and the loss smoothed over the rates.

    `suggestion` is the rate where the smoothed loss falls most steeply; None if it does not fall clearly. `lowest` is
    the rate where it is lowest; None if the loss diverged, or was not finite, in the first steps.
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    suggestion: float | None = None
    lowest: float | None = None


def run(fn_args: FnArgs, recipe: Recipe) -> RangeTest:
    """Trains one epoch, at least 240 steps, with rising rates, and prints the number of steps. Nothing is stored.

    All layers are trained, unless the recipe freezes them in each epoch.

    Args:
      fn_args: `train_files`, `eval_files` and `transform_graph_path`.
      recipe: the settings of the training.

    Raises:
      ValueError: as `trainer.run.run_fn`.
    """
    settings = recipe.trainer.model_copy(update={"steps_per_execution": 1})
    chosen = strategy.choose(settings.gpu_memory_mb)
    keras.utils.set_random_seed(settings.seed)
    keras.config.set_dtype_policy(strategy.precision_policy(chosen, settings.precision))
    try:
        inputs = inputs_of(fn_args, recipe, tft.TFTransformOutput(fn_args.transform_graph_path), chosen)
        steps = max(inputs.steps, LEAST_STEPS)
        print(f"the range test takes {steps:,} steps, or fewer if the loss diverges", flush=True)
        rates = Rates(steps, chosen.num_replicas_in_sync)
        with chosen.scope():
            model = model_of(recipe)
            fitting.freeze(model, settings.frozen_epochs == settings.epochs)
            fitting.compile_model(model, settings, chosen, steps)
            model.fit(inputs.training(0), steps_per_epoch=steps, callbacks=[rates], verbose=0)
    finally:
        keras.config.set_dtype_policy("float32")
    return evaluated(rates.rates, rates.losses)


class Rates(keras.callbacks.Callback):
    """Raises the learning rate exponentially from LOWEST to HIGHEST, and stops when the loss diverges.

    Args:
      steps: the steps from LOWEST to HIGHEST.
      replicas: multiplies the rates, like those of a training.
    """

    def __init__(self, steps: int, replicas: int):
        super().__init__()
        self._steps, self._replicas, self._average = steps, replicas, 0.0
        self._lowest = math.inf
        self.rates: list[float] = []
        self.losses: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Sets the rate of the step."""
        rate = LOWEST * (HIGHEST / LOWEST) ** (batch / (self._steps - 1))
        self.model.optimizer.learning_rate = self._replicas * rate
        self.model.reset_metrics()  # otherwise the loss of a step would be the mean of all steps
        self.rates.append(rate)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Stores the loss, and stops if it is not finite, or if its moving average is 4 times the lowest average."""
        loss = float((logs or {})["loss"])
        if math.isfinite(loss):
            self.losses.append(loss)
            self._average = 0.9 * self._average + 0.1 * loss
            average = self._average / (1 - 0.9 ** len(self.losses))
            self._lowest = min(self._lowest, average)
            self.model.stop_training = average > _DIVERGED * self._lowest
        else:
            self.rates.pop()
            self.model.stop_training = True


def evaluated(rates: Sequence[float], losses: Sequence[float]) -> RangeTest:
    """Returns the result of a test: the smoothed losses, and the rate of the steepest fall before their minimum.

    It is fastai's suggestion "steep". The moving average with which fastai smooths shifts the fall to higher rates.
    The fall, from the mean of the first steps to the minimum, is compared with the noise of the batches: the deviation
    of the differences between neighbouring steps, divided by √2.

    Args:
      rates: rising by the same factor with each step.
      losses: of each step.
    """
    skipped = round(_SKIPPED * LEAST_STEPS)
    if len(rates) <= skipped:  # diverged at once
        return RangeTest(list(rates), list(losses), list(losses))
    decades = np.log10(rates)
    smoothed = gaussian_filter1d(np.asarray(losses, np.float64), _DECADE / (decades[1] - decades[0]), mode="nearest")
    lowest = skipped + int(np.argmin(smoothed[skipped:]))
    result = RangeTest(list(rates), list(losses), smoothed.tolist(), lowest=float(rates[lowest]))
    noise = np.std(np.diff(losses[: lowest + 1])) / math.sqrt(2)
    if np.mean(losses[:skipped]) - smoothed[lowest] <= _FALL * noise:
        return result
    steepest = skipped + int(np.argmin(np.gradient(smoothed, decades)[skipped : lowest + 1]))
    return result._replace(suggestion=float(rates[steepest]))
