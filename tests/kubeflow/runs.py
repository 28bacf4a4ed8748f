"""The pipelines that are compiled for the proof, and the summary of what was proven."""

import hashlib
import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import kubeflow_runner
from pipeline.cluster import compiled
from pipeline.cluster.machines import MACHINES
from pipeline.config import Cluster
from tests.conftest import ROOT
from tests.kubeflow import pods, sources

SUMMARY = ROOT / "tests" / "golden" / "kubeflow-proof.txt"
FLAGS = ["--target", "kubeflow", "--image", "r.io/photos/pipeline:1", "--pipeline-root", "gs://a-bucket/root"]
FLAGS += ["--data", "gs://a-bucket/photos"]


class Run(NamedTuple):
    """A pipeline: its flags, and the settings that decide about its pods."""

    flags: list[str]
    cluster: Cluster


def _run(trainer: str, *flags: str, **settings: Any) -> Run:
    words = [*flags, *(f"--set=cluster.{name}={value}" for name, value in {"trainer": trainer, **settings}.items())]
    return Run(words, Cluster(image="r.io/photos/pipeline:1", trainer=trainer, **settings))


_S3 = {"s3_endpoint": "http://minio.kubeflow:9000", "s3_secret": "a-secret"}
RUNS = {
    "flowers-xception on tpu-v5e-4": _run("tpu-v5e-4", "--preset=flowers-xception", cpu=2, memory_gb=9, retries=5),
    "sample with MinIO": _run("l4", "--pipeline-root=minio://a-bucket/root", **_S3),
    "sample on spot capacity": _run("tpu-v5e-1", spot=True),
    **{f"sample on {name}": _run(name) for name, machine in MACHINES.items() if machine.selector is not None},
}


def compile_run(name: str, folder: Path) -> Path:
    """Compiles a pipeline of RUNS and returns its file."""
    file = folder / f"{name.replace(' ', '-')}.yaml"
    with redirect_stdout(io.StringIO()):
        assert kubeflow_runner.main(["compile", *FLAGS, *RUNS[name].flags, "-o", str(file)]) == 0
    return file


def expected(name: str, file: Path) -> dict[str, pods.Pod]:
    """Returns each task's pod according to the settings and the table of machines."""
    return pods.expected(compiled.read(file), RUNS[name].cluster)


def summary(files: dict[str, Path]) -> str:
    """Returns what is proven: the versions, each run's pods, and a digest of the structure of each file."""
    lines = [f"Kubeflow Pipelines {version}, {commit}" for version, commit in sources.VERSIONS.items()]
    for name, file in files.items():
        lines.append(f"{name}: structure {_structure(compiled.read(file))}")
        tasks: dict[str, list[str]] = {}
        for task, pod in expected(name, file).items():
            tasks.setdefault(json.dumps(pod, sort_keys=True), []).append(task)
        lines += [f"  {', '.join(names)}: {pod}" for pod, names in tasks.items()]
    return "\n".join(lines) + "\n"


def _structure(job: compiled.Job) -> str:
    """Returns a digest of the file's keys and types. Values depend on the code's digest and the versions."""
    return hashlib.sha256(json.dumps(_types(job), sort_keys=True).encode()).hexdigest()[:16]


def _types(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _types(item) for key, item in value.items()}
    return [_types(item) for item in value] if isinstance(value, list) else type(value).__name__
