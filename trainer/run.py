"""Trainer's run_fn: read, build, fit, export."""

import hashlib
import json
from typing import Any

import keras
import keras_tuner
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.trainer.fn_args_utils import FnArgs

from trainer import fitting, strategy, weights
from trainer.checkpoints import Checkpoints
from trainer.export import export
from trainer.features import HISTORY
from trainer.recipe import changed, inputs_of, model_of, weights_beside


def run_fn(fn_args: FnArgs) -> None:
    """Trains a model as `fn_args.custom_config` says and exports the best of its epochs to `serving_model_dir`.

    custom_config holds `recipe` (the settings' data, model and trainer sections), `code` (digests of the Trainer's
    files) and `checkpoints`: a folder that outlives a killed run, or None where `fn_args.model_run_dir` does, as on a
    cluster, which gives it to a task that is tried again. A cluster's also says what `devices` are to be found:
    their kind. The weights are stored beside `serving_model_dir`. `history.json` goes to `model_run_dir`, and so do
    the checkpoints and TensorBoard's logs when all is done. Each folder may be of a bucket.

    Raises:
      ValueError: when a split is too small for one global batch, or weights do not fit.
      trainer.devices.Unusable: when a device is there and cannot be used.
    """
    recipe = fn_args.custom_config["recipe"]
    if fn_args.hyperparameters:
        best = keras_tuner.HyperParameters.from_config(fn_args.hyperparameters).values
        print("hyper-parameters:", ", ".join(f"{key} {value}" for key, value in best.items()), flush=True)
        recipe = changed(recipe, best)
    chosen = strategy.choose(recipe["trainer"]["gpu_memory_mb"])
    strategy.expect(chosen, fn_args.custom_config.get("devices"))
    keras.utils.set_random_seed(recipe["trainer"]["seed"])
    keras.config.set_dtype_policy(strategy.precision_policy(chosen, recipe["trainer"]["precision"]))
    try:
        _train_and_export(fn_args, recipe, chosen)
    finally:
        keras.config.set_dtype_policy("float32")  # the process may be that of the whole pipeline


def _train_and_export(fn_args: FnArgs, recipe: dict[str, Any], chosen: tf.distribute.Strategy) -> None:
    settings, classes = recipe["trainer"], recipe["data"]["classes"]
    transform = tft.TFTransformOutput(fn_args.transform_graph_path)
    run_folder = strategy.own_folder(chosen, fn_args.model_run_dir)
    inputs = inputs_of(fn_args, recipe, transform, chosen)
    kept = f"{run_folder}/checkpoints"
    beside = _checkpoint_folder(fn_args, recipe, chosen.num_replicas_in_sync)
    checkpoints = Checkpoints(strategy.own_folder(chosen, beside) if beside else kept, chosen)
    with chosen.scope():
        model = model_of(recipe, fn_args.base_model)
        fitting.fit(model, settings, chosen, inputs, checkpoints)
    serving_model = strategy.own_folder(chosen, fn_args.serving_model_dir)
    export(model, transform, classes, serving_model)
    weights.save(model, weights_beside(serving_model))
    history, trained = checkpoints.history, inputs.steps * inputs.batch * checkpoints.finished
    figures = {
        "recipe": recipe,
        "devices": strategy.describe(chosen),
        "strategy": strategy.details(chosen),
        "precision": strategy.precision_policy(chosen, settings["precision"]),
        "parameters": model.count_params(),
        "global_batch": inputs.batch,
        "epochs": checkpoints.finished,
        "best_epoch": checkpoints.best,
        "seconds": round(sum(history["seconds"]), 1),  # with validation, and those before a kill
        "images_per_second": round(trained / sum(history["training_seconds"]), 1),
        "history": history,
    }
    with tf.io.gfile.GFile(f"{run_folder}/{HISTORY}", "w") as file:
        file.write(json.dumps(figures, indent=2))
    if beside:
        tf.io.gfile.rename(checkpoints.folder, kept)


def _checkpoint_folder(fn_args: FnArgs, recipe: dict[str, Any], replicas: int) -> str | None:
    """Returns the folder of this very training, if any: with other data, settings, devices or code it is another."""
    config = fn_args.custom_config
    if config["checkpoints"] is None:
        return None
    same = [recipe, replicas, config["code"], fn_args.train_files, fn_args.transform_graph_path, fn_args.base_model]
    digest = hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()
    return f"{config['checkpoints']}/{digest[:16]}"
