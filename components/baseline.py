"""Finds the baseline: the latest blessed model that is not the candidate itself.

A Resolver queries ML Metadata. Kubeflow Pipelines has no Resolver. `LatestPushedModel` replaces it there, and searches
the folder into which blessed models are pushed.
"""

import json
from collections.abc import Sequence
from typing import Any

import ml_metadata as mlmd
import tensorflow as tf
from ml_metadata.proto import metadata_store_pb2
from tfx import types
from tfx import v1 as tfx
from tfx.utils import io_utils, path_utils

from components import pushed_versions
from components.artifacts import Artifacts, EmbeddingTable, PhotoTable
from components.stage import Stage
from trainer import class_names

_INPUT, _OUTPUT = metadata_store_pb2.Event.INPUT, metadata_store_pb2.Event.OUTPUT
_MAX_NAMES = 3  # classes that a message lists
_PLACEHOLDER = "none.txt"  # replaces the model, because an output on Kubeflow Pipelines always has one artifact


class LatestOtherBlessedModelStrategy(tfx.dsl.experimental.ResolverStrategy):
    """Like TFX's LatestBlessedModelStrategy, but ignores the candidate and also resolves the model's training data.

    It also ignores models that ServingCheck refused, because they were never pushed.

    With TFX's strategy, a cached candidate would be its own baseline in the next run: Evaluator would run again and
    compare the model with itself.
    """

    def resolve_artifacts(self, store: mlmd.MetadataStore, input_dict: Artifacts) -> Artifacts | None:
        """Returns the `model`, its `model_blessing`, the `examples` that it was trained on, their photo `table`, and
        their latest `embeddings`.

        Args:
          store: the ML Metadata store.
          input_dict: all artifacts of these types, and the `candidate`.
        """
        excluded = {artifact.id for artifact in input_dict["candidate"]} | _unserved(store)
        others = {
            "model": [model for model in input_dict["model"] if model.id not in excluded],
            "model_blessing": input_dict["model_blessing"],
        }
        resolved = tfx.dsl.experimental.LatestBlessedModelStrategy().resolve_artifacts(store, others) or {}
        inputs = _related(store, resolved.get("model", []), _OUTPUT, _INPUT)
        examples = [each for each in input_dict["examples"] if each.id in inputs]
        outputs = _related(store, examples, _OUTPUT, _OUTPUT)
        table = [each for each in input_dict["table"] if each.id in outputs][-1:]
        computed = _related(store, examples, _INPUT, _OUTPUT)
        embeddings = [each for each in input_dict["embeddings"] if each.id in computed][-1:]
        data = {"examples": examples, "table": table, "embeddings": embeddings}
        return {"candidate": input_dict["candidate"], **data, **resolved}


def _unserved(store: mlmd.MetadataStore) -> set[int]:
    """Returns the ids of the inputs, among them the models, of which ServingCheck blessed none."""
    verdicts = store.get_artifacts_by_type(tfx.types.standard_artifacts.InfraBlessing.TYPE_NAME)
    blessed = [each for each in verdicts if each.custom_properties["blessed"].int_value]
    every, served = (_related(store, each, _OUTPUT, _INPUT) for each in (verdicts, blessed))
    return every - served


def _related(store: mlmd.MetadataStore, artifacts: Sequence[Any], event: int, other: int) -> set[int]:
    """Returns the ids of artifacts that share an execution with `artifacts`.

    With `event` OUTPUT and `other` INPUT, these are the inputs of the executions that wrote `artifacts`.
    """
    events = store.get_events_by_artifact_ids([each.id for each in artifacts]) if artifacts else []
    executions = [each.execution_id for each in events if each.type == event]
    return {each.artifact_id for each in store.get_events_by_execution_ids(executions) if each.type == other}


def latest_blessed_model() -> tfx.dsl.Resolver:
    """Returns the Resolver whose output `model` is the latest blessed model before this run, or empty."""
    return tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy,
        model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
    )


def latest_other_blessed_model(candidate: types.BaseChannel) -> tfx.dsl.Resolver:
    """Returns the Resolver of the baseline: its `model`, `examples`, photo `table` and `embeddings`.

    All are empty in a first run.
    """
    return tfx.dsl.Resolver(
        strategy_class=LatestOtherBlessedModelStrategy,
        candidate=candidate,
        examples=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Examples),
        table=tfx.dsl.Channel(type=PhotoTable),
        embeddings=tfx.dsl.Channel(type=EmbeddingTable),
        model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
    )


@tfx.dsl.components.component
def LatestPushedModel(  # noqa: N802 (TFX names components like classes)
    candidate: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Model],
    model: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Model],
    pushed: tfx.dsl.components.Parameter[str],
) -> None:
    """Copies the latest model in the folder `pushed` that is not the candidate, or writes a placeholder.

    The input `candidate` also makes the cache key differ between models: otherwise every later run would reuse the
    cached "no baseline".
    """
    fingerprint = pushed_versions.fingerprint(path_utils.serving_model_path(candidate.uri))
    versions = pushed_versions.complete(pushed)
    latest = next((version for version in versions if pushed_versions.fingerprint(version) != fingerprint), None)
    if latest:
        io_utils.copy_dir(latest, path_utils.serving_model_dir(model.uri))
        model.set_string_custom_property("pushed_destination", latest)
    else:
        io_utils.write_string_file(f"{model.uri}/{_PLACEHOLDER}", f"{pushed} contains no other model yet\n")
    print("baseline:", latest or f"none, because {pushed} contains no other model yet")


def is_placeholder(model: types.Artifact) -> bool:
    """Returns whether `LatestPushedModel` found no model and wrote its placeholder instead."""
    return tf.io.gfile.exists(f"{model.uri}/{_PLACEHOLDER}")


def class_mismatch(candidate: types.Artifact, baseline: types.Artifact) -> str:
    """Returns why the classes of the baseline prevent a comparison with the candidate; '' if they are the same.

    Also returns '' if the baseline's folder is missing: Evaluator then fails with an error that contains the folder.
    """
    if not tf.io.gfile.isdir(path_utils.serving_model_path(baseline.uri)):
        return ""
    expected, received = _classes(candidate), _classes(baseline)
    if expected is None or received is None:
        return f"the {'candidate' if expected is None else 'baseline'} has no record of its classes"
    if expected == received:
        return ""
    missing, additional = set(expected) - set(received), set(received) - set(expected)
    parts = [f"without {_join(missing)}"] * bool(missing) + [f"with {_join(additional)}"] * bool(additional)
    if not parts:
        return "the baseline has the same classes in another order"
    return f"the baseline has other classes ({', '.join(parts)})"


def _classes(model: types.Artifact) -> list[str] | None:
    """Returns the class names from the model's metadata, or from its files if the metadata is in another store."""
    recipe = model.get_string_custom_property("recipe")
    if recipe:
        return json.loads(recipe)["data"]["classes"]
    return class_names.read(path_utils.serving_model_path(model.uri))


def _join(names: set[str]) -> str:
    return ", ".join(sorted(names)[:_MAX_NAMES]) + " …" * (len(names) > _MAX_NAMES)


def _figure(outputs: Artifacts, properties: dict[str, Any]) -> str:
    models = outputs.get("model")
    return f"model {models[0].id}" if models else "no earlier blessed model"


STAGE = Stage("LatestBlessedModel", ("model", "examples", "table", "embeddings"), _figure)
WARM_START = Stage("WarmStart", ("model",), _figure)  # the model that provides the initial weights
