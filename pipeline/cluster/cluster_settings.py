"""Resolves and validates the settings of a pipeline that runs on a cluster. Sends nothing."""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from errors import UserError, collect_errors, quoted
from ingest import download, label_edits
from ingest.prepare import ensure, prepare_weights
from ingest.records import WILDCARDS
from ingest.sources import SOURCES
from pipeline import beam
from pipeline.cluster import container_images, deployment, s3_access
from pipeline.cluster.addresses import is_address, is_loopback
from pipeline.cluster.machines import MACHINES, REFUSED, REGIONS
from pipeline.config import Cluster, Config, Metadata
from pipeline.schema_file import SCHEMAS, check_schema
from storage import uris
from trainer.families import FAMILIES, Weights
from trainer.settings import ArchitectureType

TARGETS = ("vertex", "kubeflow")
SCHEMES = {"vertex": ("gs",), "kubeflow": ("gs", "s3", "minio")}  # of buckets
_SECRET = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")  # of Kubernetes
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # of Kubernetes
_PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")


def resolve(config: Config, target: str, root: Path, allow_dirty: bool, submitted: bool) -> Config:
    """Returns the settings with bucket URIs for data, weights and outputs, and with the image's tag.

    Args:
      config: the settings.
      target: one of TARGETS.
      root: the working copy, whose commit is the image's tag.
      allow_dirty: accepts uncommitted changes in the working copy.
      submitted: whether a cluster reads the data; if not (`run-local`), data may be a folder on this machine.

    Raises:
      UserError: naming all settings that a cluster cannot use.
    """
    problems: list[str] = []
    config = _without_slashes(config)
    with collect_errors(problems):
        config = _with_uris(config, submitted)
    problems += [*_cluster(config, target), *_machine(config, target), *_data(config, target, submitted)]
    with collect_errors(problems):
        image = _image(config.cluster, root, allow_dirty)
    with collect_errors(problems):
        beam.check(config.beam, local=False)
    with collect_errors(problems):
        schema = _schema(config, target)
    if problems:
        raise UserError("\n".join(problems))
    pushed = config.pusher.directory or f"{config.cluster.pipeline_root}/pushed/{config.name}"
    return config.model_copy(
        update={
            "data": config.data.model_copy(update={"schema_file": schema}),
            "pusher": config.pusher.model_copy(update={"directory": pushed}),
            "cluster": config.cluster.model_copy(update={"image": image}),
        }
    )


def check_compiled(config: Config, target: str) -> None:
    """Checks the settings that the submission of a compiled pipeline needs, and those that may change between runs.

    Raises:
      UserError: naming all settings that a cluster cannot use.
    """
    if problems := [*_cluster(config, target), *_data(config, target, submitted=True)]:
        raise UserError("\n".join(problems))


def needs_local_files(config: Config) -> bool:
    """Returns whether data or weights are files on this machine, which no cluster can read."""
    return any(
        "://" not in str(path)
        for path in (
            config.data.directory,
            config.data.edits,
            config.serving_skew.kept,
            config.bulk.data,
            *(each.weights for each in (config.model, *config.embeddings.trunks)),
        )
        if path not in (None, "imagenet")
    )


def _without_slashes(setting: Any) -> Any:
    """Returns a setting or a section whose URIs have no slash at the end, so that paths below have no empty part."""
    if isinstance(setting, str):
        return uris.without_slash(setting)
    if isinstance(setting, tuple):
        return tuple(map(_without_slashes, setting))
    if isinstance(setting, BaseModel):
        return setting.model_copy(update={name: _without_slashes(value) for name, value in setting})
    return setting


def _with_uris(config: Config, submitted: bool) -> Config:
    """Returns the settings with the bucket URIs of the public flowers and weights.

    If nothing is submitted, data, edits and weights may be local: edits and weights are validated, and the sample is
    drawn.

    Raises:
      UserError: when local edits or weights cannot be used.
    """
    data, embeddings = config.data, config.embeddings
    if data.directory is None and data.source:
        uri = SOURCES[data.source].buckets.get(data.image_size)
        directory = uri or (None if submitted else ensure(data.source, data.image_size))
        data = data.model_copy(update={"directory": directory})
    if isinstance(data.edits, Path) and not submitted:
        data = data.model_copy(update={"edits": label_edits.checked(data.edits, data.classes)})
    trunks = tuple(
        _weights_uri(trunk, submitted, f"embeddings.trunks.{number}.weights")
        for number, trunk in enumerate(embeddings.trunks)
    )
    return config.model_copy(
        update={
            "data": data,
            "model": _weights_uri(config.model, submitted, "model.weights"),
            "embeddings": embeddings.model_copy(update={"trunks": trunks}),
        }
    )


def _weights_uri(model: ArchitectureType, submitted: bool, setting: str) -> ArchitectureType:
    published = FAMILIES[model.name].imagenet if model.weights == "imagenet" else None
    if isinstance(published, Weights):
        return model.model_copy(update={"weights": download.bucket_uri(published.url)})
    if published is None and not submitted and "://" not in (model.weights or "://"):
        file = prepare_weights(model.weights, model.weights_sha256, None, setting)
        return model.model_copy(update={"weights": str(file)})
    return model


def _image(cluster: Cluster, root: Path, allow_dirty: bool) -> str:
    if cluster.image is None:
        raise UserError("cluster.image: expected REGISTRY/NAME of the project's image, received nothing; give --image")
    machine = MACHINES.get(cluster.trainer, MACHINES["cpu-8"])
    container_images.image_of(cluster.image, machine.kind, root, allow_dirty)  # also checks the Trainer's image
    return container_images.image_of(cluster.image, "cpu", root, allow_dirty)


def _cluster(config: Config, target: str) -> Iterator[str]:
    cluster = config.cluster
    if config.metadata != Metadata():
        yield "metadata: expected no section metadata, because a cluster has its own ML Metadata; remove the section"
    yield from _bucket("cluster.pipeline_root (--pipeline-root)", cluster.pipeline_root, target)
    if config.pusher.directory:
        yield from _bucket("pusher.directory", config.pusher.directory, target)
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,127}", config.name):
        suggested = config.name.replace("_", "-")
        yield (
            f"name: expected lower-case letters, digits and dashes; received {config.name!r}. Give another name "
            f"(--set name={suggested})"
        )
    if config.serving_check.server == "docker":
        yield (
            "serving_check.server: expected process on a cluster, whose tasks cannot start containers with Docker; "
            "received docker"
        )
    if target == "vertex":
        if not _PROJECT.fullmatch(cluster.project or ""):
            received = quoted(cluster.project)
            yield f"cluster.project (--project): expected a project id like my-project-1; received {received}"
        if cluster.region not in REGIONS:
            similar = difflib.get_close_matches(str(cluster.region), REGIONS) or ["us-central1", "europe-west4"]
            yield (
                f"cluster.region (--region): expected a region of Vertex AI, for example {', '.join(similar)}; "
                f"received {quoted(cluster.region)}"
            )
        problems: list[str] = []
        with collect_errors(problems):
            deployment.check(cluster.deployment)
        yield from problems
        return
    if cluster.endpoint is not None and not is_address(cluster.endpoint):
        yield "cluster.endpoint (--endpoint): expected http://HOST:PORT or https://HOST/PATH, without a password"
    if cluster.namespace is not None and not _NAMESPACE.fullmatch(cluster.namespace):
        yield (
            "cluster.namespace (--namespace): expected the name of a Kubernetes namespace: at most 63 lower-case "
            f"letters, digits and dashes; received {quoted(cluster.namespace)}. List the names: kubectl get namespaces"
        )
    yield from _s3(config)
    if config.beam.runner == "DataflowRunner":
        yield (
            "beam.runner: expected DirectRunner on Kubeflow Pipelines, because its tasks write folders that Dataflow's "
            "workers do not see; received DataflowRunner. Use DirectRunner, or --target vertex"
        )
    if config.trainer.warm_start:
        yield (
            "trainer.warm_start: expected false, because Kubeflow Pipelines has no resolver that finds the latest "
            "model; give a weights file (--weights)"
        )


def _s3(config: Config) -> Iterator[str]:
    endpoint = config.cluster.s3_endpoint
    if endpoint is not None and not is_address(endpoint):
        yield "cluster.s3_endpoint: expected http://HOST:PORT or https://HOST, without a password"
    elif endpoint is not None and is_loopback(endpoint):
        yield (
            f"cluster.s3_endpoint: expected the S3 server's address inside the cluster, received {endpoint}, which is "
            "the pod itself there. List the servers: kubectl get services -A"
        )
    elif endpoint is None and s3_access.uses(config, "minio"):
        yield (
            "cluster.s3_endpoint: expected the S3 server of the minio:// URIs, for example "
            "http://minio-service.kubeflow:9000; received nothing"
        )
    secret = config.cluster.s3_secret
    if secret is not None and not _SECRET.fullmatch(secret):
        yield (
            "cluster.s3_secret: expected the name of a Kubernetes secret: lower-case letters, digits, dashes and dots, "
            f"without a namespace; received {quoted(secret)}"
        )


def _machine(config: Config, target: str) -> Iterator[str]:
    name, region = config.cluster.trainer, config.cluster.region
    if name in REFUSED:
        yield f"cluster.trainer: {name} cannot be used: {REFUSED[name]}"
        return
    if name not in MACHINES:
        yield f"cluster.trainer: expected one of {', '.join(MACHINES)}; received {quoted(name)}"
        return
    machine = MACHINES[name]
    if target == "kubeflow" and machine.selector is None:
        yield f"cluster.trainer: GKE has no nodes with {name}; choose tpu-v3-8 or a tpu-v5e machine"
    if target == "vertex" and region in REGIONS and region not in machine.regions:
        regions = ", ".join(sorted(machine.regions))
        yield f"cluster.trainer: {name} is not available in {region}; expected cluster.region to be one of {regions}"
    if config.trainer.xla and machine.kind == "gpu" and machine.accelerators > 1:
        yield f"trainer.xla: expected false for the several GPUs of {name}, received true. Set it to false"
    if config.cluster.workers > 1:
        yield from _workers(config, target)
    if config.trainer.precision == "mixed_float16" and machine.kind == "tpu":
        yield (
            "trainer.precision: expected auto, float32 or mixed_bfloat16, because TPUs do not support float16; "
            "received mixed_float16"
        )


def _workers(config: Config, target: str) -> Iterator[str]:
    """Yields the reasons why several machines cannot train together."""
    reasons = {
        "Kubeflow Pipelines, where the Trainer is one pod": target == "kubeflow",
        "a TPU, whose chips one machine drives": MACHINES[config.cluster.trainer].kind == "tpu",
        "a model that reads embeddings, whose last layer one machine fits": config.model.reads_embeddings,
        "trainer.xla, which compiles a step for one replica": config.trainer.xla,
    }
    for reason in (text for text, applies in reasons.items() if applies):
        yield f"cluster.workers: expected 1 for {reason}; received {config.cluster.workers}"


def _data(config: Config, target: str, submitted: bool) -> Iterator[str]:
    directory, weights = config.data.directory, config.model.weights
    if submitted or isinstance(directory, str):
        yield from _bucket("data.directory (--data)", directory, target)
    folders = {
        "data.edits": config.data.edits,
        "serving_skew.kept": config.serving_skew.kept,
        "bulk.data": config.bulk.data,
    }
    for key, path in folders.items():
        if path and (submitted or isinstance(path, str)):
            yield from _bucket(key, path, target)
    if weights and weights != "imagenet" and (submitted or "://" in weights):
        yield from _bucket("model.weights (--weights)", weights, target)
    for number, trunk in enumerate(config.embeddings.trunks):
        if trunk.weights != "imagenet" and (submitted or "://" in trunk.weights):
            yield from _bucket(f"embeddings.trunks.{number}.weights", trunk.weights, target)
    if config.trainer.frozen_epochs and not (weights or config.trainer.warm_start):
        yield "trainer.frozen_epochs freezes pretrained layers, but there are none; give weights (--weights gs://…)"


def _bucket(key: str, uri: str | Path | None, target: str) -> Iterator[str]:
    """Yields an error if this is not the URI of a bucket that the target's tasks can read and write."""
    parsed, schemes = uris.parse(str(uri or "")), SCHEMES[target]
    if parsed is None or parsed.scheme not in schemes:
        expected = " or ".join(f"{scheme}://BUCKET/FOLDER" for scheme in schemes)
        received = "nothing" if uri is None else uris.shown(str(uri))
        yield f"{key}: expected {expected}, which the cluster can read; received {received}{uris.rule(str(uri))}"
    elif set(WILDCARDS) & set(str(uri)):
        yield f"{key}: expected no {' '.join(WILDCARDS)}, which Beam and TensorFlow read as a pattern; received {uri}"


def _schema(config: Config, target: str) -> str | Path:
    """Returns the schema's URI, or its local file, whose content becomes part of the compiled pipeline."""
    schema = config.data.schema_file
    if isinstance(schema, str):
        if problems := list(_bucket("data.schema_file", schema, target)):
            raise UserError(problems[0])
        return schema
    path = check_schema(schema, config.data.classes)
    return Path(path.name) if path.parent == SCHEMAS else path  # the same name on every machine
