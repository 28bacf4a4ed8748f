"""Finds the model for a bulk prediction without a training: the one that `python -m serving` serves by default."""

from typing import Any

import ml_metadata as mlmd
from tfx import v1 as tfx
from tfx.types.standard_artifacts import PushedModel

from components.artifacts import Artifacts
from components.bulk import champion
from components.pusher import pushed_to
from components.stage import Stage
from storage.files import fileio
from storage.versions import LAST


class ServedModelStrategy(tfx.dsl.experimental.ResolverStrategy):
    """Returns the champion of the latest `pushed_model`'s folder; without a champion, the latest `pushed_model`.

    A version that was deleted from its folder is no longer in use.
    """

    def resolve_artifacts(self, store: mlmd.MetadataStore, input_dict: Artifacts) -> Artifacts | None:
        """Returns the model, or None, which fails the run.

        Args:
          store: the ML Metadata store.
          input_dict: all pushed models of the pipeline.

        Raises:
          UserError: when the champion cannot be read, or is no model of this store.
        """
        newest = sorted(input_dict["pushed_model"], key=lambda each: each.id, reverse=True)
        models = {_folder(each): each for each in reversed(newest)}
        folders = (folder for folder in map(_folder, newest) if folder)
        latest = next((folder for folder in folders if _exists(f"{folder}/{LAST}")), None)
        return {"pushed_model": [models[champion.folder_of(latest, models, _exists)]]} if latest else None


def _exists(file: str) -> bool:
    return bool(fileio.exists(file))


def _folder(model: Any) -> str:
    return pushed_to({"pushed_model": [model]})


def served_model() -> tfx.dsl.Resolver:
    """Returns the Resolver."""
    return tfx.dsl.Resolver(strategy_class=ServedModelStrategy, pushed_model=tfx.dsl.Channel(type=PushedModel))


def _figure(outputs: Artifacts, properties: dict[str, Any]) -> str:
    return pushed_to(outputs)


STAGE = Stage("ServedModel", ("pushed_model",), _figure)
