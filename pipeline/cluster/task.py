"""Entry point of a Kubeflow task: runs TFX's executor between the launcher's downloads and uploads.

The executor reads and writes the launcher's local folders (`pipeline.cluster.local_paths`). The backend leaves the
types of input artifacts empty (GetOutputArtifactsByExecutionId in backend/src/v2/metadata/client.go, up to 2.15), so
TFX fails ("fails to retrieve classpath", tensorflow/tfx#7768). The types are taken from another argument, the
component's inputs.
"""

import argparse
import json
from pathlib import Path

from absl import app
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor as tfx_task

import storage.files  # noqa: F401 (registers S3 and MinIO, which TFX's nodes then read and write)
from pipeline.cluster import local_paths


def parse(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Returns TFX's arguments, with artifact types filled in and local paths for URIs, and Beam's arguments."""
    args, beam_args = tfx_task._parse_flags(argv)
    invocation = json.loads(args.json_serialized_invocation_args)
    specs = json.loads(args.json_serialized_inputs_spec_args)
    for name, artifacts in invocation.get("inputs", {}).get("artifacts", {}).items():
        for artifact in artifacts["artifacts"]:
            if not any(artifact.get("type", {}).values()):
                artifact["type"] = specs["artifacts"][name]["artifactType"]
    local_paths.localize(invocation)
    args.json_serialized_invocation_args = json.dumps(invocation)
    return args, beam_args


def main(parsed: tuple[argparse.Namespace, list[str]]) -> None:
    """Runs TFX's executor, then replaces local paths in the executor's output by URIs."""
    tfx_task.main(parsed)
    output = Path(json.loads(parsed[0].json_serialized_invocation_args)["outputs"]["outputFile"])
    output.write_text(json.dumps(local_paths.with_bucket_uris(json.loads(output.read_text()))))


if __name__ == "__main__":
    app.run(main, flags_parser=parse)
