"""Entry point of a Kubeflow task: runs TFX's executor between the launcher's downloads and uploads.

The executor reads and writes the launcher's local folders (`pipeline.cluster.local_paths`). The backend leaves the
types of input artifacts empty (GetOutputArtifactsByExecutionId in backend/src/v2/metadata/client.go, up to 2.15), so
TFX fails ("fails to retrieve classpath", tensorflow/tfx#7768). Instead, each input gets the type that its component
declares.
"""

import argparse
import json
import logging
import os
import sys
from pathlib import Path

from pipeline.imports import uncollected

with uncollected():
    from absl import app
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor as tfx_task

    import storage.files  # noqa: F401 (registers S3 and MinIO, which TFX's nodes then read and write)
    from pipeline.cluster import local_paths
    from storage.local_paths import ROOT, with_uris


def parse(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Returns TFX's arguments, with artifact types filled in and local paths for URIs, and Beam's arguments."""
    args, beam_args = tfx_task._parse_flags(argv)
    invocation = json.loads(args.json_serialized_invocation_args)
    specs = json.loads(args.json_serialized_inputs_spec_args)
    for name, artifacts in invocation.get("inputs", {}).get("artifacts", {}).items():
        for artifact in artifacts["artifacts"]:
            artifact["type"] = specs["artifacts"][name]["artifactType"]
    os.environ.setdefault(ROOT, "/")
    local_paths.localize(invocation)
    args.json_serialized_invocation_args = json.dumps(invocation)
    return args, beam_args


def main(parsed: tuple[argparse.Namespace, list[str]]) -> None:
    """Runs TFX's executor, then replaces local paths in the executor's output by URIs."""
    tfx_task.main(parsed)
    output = Path(json.loads(parsed[0].json_serialized_invocation_args)["outputs"]["outputFile"])
    output.write_text(json.dumps(with_uris(json.loads(output.read_text()))))


def _main_and_exit(parsed: tuple[argparse.Namespace, list[str]]) -> None:
    """Ends the process without the destructors of C++ libraries.

    They may abort a task that has succeeded: "pure virtual method called" (sky-uk/kfp-operator#1286).
    """
    main(parsed)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    app.run(_main_and_exit, flags_parser=parse)
