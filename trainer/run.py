"""Trainer's run_fn: read, build, fit, export."""

import hashlib
import json
from functools import partial
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
    outlives a killed run) and `code` (the digest of this package). TensorBoard's logs, `history.json` and the last
    checkpoints go to `fn_args.model_run_dir`.

    Raises:
      ValueError: when the training split is smaller than one global batch.
    """
    recipe = fn_args.custom_config["recipe"]
    settings, classes = recipe["trainer"], len(recipe["data"]["classes"])
    chosen = strategy.choose()
    keras.utils.set_random_seed(settings["seed"])
    transform = tft.TFTransformOutput(fn_args.transform_graph_path)
    batch = settings["batch_size"] * chosen.num_replicas_in_sync
    steps = _steps(fn_args.train_files, batch)
    train = partial(_training, fn_args.train_files, transform, classes, batch, settings)
    checkpoints = Checkpoints(_folder(fn_args))
    with chosen.scope():
        model = _model(recipe)
        fitting.fit(
            model,
            settings,
            chosen.num_replicas_in_sync,
            steps,
            train,
            input_pipeline.evaluation(fn_args.eval_files, transform, classes, batch),
            checkpoints,
            fn_args.model_run_dir,
        )
    export(model, transform, recipe["data"]["classes"], fn_args.serving_model_dir)
    weights.save(model, f"{fn_args.model_run_dir}/{WEIGHTS}")
    seconds = sum(checkpoints.history["seconds"])
    figures = {
        "devices": strategy.describe(chosen),
        "parameters": model.count_params(),
        "global_batch": batch,
        "epochs": checkpoints.finished,
        "best_epoch": checkpoints.best,
        "seconds": round(seconds, 1),  # of all epochs with their validation, those before a kill included
        "images_per_second": round(steps * batch * checkpoints.finished / seconds, 1),
        "history": checkpoints.history,
    }
    with tf.io.gfile.GFile(f"{fn_args.model_run_dir}/{HISTORY}", "w") as file:
        file.write(json.dumps(figures, indent=2))
    tf.io.gfile.rename(checkpoints.folder, f"{fn_args.model_run_dir}/checkpoints")


def _steps(files: list[str], batch: int) -> int:
    found = input_pipeline.count(files)
    if found < batch:
        raise ValueError(
            f"the training split has {found} examples, fewer than one global batch of {batch}; "
            "lower trainer.batch_size or give more data"
        )
    return found // batch


def _training(
    files: list[str],
    transform: tft.TFTransformOutput,
    classes: int,
    batch: int,
    settings: dict[str, Any],
    first_step: int,
) -> tf.data.Dataset:
    augment = augmentation(settings["augment"], settings["seed"])
    return input_pipeline.training(files, transform, classes, batch, settings["seed"], first_step, augment)


def _model(recipe: dict[str, Any]) -> keras.Model:
    data, settings = recipe["data"], recipe["model"]
    shape = (data["image_size"], data["image_size"], data["channels"])
    model = models.build(settings["name"], shape, len(data["classes"]), settings["alpha"])
    if settings["weights"]:
        print(weights.load(model, settings["weights"], settings["weights_match"]), flush=True)
    return model


def _folder(fn_args: FnArgs) -> str:
    """Returns the folder of this very training: other data, settings or code never go on from its checkpoints."""
    config = fn_args.custom_config
    same = [config["recipe"], config["code"], fn_args.train_files, fn_args.transform_graph_path]
    digest = hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()
    folder = f"{config['checkpoints']}/{digest[:16]}"
    tf.io.gfile.makedirs(folder)
    return folder
