"""Fits the last layer of a recipe's model to the embeddings, and records how."""

import time
from typing import Any, NamedTuple

import keras
import numpy as np

from trainer import balance, embeddings, familiarity, probe
from trainer.familiarity import Familiarity
from trainer.settings import Recipe


class Fitted(NamedTuple):
    """The result of `fit`.

    Attributes:
      record: the strength, and the mean log loss of each strength in cross-validation.
      photos: the number of photos of the training split.
      balance: see `trainer.balance.summary`.
      eval_logits, eval_labels: of the eval split, float32 [n, classes] and int64 [n].
      familiarity: valid for the features of the embeddings, so not after a fine-tuning.
      history: the figures of the split train, and those of eval as `val_…`, each as a list of one value.
    """

    record: dict[str, Any]
    photos: int
    balance: dict[str, Any] | None
    eval_logits: np.ndarray
    eval_labels: np.ndarray
    familiarity: Familiarity
    history: dict[str, list[float]]

    def figures(self) -> dict[str, Any]:
        """Returns the figures of `history.json` for a model that was not trained any further."""
        (seconds,), (accuracy,) = self.history["seconds"], self.history["val_accuracy"]
        return {
            "global_batch": self.photos,
            "balance": self.balance,
            "epochs": 0,
            "best_epoch": 0,
            "val_accuracy": accuracy,
            "seconds": round(seconds, 1),
            "images_per_second": round(self.photos / seconds, 1),
            "history": self.history,
        }


def fit(model: keras.Model, recipe: Recipe, folder: str, training: str, evaluation: str) -> Fitted:
    """Fits the last layer of the model to the embeddings in a folder, given the names of the two splits.

    Raises:
      ValueError: when the model's last layer does not read as many features as the embeddings have.
    """
    start = time.monotonic()
    train, held_out = (embeddings.read(folder, split) for split in (training, evaluation))
    more = embeddings.read(folder, training, views=True) if recipe.embeddings.views else None
    classes, balanced = recipe.data.classes, recipe.trainer.balance != "none"
    fitted = probe.fit(train, len(classes), more, recipe.trainer.seed, balanced)
    probe.assign(model, fitted.head)
    loss, accuracy = probe.scores(fitted.head.logits(train.features), train.labels)
    logits = fitted.head.logits(held_out.features)
    val_loss, val_accuracy = probe.scores(logits, held_out.labels)
    seconds = time.monotonic() - start
    print(
        f"last layer: fitted to the embeddings of {len(train.labels):,} photos in {seconds:.1f} s; inverse L2 strength "
        f"{fitted.strength:g}; accuracy {accuracy:.4f}, validation accuracy {val_accuracy:.4f}",
        flush=True,
    )
    history = {"accuracy": accuracy, "loss": loss, "val_accuracy": val_accuracy, "val_loss": val_loss}
    history |= {"seconds": seconds, "training_seconds": seconds}
    method = "loss" if balanced else "none"  # a layer is fitted to all photos, so sampling would only repeat them
    counts = np.bincount(train.labels, minlength=len(classes)).tolist()
    record = {"strength": fitted.strength, "cross_validated_losses": fitted.losses}
    listed = {name: [value] for name, value in history.items()}
    return Fitted(
        record,
        len(train.labels),
        balance.summary(method, classes, counts),
        logits,
        held_out.labels,
        familiarity.fit(train.features, held_out.features, logits, recipe.trainer.seed),
        listed,
    )
