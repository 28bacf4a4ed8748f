"""Pushes a blessed model into a versioned folder, from which TensorFlow Serving can load it."""

import json
from pathlib import PurePath
from typing import Any

import ml_metadata as mlmd
import tensorflow as tf
from ml_metadata.proto import metadata_store_pb2
from tfx import types
from tfx import v1 as tfx
from tfx.dsl.components.base import base_component, base_driver, executor_spec
from tfx.orchestration import metadata
from tfx.orchestration.portable import base_driver as portable_driver
from tfx.orchestration.portable import data_types
from tfx.proto.orchestration import driver_output_pb2
from tfx.types.component_spec import ChannelParameter
from tfx.types.standard_artifacts import PushedModel
from tfx.types.standard_component_specs import MODEL_BLESSING_KEY, PUSH_DESTINATION_KEY, PusherSpec
from tfx.utils import json_utils

from components.artifacts import Artifacts, EdgeFiles
from components.pushing import DEPLOYMENT, EDGE, Executor
from components.stage import Stage


class Driver(base_driver.BaseDriver, portable_driver.BaseDriver):
    """Adds deleted pushed models to the cache key, so that a deleted model is pushed again.

    Clusters do not run this driver, so a deleted model is not pushed again there while Pusher's execution is cached.
    """

    def __init__(self, connection: metadata.Metadata):
        base_driver.BaseDriver.__init__(self, connection)
        portable_driver.BaseDriver.__init__(self, connection)

    def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """Returns the execution property `deleted_pushes` if the store lists pushed models that no longer exist."""
        (blessing,) = execution_info.input_dict[MODEL_BLESSING_KEY]
        destination = json.loads(execution_info.exec_properties[PUSH_DESTINATION_KEY])
        with self._mlmd_connection as connection:
            pushes = _pushes(connection.store, blessing.id, destination["filesystem"]["base_directory"])
        result = driver_output_pb2.DriverOutput()
        if deleted := [push for push in pushes if not tf.io.gfile.exists(f"{push}/saved_model.pb")]:
            result.exec_properties["deleted_pushes"].string_value = ", ".join(deleted)
        return result


def _pushes(store: mlmd.MetadataStore, blessing: int, base_directory: str) -> list[str]:
    """Returns the folders of the versions that Pusher wrote to `base_directory` for this blessing."""
    event_types = metadata_store_pb2.Event
    events = store.get_events_by_artifact_ids([blessing])
    readers = [event.execution_id for event in events if event.type == event_types.INPUT]
    events = store.get_events_by_execution_ids(readers)
    artifacts = store.get_artifacts_by_id({event.artifact_id for event in events if event.type == event_types.OUTPUT})
    folders = {artifact.custom_properties["pushed_destination"].string_value for artifact in artifacts}
    return sorted(folder for folder in folders if folder and PurePath(folder).parent == PurePath(base_directory))


class Spec(PusherSpec):
    """The node's interface: that of TFX's Pusher, with the files of the node Edge, if there is one."""

    INPUTS = {**PusherSpec.INPUTS, EDGE: ChannelParameter(type=EdgeFiles, optional=True)}


class Pusher(base_component.BaseComponent):
    """TFX's Pusher with this module's Driver and interface, and the executor of `components.pushing`."""

    SPEC_CLASS = Spec
    DRIVER_CLASS = Driver
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)


def pusher(
    model: types.BaseChannel,
    model_blessing: types.BaseChannel,
    infra_blessing: types.BaseChannel,
    base_directory: str,
    edge: types.BaseChannel | None = None,
    deployment: dict[str, Any] | None = None,
) -> Pusher:
    """Returns the Pusher. The version of a pushed model is the time in microseconds since 1970.

    Args:
      model: the candidate.
      model_blessing: the Evaluator's verdict.
      infra_blessing: the verdict of ServingCheck. Without both blessings, nothing is pushed.
      base_directory: the folder of the versions.
      edge: the files of the node Edge; the accepted ones are pushed with the model.
      deployment: the endpoint of Vertex AI to which the version is deployed; see `components.endpoint.deploy`.
    """
    filesystem = tfx.proto.PushDestination.Filesystem(base_directory=base_directory)
    return Pusher(
        Spec(
            model=model,
            model_blessing=model_blessing,
            infra_blessing=infra_blessing,
            push_destination=tfx.proto.PushDestination(filesystem=filesystem),
            custom_config=json_utils.dumps({DEPLOYMENT: deployment} if deployment else None),
            pushed_model=types.Channel(type=PushedModel),
            **({EDGE: edge} if edge else {}),
        )
    )


def pushed_to(outputs: Artifacts) -> str:
    """Returns the folder of the pushed model; '' if the model was not pushed."""
    models = outputs["pushed_model"]
    return models[0].get_string_custom_property("pushed_destination") if models else ""


def _figure(outputs: Artifacts, properties: dict[str, Any]) -> str:
    return pushed_to(outputs) or "not pushed"


STAGE = Stage("Pusher", ("pushed_model",), _figure)
