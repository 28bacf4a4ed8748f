"""Trainer's run_fn: read, build, fit, export."""

import hashlib
import json
from typing import Any

import keras
import keras_tuner
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.trainer.fn_args_utils import FnArgs

from storage.local_paths import with_uris
from storage.mirror import Mirror
from trainer import calibration, fitting, probing, reference, strategy, weights
from trainer.checkpoints import Checkpoints
from trainer.confidence import NEVER
from trainer.export import export, in_float32
from trainer.familiarity import Familiarity
from trainer.families import PROBE
from trainer.features import HISTORY
from trainer.recipe import eval_photos, inputs_of, model_of, weights_beside
from trainer.settings import Recipe

_CHECKPOINTS = "checkpoints"  # the folder in `model_run_dir`


def run_fn(fn_args: FnArgs) -> None:
    """Trains a model and exports the weights of its best epoch to `fn_args.serving_model_dir`.

    `fn_args.custom_config` holds:
      recipe: a `Recipe` as JSON. Tuned hyper-parameters replace some of its values.
      code: the digests of the Trainer's files.
      checkpoints: a folder that is kept when a run is killed. With a bucket's URI, the folder in `model_run_dir` is
        copied there after each epoch. None uses `model_run_dir` alone, which a retried job of Vertex AI gets again.
      devices: the required kind, 'CPU', 'GPU' or 'TPU'; absent or None for any.
      embeddings: for a recipe that reads them, their folder and the names of the splits to train and evaluate on.

    The weights are stored next to `serving_model_dir`. `history.json`, the checkpoints and TensorBoard's logs are in
    `model_run_dir`. All folders may be in a bucket.

    Raises:
      ValueError: when a setting is not valid, a split is too small for one global batch, or weights do not fit.
      trainer.devices.Unusable: when a device exists but cannot be used.
    """
    recipe = Recipe.model_validate(fn_args.custom_config["recipe"])
    if fn_args.hyperparameters:
        best = keras_tuner.HyperParameters.from_config(fn_args.hyperparameters).values
        print("hyper-parameters:", ", ".join(f"{key} {value}" for key, value in best.items()), flush=True)
        recipe = recipe.changed(best)
    chosen = strategy.choose(recipe.trainer.gpu_memory_mb)
    strategy.check_kind(chosen, fn_args.custom_config.get("devices"))
    keras.utils.set_random_seed(recipe.trainer.seed)
    keras.config.set_dtype_policy(strategy.precision_policy(chosen, recipe.trainer.precision))
    try:
        _train_and_export(fn_args, recipe, chosen)
    finally:
        keras.config.set_dtype_policy("float32")  # because later nodes may run in this process


def _train_and_export(fn_args: FnArgs, recipe: Recipe, chosen: tf.distribute.Strategy) -> None:
    """Trains on all workers; the chief writes the results, and the others return when it has written them."""
    transform = tft.TFTransformOutput(fn_args.transform_graph_path)
    with chosen.scope():
        model = model_of(recipe, fn_args.base_model)
        tables = fn_args.custom_config["embeddings"] if recipe.model.reads_embeddings else None
        head = probing.fit(model, recipe, *tables) if tables else None
        is_probe = recipe.model.name == PROBE
        figures, checkpoints = (None, None) if is_probe else _fit(model, fn_args, recipe, transform, chosen)
    served = in_float32(model)  # on all workers, because reading a variable may be a collective operation
    if strategy.is_chief(chosen):
        fitted, familiarity = _export(served, fn_args, recipe, transform, head, figures)
        record = {
            "recipe": recipe.model_dump(mode="json"),
            "devices": strategy.describe(chosen),
            "strategy": strategy.details(chosen),
            "precision": strategy.precision_policy(chosen, recipe.trainer.precision),
            "parameters": model.count_params(),
            "head": head.record if head else None,
            "fitted": fitted._asdict(),
            "familiarity": familiarity and familiarity.figures(),
            **(figures or (head.figures() if head else {})),
        }
        with tf.io.gfile.GFile(f"{fn_args.model_run_dir}/{HISTORY}", "w") as file:
            file.write(json.dumps(record, indent=2))
        if checkpoints and checkpoints != (final := f"{fn_args.model_run_dir}/{_CHECKPOINTS}"):
            tf.io.gfile.rename(checkpoints, final)
    strategy.wait_for_all(chosen)
    if checkpoints and not strategy.is_chief(chosen):
        tf.io.gfile.rmtree(checkpoints)


def _export(
    served: keras.Model,
    fn_args: FnArgs,
    recipe: Recipe,
    transform: tft.TFTransformOutput,
    head: probing.Fitted | None,
    figures: dict[str, Any] | None,
) -> tuple[calibration.Fitted, Familiarity | None]:
    """Writes the SavedModel and the weights, and returns what was fitted on the eval split."""
    familiarity = None
    if head and (figures or head.figures())["best_epoch"] == 0:  # the exported model is the fitted last layer
        eval_logits, familiarity = (head.eval_logits, head.eval_labels), head.familiarity
    else:
        eval_logits = calibration.predict(served, eval_photos(fn_args, recipe, transform))
    fitted = calibration.fit(*eval_logits, recipe.serving)
    if fitted.threshold == NEVER:
        print("no photo is sure: no threshold reaches serving.sure_accuracy on the eval split", flush=True)
    reference.write(fn_args.model_run_dir, served, fn_args.eval_files, transform)
    export(served, transform, recipe.data.classes, fn_args.serving_model_dir, fitted, familiarity)
    weights.save(served, weights_beside(fn_args.serving_model_dir))
    return fitted, familiarity


def _fit(
    model: keras.Model,
    fn_args: FnArgs,
    recipe: Recipe,
    transform: tft.TFTransformOutput,
    chosen: tf.distribute.Strategy,
) -> tuple[dict[str, Any] | None, str]:
    """Trains the model.

    Returns the figures of `history.json` (None if there was no time for an epoch), and this worker's folder of
    checkpoints.
    """
    inputs = inputs_of(fn_args, recipe, transform, chosen)
    final = f"{fn_args.model_run_dir}/{_CHECKPOINTS}"
    kept_in = _checkpoint_folder(fn_args, recipe, chosen.num_replicas_in_sync)
    bucket = kept_in if kept_in and "://" in kept_in else None
    temporary = None if bucket else kept_in
    folder = strategy.own_folder(chosen, temporary or final)
    mirror = Mirror(folder, bucket) if bucket and strategy.is_chief(chosen) else None
    checkpoints = Checkpoints(folder, chosen, mirror)
    fitting.fit(model, recipe.trainer, chosen, inputs, checkpoints, start_counts=recipe.model.head == "probe")
    if not checkpoints.finished:
        return None, checkpoints.folder
    history, trained = checkpoints.history, inputs.steps * inputs.batch * checkpoints.finished
    return {
        "global_batch": inputs.batch,
        "balance": inputs.balance,
        "epochs": checkpoints.finished,
        "best_epoch": checkpoints.best,
        "val_accuracy": checkpoints.best_accuracy,
        "seconds": round(sum(history["seconds"]), 1),  # with validation; of all runs if the training was resumed
        "images_per_second": round(trained / sum(history["training_seconds"]), 1),
        "history": history,
    }, checkpoints.folder


def _checkpoint_folder(fn_args: FnArgs, recipe: Recipe, replicas: int) -> str | None:
    """Returns the checkpoint folder, keyed by a digest of data, settings, replicas and code; None without one."""
    config = fn_args.custom_config
    if config["checkpoints"] is None:
        return None
    inputs = with_uris([fn_args.train_files, fn_args.transform_graph_path, fn_args.base_model])
    trained = recipe.model_dump(mode="json", exclude={"serving": True, "trainer": {"minutes"}})
    limited = recipe.trainer.minutes is not None  # the limit decides how many epochs are planned
    key = [trained, limited, replicas, config["code"], *inputs]
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return f"{config['checkpoints']}/{digest[:16]}"
