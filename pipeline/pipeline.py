"""Creates the TFX pipeline from `pipeline.nodes`, with the digests of the code in the cache keys."""

import json
from collections.abc import Iterable
from pathlib import Path

from tfx import v1 as tfx
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.base_node import BaseNode

from components.report import component as report
from lineage import source_code
from pipeline import beam
from pipeline.config import Config
from pipeline.nodes import NODES, Environment, Wiring
from trainer.features import CODE


def local_environment(config: Config) -> Environment:
    """Returns the environment of this machine."""
    return Environment(root=str(root(config)), checkpoints=str(root(config) / "checkpoints"))


def create_pipeline(
    config: Config, environment: Environment, metadata: tfx.orchestration.metadata.ConnectionConfigType | None = None
) -> tfx.dsl.Pipeline:
    """Returns the TFX pipeline.

    Args:
      config: validated settings with absolute paths (see `pipeline.local.local_settings`).
      environment: where the pipeline runs.
      metadata: the ML Metadata store; None on a cluster, which has its own.
    """
    wiring = Wiring(config, environment, {})
    for stage, make in NODES:
        if node := make(wiring):
            wiring.nodes[stage.name] = node.with_id(stage.name)
    nodes = list(wiring.nodes.values())
    _add_code_digests(nodes)
    wiring.nodes[report.STAGE.name].exec_properties["code"] = source_code.digest(code_of(nodes))
    return tfx.dsl.Pipeline(
        pipeline_name=config.name,
        pipeline_root=environment.root,
        components=nodes,
        metadata_connection_config=metadata,
        enable_cache=True,
        beam_pipeline_args=beam.arguments(config.beam),
    )


def root(config: Config) -> Path:
    """Returns the pipeline root: the artifacts of all runs of this name."""
    return config.output / "artifacts" / config.name


def _add_code_digests(nodes: Iterable[BaseNode]) -> None:
    """Adds the digests of the files that a node's executor runs to the node's cache key."""
    for node in nodes:
        if isinstance(node, BaseComponent) and (files := source_code.files_of_node(node)):
            node.exec_properties[CODE] = json.dumps(files)


def code_of(nodes: Iterable[BaseNode]) -> dict[str, str]:
    """Returns the digest of each file that the nodes run; see `source_code.files_of`."""
    maps = [json.loads(node.exec_properties[CODE]) for node in nodes if CODE in node.exec_properties]
    return dict(sorted(item for files in maps for item in files.items()))
