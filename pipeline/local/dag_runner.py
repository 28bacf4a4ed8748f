"""Runs the nodes on this machine in order, and calls a listener before and after each node.

The loop is a copy of LocalDagRunner's, because that class does not report progress, cached nodes or the failed node.
"""

import datetime
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.compiler import constants
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import inputs_utils, launcher, runtime_parameter_utils, tfx_runner
from tfx.orchestration.portable.input_resolution.exceptions import InputResolutionError
from tfx.orchestration.portable.mlmd import execution_lib
from tfx.proto.orchestration import local_deployment_config_pb2, pipeline_pb2

from components.artifacts import Artifacts
from lineage.metadata import BETWEEN_NODES, record_end, record_start
from pipeline.local.failure import Interrupted, Interruption, cause


class NodeResult(NamedTuple):
    """Result of a node that did not fail."""

    node: str
    cached: bool
    seconds: float
    outputs: Artifacts


class NodeFailed(Exception):
    """A node failed; the exception's cause is the node's error."""

    def __init__(self, node: str):
        self.node = node
        super().__init__(f"{node} failed")


class Listener(Protocol):
    """Receives the start and the result of each node."""

    def started(self, node: str) -> None:
        """Called before a node runs."""

    def finished(self, result: NodeResult) -> None:
        """Called after a node has run or was cached."""


class ReportingDagRunner(tfx_runner.IrBasedRunner):
    """A LocalDagRunner that calls a listener, and records `facts` of each run; see `metadata.record_start`."""

    def __init__(self, listener: Listener, facts: dict[str, str]):
        self._listener, self._facts = listener, facts

    def run_with_ir(self, pipeline: pipeline_pb2.Pipeline, run_options: pipeline_pb2.RunOptions | None = None) -> None:
        """Runs all nodes of the compiled pipeline.

        Raises:
          NodeFailed: for the first node that fails; later nodes do not run.
        """
        run_id = datetime.datetime.now().isoformat()
        runtime_parameter_utils.substitute_runtime_parameter(
            pipeline, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id}
        )
        deployment = runner_utils.extract_local_deployment_config(pipeline)
        connection = deployment.metadata_connection_config
        config = getattr(connection, connection.WhichOneof("connection_config"))
        with _recorded(mlmd.MetadataStore(config), run_id, self._facts):
            for node in pipeline.nodes:
                _stop_if_interrupted()
                self._run_node(pipeline, node.pipeline_node, deployment, config)

    def _run_node(
        self,
        pipeline: pipeline_pb2.Pipeline,
        node: pipeline_pb2.PipelineNode,
        deployment: local_deployment_config_pb2.LocalDeploymentConfig,
        connection: metadata_store_pb2.ConnectionConfig,
    ) -> None:
        name = node.node_info.id
        self._listener.started(name)
        started = time.monotonic()
        node_launcher = launcher.Launcher(
            pipeline_node=node,
            mlmd_connection=metadata.Metadata(connection),
            pipeline_info=pipeline.pipeline_info,
            pipeline_runtime_spec=pipeline.runtime_spec,
            executor_spec=runner_utils.extract_executor_spec(deployment, name),
            custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, name),
        )
        try:
            info = node_launcher.launch()
        except Exception as error:
            raise NodeFailed(name) from (Interrupted() if Interruption.requested else error)
        with metadata.Metadata(connection) as store:
            (execution,) = store.store.get_executions_by_id([info.execution_id])
            outputs = execution_lib.get_output_artifacts(store, info.execution_id)
        state = metadata_store_pb2.Execution.State
        if execution.last_known_state not in (state.COMPLETE, state.CACHED):
            raise NodeFailed(name) from (Interrupted() if Interruption.requested else _why_missing(node, connection))
        cached = execution.last_known_state == state.CACHED
        self._listener.finished(NodeResult(name, cached, time.monotonic() - started, outputs))


def _why_missing(node: pipeline_pb2.PipelineNode, connection: metadata_store_pb2.ConnectionConfig) -> BaseException:
    """Returns why a node's inputs cannot be resolved. The launcher only logs the error, so they are resolved again."""
    missing: BaseException = RuntimeError("the node's inputs are missing; see the log")
    try:
        with metadata.Metadata(connection) as store:
            inputs_utils.resolve_input_artifacts(pipeline_node=node, metadata_handle=store)
    except InputResolutionError as error:
        return error.__cause__ or missing
    return missing


def _stop_if_interrupted() -> None:
    """Raises Interrupted before the next node, in case TFX or Beam swallowed the exception."""
    if Interruption.requested:
        raise Interrupted


@contextmanager
def _recorded(store: mlmd.MetadataStore, run: str, facts: dict[str, str]) -> Iterator[None]:
    record_start(store, run, facts)
    try:
        yield
    except NodeFailed as failure:
        if isinstance(failure.__cause__, Interrupted):
            record_end(store, run, interrupted=failure.node)
        else:
            record_end(store, run, failure.node, cause(failure.__cause__ or failure, lines=5))
        raise
    except Interrupted:
        record_end(store, run, interrupted=BETWEEN_NODES)
        raise
    record_end(store, run)
