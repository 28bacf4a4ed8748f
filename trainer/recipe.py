"""What a recipe, the settings' data, model and trainer sections, makes: the model and what it reads."""

import copy
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.trainer.fn_args_utils import FnArgs

from trainer import class_names, fitting, input_pipeline, pretrained, strategy, weights
from trainer.augmentation import augmentation


def inputs_of(
    fn_args: FnArgs, recipe: dict[str, Any], transform: tft.TFTransformOutput, chosen: tf.distribute.Strategy
) -> fitting.Inputs:
    """Returns what the recipe reads, in batches for all replicas of the strategy.

    Raises:
      ValueError: when a split is too small for one global batch.
    """
    settings, classes = recipe["trainer"], len(recipe["data"]["classes"])
    batch = strategy.scaled(chosen, settings["batch_size"])
    found = input_pipeline.measure(fn_args.train_files)
    if found.records < batch:
        most = found.records // chosen.num_replicas_in_sync
        remedy = f"lower trainer.batch_size (at most {most})" if most else "use fewer replicas"
        raise ValueError(
            f"the training split has {found.records} examples, fewer than one global batch of {batch}; {remedy} or "
            "give more data"
        )
    augment = augmentation(settings["augment"])
    held_out = input_pipeline.measure(fn_args.eval_files)
    return fitting.Inputs(
        batch=batch,
        steps=found.records // batch,
        training=lambda first_epoch: input_pipeline.training(
            fn_args.train_files, transform, classes, batch, settings["seed"], first_epoch, augment, found
        ),
        evaluation=input_pipeline.evaluation(
            fn_args.eval_files,
            transform,
            classes,
            *strategy.evaluation_batch(chosen, held_out.records, batch),
            held_out,
        ),
    )


def model_of(recipe: dict[str, Any], base_model: str | None = None) -> keras.Model:
    """Builds the recipe's model and loads its weights, or those of a model trained before.

    The last layer of a model trained before is left out where that has other classes, or no record of them.

    Raises:
      ValueError: when they do not fit.
    """
    model = pretrained.build(recipe)
    if base_model:
        same = class_names.read(base_model) == recipe["data"]["classes"]
        print(weights.load(model, weights_beside(base_model), "matching" if same else "matching base"), flush=True)
    elif recipe["model"]["weights"]:
        print(pretrained.load(model, recipe), flush=True)
    return model


def weights_beside(serving_model: str) -> str:
    """Returns where the weights lie of a SavedModel that `trainer.run` exported."""
    return f"{serving_model.rstrip('/').rpartition('/')[0]}/model.weights.h5"


def changed(recipe: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Returns the recipe with other values, by dotted keys.

    >>> changed({"trainer": {"epochs": 9, "seed": 0}}, {"trainer.epochs": 1})
    {'trainer': {'epochs': 1, 'seed': 0}}
    """
    result = copy.deepcopy(recipe)
    for key, value in values.items():
        *sections, name = key.split(".")
        part = result
        for section in sections:
            part = part[section]
        part[name] = value
    return result
