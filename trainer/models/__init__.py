"""Builds the models of `trainer.families`."""

import pkgutil
from collections.abc import Callable
from typing import Any

import keras

from errors import UserError
from trainer.families import FAMILIES, PROBE
from trainer.settings import Model, Recipe


def build(name: str, input_shape: tuple[int, int, int], classes: int, **options: Any) -> keras.Model:
    """Builds a model by name, with random weights.

    Args:
      name: a key of FAMILIES.
      input_shape: (height, width, channels).
      classes: the number of classes.
      **options: options of the family.

    Returns:
      A model that maps float32 [batch, height, width, channels] to logits, float32 [batch, classes]. Its last layer
      is named `logits`; pretrained weights are for the layers before it.

    Raises:
      ValueError: for an unknown name, and for options that the family does not have.
    """
    settings = Model.model_validate({"name": name, "options": options})
    return builder(name)(input_shape, classes, **dict(settings.options))


def builder(name: str) -> Callable[..., keras.Model]:
    """Returns the function that builds a family's models.

    Raises:
      UserError: when the path in the row cannot be imported.
    """
    path = FAMILIES[name].builder
    try:
        return pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"the row {name} of trainer/families.py: expected a function's path, received {path}: {error}"
        ) from None


def of_recipe(recipe: Recipe) -> keras.Model:
    """Builds the recipe's model. Its weights are random, except those of a probe's trunks."""
    data, model = recipe.data, recipe.model
    shape = (data.image_size, data.image_size, data.channels)
    if model.name == PROBE:
        return builder(PROBE)(shape, len(data.classes), recipe.embeddings.trunks)
    return build(model.name, shape, len(data.classes), **dict(model.options))
