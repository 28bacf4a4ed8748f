"""Trainer's run_fn: read, build, fit, export."""

import hashlib
import json

import keras
import keras_tuner
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.trainer.fn_args_utils import FnArgs

from trainer import calibration, fitting, strategy, weights
from trainer.checkpoints import Checkpoints
from trainer.export import export, in_float32
from trainer.features import HISTORY
from trainer.recipe import eval_photos, inputs_of, model_of, weights_beside
from trainer.settings import Recipe


def run_fn(fn_args: FnArgs) -> None:
    """Trains a model and exports the weights of its best epoch to `fn_args.serving_model_dir`.

    `fn_args.custom_config` holds:
      recipe: a `Recipe` as JSON. Tuned hyper-parameters replace some of its values.
      code: the digests of the Trainer's files.
      checkpoints: a folder that is kept when a run is killed. None uses `model_run_dir`: on a cluster, a retried task
        gets the same folder again.
      devices: the required kind, 'CPU', 'GPU' or 'TPU'; absent or None for any.

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
    transform = tft.TFTransformOutput(fn_args.transform_graph_path)
    run_folder = strategy.own_folder(chosen, fn_args.model_run_dir)
    inputs = inputs_of(fn_args, recipe, transform, chosen)
    final = f"{run_folder}/checkpoints"
    temporary = _checkpoint_folder(fn_args, recipe, chosen.num_replicas_in_sync)
    checkpoints = Checkpoints(strategy.own_folder(chosen, temporary) if temporary else final, chosen)
    with chosen.scope():
        model = model_of(recipe, fn_args.base_model)
        fitting.fit(model, recipe.trainer, chosen, inputs, checkpoints)
    serving_model = strategy.own_folder(chosen, fn_args.serving_model_dir)
    served = in_float32(model)
    fitted = calibration.fit(*calibration.predict(served, eval_photos(fn_args, recipe, transform)), recipe.serving)
    export(served, transform, recipe.data.classes, serving_model, fitted)
    weights.save(model, weights_beside(serving_model))
    history, trained = checkpoints.history, inputs.steps * inputs.batch * checkpoints.finished
    figures = {
        "recipe": recipe.model_dump(mode="json"),
        "devices": strategy.describe(chosen),
        "strategy": strategy.details(chosen),
        "precision": strategy.precision_policy(chosen, recipe.trainer.precision),
        "parameters": model.count_params(),
        "global_batch": inputs.batch,
        "balance": inputs.balance,
        "epochs": checkpoints.finished,
        "best_epoch": checkpoints.best,
        "seconds": round(sum(history["seconds"]), 1),  # with validation; of all runs if the training was resumed
        "fitted": fitted._asdict(),
        "images_per_second": round(trained / sum(history["training_seconds"]), 1),
        "history": history,
    }
    with tf.io.gfile.GFile(f"{run_folder}/{HISTORY}", "w") as file:
        file.write(json.dumps(figures, indent=2))
    if temporary:
        tf.io.gfile.rename(checkpoints.folder, final)


def _checkpoint_folder(fn_args: FnArgs, recipe: Recipe, replicas: int) -> str | None:
    """Returns the checkpoint folder, keyed by a digest of data, settings, replicas and code; None without one."""
    config = fn_args.custom_config
    if config["checkpoints"] is None:
        return None
    inputs = [fn_args.train_files, fn_args.transform_graph_path, fn_args.base_model]
    trained = recipe.model_dump(mode="json", exclude={"serving"})
    key = [trained, replicas, config["code"], *inputs]
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return f"{config['checkpoints']}/{digest[:16]}"
