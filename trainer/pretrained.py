"""Builds a recipe's model and loads its pretrained weights, without TFX: a run tries it before it starts."""

from typing import Any

import keras

from trainer import models, weights


def build(recipe: dict[str, Any]) -> keras.Model:
    """Returns the recipe's model with random weights."""
    data, settings = recipe["data"], recipe["model"]
    shape = (data["image_size"], data["image_size"], data["channels"])
    return models.build(settings["name"], shape, len(data["classes"]), settings["alpha"])


def load(model: keras.Model, recipe: dict[str, Any]) -> weights.Report:
    """Assigns the weights that the recipe names, and returns what was loaded.

    Raises:
      ValueError: when they do not fit.
    """
    settings = recipe["model"]
    return weights.load(model, settings["weights"], settings["weights_match"])
