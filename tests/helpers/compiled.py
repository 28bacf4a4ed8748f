"""Compiles a small TFX pipeline for a cluster."""

from typing import Any

from tfx import v1 as tfx
from tfx.orchestration.data_types import RuntimeParameter


def job(schema_2_1: bool, resolver: bool = False) -> dict[str, Any]:
    """Returns the PipelineJob of a pipeline with ExampleGen, one runtime parameter and StatisticsGen."""
    source = RuntimeParameter(name="data", ptype=str, default="gs://a-bucket/data")
    examples = tfx.components.CsvExampleGen(input_base=source)
    statistics = tfx.components.StatisticsGen(examples=examples.outputs["examples"])
    latest = tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestArtifactStrategy,
        model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
    ).with_id("latest_model")
    pipeline = tfx.dsl.Pipeline(
        pipeline_name="tiny",
        pipeline_root="gs://a-bucket/root",
        components=[examples, statistics, *([latest] if resolver else [])],
    )
    config = tfx.orchestration.experimental.KubeflowV2DagRunnerConfig(
        default_image="us-docker.pkg.dev/a-project/images/trainer:1", use_pipeline_spec_2_1=schema_2_1
    )
    return tfx.orchestration.experimental.KubeflowV2DagRunner(config=config).run(pipeline, write_out=False)
