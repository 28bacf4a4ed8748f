"""Finds the model for a bulk prediction without a training: the latest pushed model whose folder still exists."""

from typing import Any

import ml_metadata as mlmd
from tfx import v1 as tfx
from tfx.types.standard_artifacts import PushedModel

from components.artifacts import Artifacts
from components.pusher import pushed_to
from components.stage import Stage
from storage.files import fileio


class LatestPushedModelStrategy(tfx.dsl.experimental.ResolverStrategy):
    """Returns the latest `pushed_model`; a version that was deleted from its folder is no longer in use."""

    def resolve_artifacts(self, store: mlmd.MetadataStore, input_dict: Artifacts) -> Artifacts | None:
        """Returns the model, or None, which fails the run.

        Args:
          store: the ML Metadata store.
          input_dict: all pushed models of the pipeline.
        """
        newest = sorted(input_dict["pushed_model"], key=lambda each: each.id, reverse=True)
        found = (each for each in newest if (folder := _folder(each)) and fileio.exists(f"{folder}/saved_model.pb"))
        model = next(found, None)
        return {"pushed_model": [model]} if model else None


def _folder(model: Any) -> str:
    return pushed_to({"pushed_model": [model]})


def served_model() -> tfx.dsl.Resolver:
    """Returns the Resolver."""
    return tfx.dsl.Resolver(strategy_class=LatestPushedModelStrategy, pushed_model=tfx.dsl.Channel(type=PushedModel))


def _figure(outputs: Artifacts, properties: dict[str, Any]) -> str:
    return pushed_to(outputs)


STAGE = Stage("ServedModel", ("pushed_model",), _figure)
