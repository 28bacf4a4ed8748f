"""Builds a recipe's model. Imports no TFX: a run tries this before it starts."""

import keras

from trainer import models
from trainer.settings import Recipe


def build(recipe: Recipe) -> keras.Model:
    """Returns the recipe's model with random weights."""
    data, model = recipe.data, recipe.model
    return models.build(model.name, (data.image_size, data.image_size, data.channels), len(data.classes), model.alpha)
