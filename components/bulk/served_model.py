"""Finds the model for a bulk prediction without a training: the one that `python -m serving` serves by default."""

from collections.abc import Container
from typing import Any

import ml_metadata as mlmd
from tfx import v1 as tfx
from tfx.types.standard_artifacts import PushedModel

from components.artifacts import Artifacts
from components.pusher import pushed_to
from components.stage import Stage
from errors import UserError
from storage import aliases
from storage.files import fileio


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
        latest = next((folder for folder in map(_folder, newest) if folder and _exists(folder)), None)
        return {"pushed_model": [models[_served(latest, models)]]} if latest else None


def _exists(folder: str) -> bool:
    return bool(fileio.exists(f"{folder}/saved_model.pb"))


def _served(latest: str, models: Container[str]) -> str:
    """Returns the folder of the champion beside the latest version, or that of the latest version.

    Raises:
      UserError: see `ServedModelStrategy`.
    """
    parent = latest.rpartition("/")[0]
    try:
        champion = aliases.read(parent).get(aliases.CHAMPION)
    except (aliases.DamagedAliases, OSError) as error:
        raise UserError(f"cannot read the champion: {error}; correct the file") from None
    if champion is None:
        return latest
    folder = f"{parent}/{champion}"
    if folder not in models or not _exists(folder):
        raise UserError(
            f"expected the champion, version {champion}, among the pushed models of this store, received none in "
            f"{parent}; promote another: python -m lineage promote VERSION_FOLDER"
        )
    return folder


def _folder(model: Any) -> str:
    return pushed_to({"pushed_model": [model]})


def served_model() -> tfx.dsl.Resolver:
    """Returns the Resolver."""
    return tfx.dsl.Resolver(strategy_class=ServedModelStrategy, pushed_model=tfx.dsl.Channel(type=PushedModel))


def _figure(outputs: Artifacts, properties: dict[str, Any]) -> str:
    return pushed_to(outputs)


STAGE = Stage("ServedModel", ("pushed_model",), _figure)
