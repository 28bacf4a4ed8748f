"""Trainer's run_fn: read, build, fit, export."""

import hashlib
import json
import sys
import time
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.trainer.fn_args_utils import FnArgs

from trainer import input_pipeline, models, schedules, strategy
from trainer.export import export

HISTORY = "history.json"


def run_fn(fn_args: FnArgs) -> None:
    """Trains a model as `fn_args.custom_config` says and exports it to `fn_args.serving_model_dir`.

    custom_config holds `recipe` (the settings' data, model and trainer sections), `checkpoints` (a folder that
    outlives a killed run) and `code` (the digest of this package). TensorBoard's logs and `history.json` go to
    `fn_args.model_run_dir`.

    Raises:
      ValueError: when the training split is smaller than one global batch.
    """
    recipe = fn_args.custom_config["recipe"]
    keras.utils.set_random_seed(recipe["trainer"]["seed"])
    chosen = strategy.choose()
    transform = tft.TFTransformOutput(fn_args.transform_graph_path)
    batch = recipe["trainer"]["batch_size"] * chosen.num_replicas_in_sync
    train, steps, evaluation = _datasets(fn_args, recipe["trainer"], transform, batch)
    with chosen.scope():
        model = _compiled(recipe)
    started = time.monotonic()
    history = model.fit(
        train,
        steps_per_epoch=steps,
        epochs=recipe["trainer"]["epochs"],
        validation_data=evaluation,
        callbacks=_callbacks(fn_args, recipe["trainer"]),
        verbose=1 if sys.stdout.isatty() else 2,
    )
    seconds, epochs = time.monotonic() - started, len(history.epoch)  # fewer epochs where a killed run goes on
    export(model, transform, recipe["data"]["classes"], fn_args.serving_model_dir)
    _write_history(
        fn_args.model_run_dir,
        devices=strategy.describe(chosen),
        parameters=model.count_params(),
        global_batch=batch,
        epochs=recipe["trainer"]["epochs"],
        seconds=round(seconds, 1),
        images_per_second=round(steps * batch * epochs / seconds, 1),
        history={key: [float(value) for value in values] for key, values in history.history.items()},
    )


def _datasets(
    fn_args: FnArgs, settings: dict[str, Any], transform: tft.TFTransformOutput, batch: int
) -> tuple[tf.data.Dataset, int, tf.data.Dataset]:
    records = input_pipeline.raw_records(fn_args.train_files, shuffle_seed=settings["seed"])
    found = input_pipeline.count(input_pipeline.raw_records(fn_args.train_files))
    if found < batch:
        raise ValueError(
            f"the training split has {found} examples, fewer than one global batch of {batch}; "
            "lower trainer.batch_size or give more data"
        )
    augment = input_pipeline.augmentation(settings["augment"], settings["seed"])
    train = input_pipeline.batches(records, transform, batch, training=True, augment=augment)
    evaluation = input_pipeline.batches(
        input_pipeline.raw_records(fn_args.eval_files), transform, batch, training=False
    )
    return train, found // batch, evaluation


def _compiled(recipe: dict[str, Any]) -> keras.Model:
    data, model_settings = recipe["data"], recipe["model"]
    shape = (data["image_size"], data["image_size"], data["channels"])
    model = models.build(model_settings["name"], shape, len(data["classes"]), model_settings["weights"])
    model.compile(
        optimizer=keras.optimizers.Adam(recipe["trainer"]["learning_rate"]["start"]),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def _callbacks(fn_args: FnArgs, settings: dict[str, Any]) -> list[keras.callbacks.Callback]:
    rates = settings["learning_rate"]
    return [
        keras.callbacks.LearningRateScheduler(lambda epoch: schedules.ramp_then_decay(epoch, **rates)),
        keras.callbacks.TensorBoard(fn_args.model_run_dir, profile_batch=0),
        keras.callbacks.BackupAndRestore(_checkpoints(fn_args), double_checkpoint=True),
        keras.callbacks.TerminateOnNaN(),
    ]


def _checkpoints(fn_args: FnArgs) -> str:
    """Returns the folder of this very training: other data, settings or code never go on from its checkpoints."""
    config = fn_args.custom_config
    same = [config["recipe"], config["code"], fn_args.train_files, fn_args.transform_graph_path]
    digest = hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()
    return f"{config['checkpoints']}/{digest[:16]}"


def _write_history(directory: str, **figures: Any) -> None:
    with tf.io.gfile.GFile(f"{directory}/{HISTORY}", "w") as file:
        file.write(json.dumps(figures, indent=2))
