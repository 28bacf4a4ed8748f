"""The model that a candidate is compared with: the latest blessed one that is not the candidate itself.

ML Metadata knows it, and a Resolver asks there. Kubeflow Pipelines has none: `LatestPushedModel` looks where blessed
models are pushed.
"""

import json
from collections.abc import Iterator
from typing import Any

import ml_metadata as mlmd
import tensorflow as tf
from ml_metadata.proto import metadata_store_pb2
from tfx import types
from tfx import v1 as tfx
from tfx.utils import io_utils, path_utils

from components.artifacts import Artifacts, PhotoTable
from components.stage import Stage
from trainer import class_names

_NAMED = 3  # classes that a notice names
_NONE = "none.txt"  # in place of a model, since Kubeflow Pipelines gives each output one artifact


class LatestOtherBlessedModelStrategy(tfx.dsl.experimental.ResolverStrategy):
    """TFX's LatestBlessedModelStrategy without the candidate, and with the examples that the model was trained on.

    If the candidate counted, a cached model would be its own baseline in the next run: nothing would be compared, and
    Evaluator would run again.
    """

    def resolve_artifacts(self, store: mlmd.MetadataStore, input_dict: Artifacts) -> Artifacts | None:
        """Returns the `model`, its `model_blessing`, and the `examples` and `table` of its data; see the base class.

        Args:
          store: ML Metadata.
          input_dict: all artifacts of these types, and the `candidate`.
        """
        candidates = {artifact.id for artifact in input_dict["candidate"]}
        others = {
            "model": [model for model in input_dict["model"] if model.id not in candidates],
            "model_blessing": input_dict["model_blessing"],
        }
        resolved = tfx.dsl.experimental.LatestBlessedModelStrategy().resolve_artifacts(store, others) or {}
        read, written = metadata_store_pb2.Event.INPUT, metadata_store_pb2.Event.OUTPUT
        inputs = _beside(store, resolved.get("model", []), written, read)
        examples = [each for each in input_dict["examples"] if each.id in inputs]
        tables = _beside(store, examples, read, written)
        table = [each for each in input_dict["table"] if each.id in tables][-1:]
        return {"candidate": input_dict["candidate"], "examples": examples, "table": table, **resolved}


def _beside(store: mlmd.MetadataStore, artifacts: list[types.Artifact], event: int, other: int) -> set[int]:
    """Returns the ids of artifacts with the event `other` in the executions that have `event` with the artifacts."""
    events = store.get_events_by_artifact_ids([each.id for each in artifacts]) if artifacts else []
    executions = [each.execution_id for each in events if each.type == event]
    return {each.artifact_id for each in store.get_events_by_execution_ids(executions) if each.type == other}


def latest_blessed_model() -> tfx.dsl.Resolver:
    """Returns the Resolver whose `model` output is the latest blessed model before this run, or empty."""
    return tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy,
        model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
    )


def latest_other_blessed_model(candidate: types.BaseChannel) -> tfx.dsl.Resolver:
    """Returns the Resolver of the baseline: its `model`, and the `examples` behind it; empty in a first run."""
    return tfx.dsl.Resolver(
        strategy_class=LatestOtherBlessedModelStrategy,
        candidate=candidate,
        examples=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Examples),
        table=tfx.dsl.Channel(type=PhotoTable),
        model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
    )


@tfx.dsl.components.component
def LatestPushedModel(  # noqa: N802 (a TFX component is named as a class)
    candidate: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Model],
    model: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Model],
    pushed: tfx.dsl.components.Parameter[str],
) -> None:
    """Copies the latest of Pusher's models under `pushed` that is not the candidate to where Evaluator looks for it.

    Where there is none, `is_none(model)` is true. The candidate is an input also because a cluster would else take the
    first run's answer from its cache for ever.
    """
    own = _fingerprint(path_utils.serving_model_path(candidate.uri))
    latest = next((version for version in _versions(pushed) if _fingerprint(version) != own), None)
    if latest:
        io_utils.copy_dir(latest, path_utils.serving_model_dir(model.uri))
        model.set_string_custom_property("pushed_destination", latest)
    else:
        io_utils.write_string_file(f"{model.uri}/{_NONE}", f"no other model is in {pushed} yet\n")
    print("the baseline:", latest or f"none, no other model is in {pushed} yet")


def is_none(model: types.Artifact) -> bool:
    """Returns whether this is what `LatestPushedModel` puts out where there is no model."""
    return tf.io.gfile.exists(f"{model.uri}/{_NONE}")


def difference(candidate: types.Artifact, model: types.Artifact) -> str:
    """Returns why a model cannot be compared with the candidate: its classes differ or are unknown; else ''.

    Returns '' if the model's folder is missing, too: the Evaluator then fails and names the folder.
    """
    if not tf.io.gfile.isdir(path_utils.serving_model_path(model.uri)):
        return ""
    ours, theirs = _classes(candidate), _classes(model)
    if ours is None or theirs is None:
        return f"{'the model' if ours is None else 'it'} has no record of its classes"
    if ours == theirs:
        return ""
    parts = [f"without {_listed(set(ours) - set(theirs))}"] if set(ours) - set(theirs) else []
    parts += [f"with {_listed(set(theirs) - set(ours))}"] if set(theirs) - set(ours) else []
    return f"it has other classes: {', '.join(parts)}" if parts else "it has the same classes in another order"


def _classes(model: types.Artifact) -> list[str] | None:
    """Returns a model's classes, from the Trainer's record in ML Metadata or, where that is elsewhere, its files."""
    recipe = model.get_string_custom_property("recipe")
    return (
        json.loads(recipe)["data"]["classes"] if recipe else class_names.read(path_utils.serving_model_path(model.uri))
    )


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)[:_NAMED]) + " …" * (len(names) > _NAMED)


def _versions(pushed: str) -> Iterator[str]:
    """Yields the folders of complete models, the latest first: Pusher writes saved_model.pb last."""
    names = tf.io.gfile.listdir(pushed) if tf.io.gfile.isdir(pushed) else []
    numbers = [name.rstrip("/") for name in names if name.rstrip("/").isdecimal()]  # a bucket's folders end in a slash
    for number in sorted(numbers, key=int, reverse=True):
        folder = f"{pushed.rstrip('/')}/{number}"
        if tf.io.gfile.exists(f"{folder}/saved_model.pb"):
            yield folder


def _fingerprint(model: str) -> bytes:
    """Returns what TensorFlow writes beside each SavedModel to tell it from all others; b'' for one of other tools."""
    if not tf.io.gfile.exists(f"{model}/fingerprint.pb"):
        return b""
    return io_utils.read_bytes_file(f"{model}/fingerprint.pb")


def _figure(outputs: Artifacts, properties: dict[str, Any]) -> str:
    models = outputs.get("model")
    return f"model {models[0].id}" if models else "no other blessed model"


STAGE = Stage("LatestBlessedModel", ("model", "examples", "table"), _figure)
WARM_START = Stage("WarmStart", ("model",), _figure)  # the model whose weights the Trainer starts from
