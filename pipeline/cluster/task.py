"""Entry point of a Kubeflow task: runs TFX's executor and works around two faults of the backend.

The backend leaves the types of input artifacts empty (GetOutputArtifactsByExecutionId in
backend/src/v2/metadata/client.go, up to 2.15), so TFX fails ("fails to retrieve classpath", tensorflow/tfx#7768). The
types are taken from another argument, the component's inputs. Also, the backend cannot download TensorFlow's directory
markers (pipeline/cluster/directory_markers.py).
"""

import argparse
import json

from absl import app
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor as tfx_task

from pipeline.cluster import directory_markers


def parse(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Returns TFX's arguments, with artifact types filled in, and Beam's arguments."""
    args, beam_args = tfx_task._parse_flags(argv)
    invocation = json.loads(args.json_serialized_invocation_args)
    specs = json.loads(args.json_serialized_inputs_spec_args)
    for name, artifacts in invocation.get("inputs", {}).get("artifacts", {}).items():
        for artifact in artifacts["artifacts"]:
            if not any(artifact.get("type", {}).values()):
                artifact["type"] = specs["artifacts"][name]["artifactType"]
    args.json_serialized_invocation_args = json.dumps(invocation)
    return args, beam_args


def main(parsed: tuple[argparse.Namespace, list[str]]) -> None:
    """Runs TFX's executor, then removes the directory markers under the task's outputs."""
    tfx_task.main(parsed)
    outputs = json.loads(parsed[0].json_serialized_invocation_args)["outputs"].get("artifacts", {})
    directory_markers.remove(artifact["uri"] for each in outputs.values() for artifact in each["artifacts"])


if __name__ == "__main__":
    app.run(main, flags_parser=parse)
