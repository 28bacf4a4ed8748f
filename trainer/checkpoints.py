"""Stores what a resumed run needs: the last checkpoints, the best weights, and the history.

`state.json` is written last and atomically, so the checkpoints that it names are complete. A run that was killed
before this resumes from the previous epoch. With several workers, each writes its own folder, but all read the chief's
folder. Otherwise, workers that were killed between two commits would resume at different epochs.

On Kubeflow Pipelines the folder is lost with the pod. There, the chief's folder has a copy in a bucket.
"""

import json
import logging
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from storage.mirror import Mirror
from trainer import strategy

KEPT = 3  # the last epochs with a checkpoint
_STATE = "state.json"


class Checkpoints:
    """The checkpoints of one training, in one folder.

    Attributes:
      folder: the folder.
      logs: the folder for TensorBoard.
      finished: the number of finished epochs.
      best: the epoch with the best validation accuracy, counted from 1; 0 before the first, and for the start.
      best_accuracy: its validation accuracy; -1 before the first.
      planned: the number of epochs, if it follows from `trainer.minutes`; otherwise None.
      history: the figures of each finished epoch, by name.
    """

    def __init__(self, folder: str, chosen: tf.distribute.Strategy | None = None, mirror: Mirror | None = None):
        """Reads the chief's state. All workers must call this, and the methods that restore, at the same time.

        Args:
          folder: for this worker only.
          chosen: the strategy; None for the current strategy.
          mirror: the folder's copy in a bucket, which is fetched first; None without one.
        """
        self.folder, self.logs = folder, f"{folder}/logs"
        tf.io.gfile.makedirs(folder)
        self._mirror = mirror
        if mirror:
            mirror.fetch()
        self._strategy = chosen or tf.distribute.get_strategy()
        state = self._state()
        self.finished: int = state["finished"]
        self.best: int = state["best"]
        self.best_accuracy: float = state["best_accuracy"]
        self.planned: int | None = state["planned"]
        self.history: dict[str, list[float]] = state["history"]

    def restore(self, model: keras.Model, with_optimizer: bool) -> None:
        """Restores the last finished epoch.

        Args:
          model: a compiled model.
          with_optimizer: False if that epoch trained other layers.
        """
        if self.finished:
            optimizer = _optimizer_variables(model) if with_optimizer else {}
            self._read(f"epoch-{self.finished}", _variables(model) | optimizer)

    def restore_best(self, model: keras.Model) -> None:
        """Restores the weights with the best validation accuracy."""
        self._read(f"best-{self.best}", _variables(model))

    def _state(self) -> dict[str, Any]:
        """Returns the content of the chief's `state.json`, on every worker."""
        text = json.dumps({"finished": 0, "best": 0, "best_accuracy": -1.0, "planned": None, "history": {}})
        if strategy.is_chief(self._strategy) and tf.io.gfile.exists(f"{self.folder}/{_STATE}"):
            with tf.io.gfile.GFile(f"{self.folder}/{_STATE}") as file:
                text = file.read()
        (size,) = strategy.from_chief(self._strategy, [np.array(len(text.encode()), np.int32)])
        codes = np.frombuffer(text.encode(), np.uint8).astype(np.int32)
        (codes,) = strategy.from_chief(self._strategy, [np.resize(codes, int(size))])
        return json.loads(bytes(codes.astype(np.uint8)))

    def _read(self, name: str, groups: dict[str, list[tf.Variable]]) -> None:
        """Assigns the chief's checkpoint of that name to the variables of every worker."""
        if strategy.is_chief(self._strategy):
            path = f"{self.folder}/{name}"
            tf.train.Checkpoint(**groups).read(path).assert_existing_objects_matched().expect_partial()
        if strategy.several_workers(self._strategy):
            variables = [variable for group in groups.values() for variable in group]
            values = strategy.from_chief(self._strategy, [variable.numpy() for variable in variables])
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    def callbacks(self, ema: bool) -> list[keras.callbacks.Callback]:
        """Returns the callbacks that save. They save weights before `SwapEMAWeights` replaces them by averages."""
        swap = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if ema else []
        return [_Save(self), *swap, _Commit(self)]

    def commit(self, epoch: int, figures: dict[str, float]) -> None:
        """Marks an epoch (counted from 0) as finished."""
        for name, value in figures.items():
            self.history.setdefault(name, []).append(value)
        self.finished = epoch + 1
        names = ("finished", "best", "best_accuracy", "planned", "history")
        state = {name: getattr(self, name) for name in names}
        with tf.io.gfile.GFile(f"{self.folder}/{_STATE}.part", "w") as file:
            file.write(json.dumps(state))
        tf.io.gfile.rename(f"{self.folder}/{_STATE}.part", f"{self.folder}/{_STATE}", overwrite=True)
        self._remove_old()
        self.keep()

    def keep(self, name: str = _STATE) -> str:
        """Copies the folder to the bucket, if there is one; returns where the file `name` of the folder is kept.

        A training does not stop if the copy fails: it is repeated after the next epoch.
        """
        if not self._mirror:
            return f"{self.folder}/{name}"
        try:
            self._mirror.save(last=_STATE)
        except (OSError, tf.errors.OpError) as error:
            logging.warning("cannot copy the checkpoints to %s: %s", self._mirror.uri, error)
        return f"{self._mirror.uri}/{name}"

    def save_best(self, model: keras.Model, epoch: int, accuracy: float) -> None:
        """Saves the weights of an epoch, counted from 1, if its validation accuracy is higher than all earlier ones."""
        if accuracy > self.best_accuracy:
            self.best, self.best_accuracy = epoch, accuracy
            tf.train.Checkpoint(**_variables(model)).write(f"{self.folder}/best-{epoch}")

    def _remove_old(self) -> None:
        last = range(self.finished - KEPT + 1, self.finished + 1)
        kept = {f"best-{self.best}", *(f"epoch-{number}" for number in last)}
        for path in tf.io.gfile.glob([f"{self.folder}/epoch-*.*", f"{self.folder}/best-*.*"]):
            if path.rpartition("/")[2].partition(".")[0] not in kept:
                tf.io.gfile.remove(path)


class _Save(keras.callbacks.Callback):
    def __init__(self, checkpoints: Checkpoints):
        super().__init__()
        self._checkpoints = checkpoints

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        variables = _variables(self.model) | _optimizer_variables(self.model)
        tf.train.Checkpoint(**variables).write(f"{self._checkpoints.folder}/epoch-{epoch + 1}")


class _Commit(keras.callbacks.Callback):
    def __init__(self, checkpoints: Checkpoints):
        super().__init__()
        self._checkpoints = checkpoints
        self._start = self._end_of_training = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._start = time.monotonic()

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._end_of_training = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        figures = {name: float(value) for name, value in (logs or {}).items()}
        self._checkpoints.save_best(self.model, epoch + 1, figures["val_accuracy"])
        figures["training_seconds"] = self._end_of_training - self._start
        self._checkpoints.commit(epoch, figures | {"seconds": time.monotonic() - self._start})


def _variables(model: keras.Model) -> dict[str, list[tf.Variable]]:
    return {"model": [variable.value for variable in model.variables]}


def _optimizer_variables(model: keras.Model) -> dict[str, list[tf.Variable]]:
    return {"optimizer": [variable.value for variable in model.optimizer.variables]}
