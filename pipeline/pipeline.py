"""Creates the TFX pipeline from `pipeline.nodes`, with the digests of the code in the cache keys."""

import hashlib
import json
import shlex
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from tfx import v1 as tfx
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.base_node import BaseNode

from components.report import component as report
from components.stage import Stage
from errors import UserError
from lineage import source_code
from pipeline import beam, settings
from pipeline.config import Config
from pipeline.nodes import NODES, Environment, Wiring
from trainer import models
from trainer.features import CODE


def local_environment(config: Config) -> Environment:
    """Returns the environment of this machine."""
    return Environment(
        root=str(root(config)),
        checkpoints=str(root(config) / "checkpoints"),
        rerun=f"python local_runner.py --config {shlex.quote(str(settings_file(config)))}",
    )


def settings_file(config: Config) -> Path:
    """Returns the file to which `pipeline.local.run` writes the settings; other settings have another file."""
    digest = hashlib.sha256(settings.to_yaml(config).encode()).hexdigest()
    return config.output / "logs" / f"{config.name}-{digest[:12]}.yaml"


def create_pipeline(
    config: Config,
    environment: Environment,
    metadata: tfx.orchestration.metadata.ConnectionConfigType | None = None,
    only: Collection[str] = (),
) -> tfx.dsl.Pipeline:
    """Returns the TFX pipeline.

    Args:
      config: validated settings with absolute paths (see `pipeline.local.local_settings`).
      environment: where the pipeline runs.
      metadata: the ML Metadata store; None on a cluster, which has its own.
      only: the names of the nodes, which are cached for the whole pipeline too; without names, all nodes.

    Raises:
      UserError: when the model's builder cannot be imported, or an entry of NODES is wrong.
    """
    models.builder(config.model.name)
    wiring = Wiring(config, environment, {})
    for stage, make in NODES:
        if (not only or stage.name in only) and (node := make(wiring)):
            _check_record(node, stage, wiring.nodes)
            wiring.nodes[stage.name] = node.with_id(stage.name)
    nodes = list(wiring.nodes.values())
    _add_code_digests(nodes)
    if report.STAGE.name in wiring.nodes:
        wiring.nodes[report.STAGE.name].exec_properties["code"] = source_code.digest(code_of(nodes))
    return tfx.dsl.Pipeline(
        pipeline_name=config.name,
        pipeline_root=environment.root,
        components=nodes,
        metadata_connection_config=metadata,
        enable_cache=True,
        beam_pipeline_args=beam.arguments(config.beam),
    )


def _check_record(node: BaseNode, stage: Stage, nodes: Mapping[str, BaseNode]) -> None:
    """Checks a node's record (docs/extending.md).

    Raises:
      UserError: when an earlier node has the same name, or the node has none of the record's outputs.
    """
    if stage.name in nodes:
        raise UserError(f"pipeline/nodes.py: expected a different name for each node, received {stage.name} twice")
    if not set(stage.outputs) & set(node.outputs):
        outputs = f"expected outputs of {', '.join(node.outputs)}; received {', '.join(stage.outputs)}"
        raise UserError(f"the record of {stage.name} in components/: {outputs}")


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
