"""Makes the model and its input batches from a recipe."""

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.trainer.fn_args_utils import FnArgs

from trainer import balance, class_names, fitting, input_pipeline, models, packaged_weights, strategy, weights
from trainer.augmentation.batches import augmentation
from trainer.settings import Recipe


def inputs_of(
    fn_args: FnArgs, recipe: Recipe, transform: tft.TFTransformOutput, chosen: tf.distribute.Strategy
) -> fitting.Inputs:
    """Returns both splits, in batches for all replicas of the strategy.

    Raises:
      ValueError: when a split is too small for one global batch.
    """
    settings, classes = recipe.trainer, len(recipe.data.classes)
    batch = strategy.scaled(chosen, settings.batch_size)
    train_size = input_pipeline.measure(fn_args.train_files, classes if settings.balance != "none" else 0)
    _check_size(train_size.records, batch, chosen.num_replicas_in_sync)
    augment = augmentation(settings.augment)
    eval_size = input_pipeline.measure(fn_args.eval_files)
    return fitting.Inputs(
        batch=batch,
        steps=train_size.records // batch,
        training=lambda first_epoch: input_pipeline.training(
            fn_args.train_files,
            transform,
            classes,
            batch,
            settings.seed,
            first_epoch,
            augment,
            train_size,
            settings.balance,
        ),
        evaluation=input_pipeline.evaluation(
            fn_args.eval_files,
            transform,
            classes,
            *strategy.evaluation_batch(chosen, eval_size.records, batch),
            eval_size,
        ),
        balance=balance.summary(settings.balance, recipe.data.classes, train_size.per_class),
    )


def _check_size(examples: int, batch: int, replicas: int) -> None:
    if examples < batch:
        most = examples // replicas
        remedy = f"lower trainer.batch_size (at most {most})" if most else "use fewer replicas"
        raise ValueError(
            f"the training split has {examples} examples, fewer than one global batch of {batch}; {remedy} or "
            "give more data"
        )


def eval_photos(fn_args: FnArgs, recipe: Recipe, transform: tft.TFTransformOutput) -> tf.data.Dataset:
    """Returns all photos of the eval split once, for one device: batches of pixels and one-hot classes.

    Validation during a training with several replicas omits the last, smaller batch.
    """
    size = input_pipeline.measure(fn_args.eval_files)
    classes, batch = len(recipe.data.classes), recipe.trainer.batch_size
    return input_pipeline.evaluation(fn_args.eval_files, transform, classes, batch, size=size)


def model_of(recipe: Recipe, base_model: str | None = None) -> keras.Model:
    """Builds the recipe's model and loads its weights, or the weights of an earlier model.

    The last layer of the earlier model is not loaded if its classes are different or not recorded.

    Args:
      recipe: the model's settings.
      base_model: the earlier SavedModel, as `trainer.run` exported it.

    Raises:
      ValueError: when the weights do not fit.
    """
    model = models.of_recipe(recipe)
    if base_model:
        same = class_names.read(base_model) == list(recipe.data.classes)
        print(weights.load(model, weights_beside(base_model), "matching" if same else "matching base"), flush=True)
    elif recipe.model.weights:
        print(packaged_weights.load(model, recipe.model), flush=True)
    return model


def weights_beside(serving_model: str) -> str:
    """Returns the path of the weights file that `trainer.run` writes next to a SavedModel."""
    return f"{serving_model.rstrip('/').rpartition('/')[0]}/model.weights.h5"
