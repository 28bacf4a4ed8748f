"""Trainer's run_fn: read, build, fit, export."""

import hashlib
import json
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.trainer.fn_args_utils import FnArgs

from trainer import fitting, input_pipeline, models, strategy, weights
from trainer.augmentation import augmentation
from trainer.checkpoints import Checkpoints
from trainer.export import export

HISTORY = "history.json"
WEIGHTS = "model.weights.h5"


def run_fn(fn_args: FnArgs) -> None:
    """Trains a model as `fn_args.custom_config` says and exports the best of its epochs to `serving_model_dir`.

    custom_config holds `recipe` (the settings' data, model and trainer sections), `checkpoints` (a folder that
    outlives a killed run) and `code` (the digest of this package). TensorBoard's logs, `history.json`, the weights and
    the last checkpoints go to `fn_args.model_run_dir`.

    Raises:
      ValueError: when a split is too small for one global batch, or weights do not fit.
      trainer.devices.Unusable: when a device is there and cannot be used.
    """
    recipe = fn_args.custom_config["recipe"]
    chosen = strategy.choose(recipe["trainer"]["gpu_memory_mb"])
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
    inputs = _inputs(fn_args, recipe, transform, chosen)
    checkpoints = Checkpoints(strategy.own_folder(chosen, _checkpoint_folder(fn_args)))
    with chosen.scope():
        model = _model(recipe)
        fitting.fit(model, settings, chosen, inputs, checkpoints, run_folder)
    export(model, transform, classes, strategy.own_folder(chosen, fn_args.serving_model_dir))
    weights.save(model, f"{run_folder}/{WEIGHTS}")
    seconds = sum(checkpoints.history["seconds"])
    figures = {
        "devices": strategy.describe(chosen),
        "strategy": strategy.details(chosen),
        "precision": strategy.precision_policy(chosen, settings["precision"]),
        "parameters": model.count_params(),
        "global_batch": inputs.batch,
        "epochs": checkpoints.finished,
        "best_epoch": checkpoints.best,
        "seconds": round(seconds, 1),  # of all epochs with their validation, those before a kill included
        "images_per_second": round(inputs.steps * inputs.batch * checkpoints.finished / seconds, 1),
        "history": checkpoints.history,
    }
    with tf.io.gfile.GFile(f"{run_folder}/{HISTORY}", "w") as file:
        file.write(json.dumps(figures, indent=2))
    tf.io.gfile.rename(checkpoints.folder, f"{run_folder}/checkpoints")


def _inputs(
    fn_args: FnArgs, recipe: dict[str, Any], transform: tft.TFTransformOutput, chosen: tf.distribute.Strategy
) -> fitting.Inputs:
    settings, classes = recipe["trainer"], len(recipe["data"]["classes"])
    batch = strategy.scaled(chosen, settings["batch_size"])
    found = input_pipeline.count(fn_args.train_files)
    if found < batch:
        raise ValueError(
            f"the training split has {found} examples, fewer than one global batch of {batch}; "
            "lower trainer.batch_size or give more data"
        )
    augment = augmentation(settings["augment"], settings["seed"])
    examples = input_pipeline.count(fn_args.eval_files)
    return fitting.Inputs(
        batch=batch,
        steps=found // batch,
        training=lambda first_step: input_pipeline.training(
            fn_args.train_files, transform, classes, batch, settings["seed"], first_step, augment
        ),
        evaluation=input_pipeline.evaluation(
            fn_args.eval_files, transform, classes, *strategy.evaluation_batch(chosen, examples, batch)
        ),
    )


def _model(recipe: dict[str, Any]) -> keras.Model:
    data, settings = recipe["data"], recipe["model"]
    shape = (data["image_size"], data["image_size"], data["channels"])
    model = models.build(settings["name"], shape, len(data["classes"]), settings["alpha"])
    if settings["weights"]:
        print(weights.load(model, settings["weights"], settings["weights_match"]), flush=True)
    return model


def _checkpoint_folder(fn_args: FnArgs) -> str:
    """Returns the folder of this very training: other data, settings or code never go on from its checkpoints."""
    config = fn_args.custom_config
    same = [config["recipe"], config["code"], fn_args.train_files, fn_args.transform_graph_path]
    digest = hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()
    return f"{config['checkpoints']}/{digest[:16]}"
