"""From settings to a pipeline that a cluster can run: everything is checked here, and nothing is sent."""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from errors import UserError, collect_errors, quoted
from ingest import public, sample
from ingest.prepare import cache_folder, prepare_weights
from ingest.records import WILDCARDS
from pipeline import beam
from pipeline.cluster import images
from pipeline.cluster.machines import MACHINES, REGIONS
from pipeline.config import Cluster, Config, Metadata
from pipeline.schema_file import SCHEMAS, check_schema

TARGETS = ("vertex", "kubeflow")
_ENDPOINT = re.compile(r"https?://[A-Za-z0-9.-]+(:\d+)?(/[^?#@]*)?")
_PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")


def prepare(config: Config, target: str, root: Path, allow_dirty: bool, submitted: bool) -> Config:
    """Returns the settings with every place of a bucket and the image with its tag.

    Args:
      config: the settings.
      target: one of TARGETS.
      root: the working copy whose commit is the image's tag.
      allow_dirty: whether it may have changes that are in no commit.
      submitted: whether a cluster is to read the data; else they may be a folder of this machine (`run-local`).

    Raises:
      UserError: naming all that a cluster cannot use.
    """
    problems: list[str] = []
    with collect_errors(problems):
        config = _with_places(config, submitted)
    problems += [*_cluster(config, target), *_machine(config, target), *_data(config, submitted)]
    with collect_errors(problems):
        image = _image(config.cluster, root, allow_dirty)
    with collect_errors(problems):
        beam.check(config.beam, here=False)
    with collect_errors(problems):
        schema = _schema(config)
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
    """Checks what of a compiled pipeline may differ from run to run, or is more than `run-local` asks for.

    Raises:
      UserError: naming all that a cluster cannot use.
    """
    if problems := [*_cluster(config, target), *_data(config, submitted=True)]:
        raise UserError("\n".join(problems))


def only_here(config: Config) -> bool:
    """Returns whether data or weights are files of this machine, so that no cluster can run the pipeline."""
    return any("://" not in str(place) for place in (config.data.directory, config.model.weights) if place)


def _with_places(config: Config, submitted: bool) -> Config:
    """Returns the settings with the public flowers and weights in their buckets.

    Where nothing is submitted, data and weights may be this machine's: they are looked for, and the sample is drawn.

    Raises:
      UserError: when weights of this machine cannot be used.
    """
    data, model = config.data, config.model
    if data.directory is None and data.source == "flowers":
        data = data.model_copy(update={"directory": public.flowers_uri(data.image_size)})
    if data.directory is None and data.source == "sample" and not submitted:
        data = data.model_copy(update={"directory": sample.ensure(cache_folder())})
    if model.weights == "imagenet":
        model = model.model_copy(update={"weights": public.XCEPTION_WEIGHTS_URI})
    elif not submitted and "://" not in (model.weights or "://"):
        here = prepare_weights(model.weights, model.weights_sha256)
        model = model.model_copy(update={"weights": str(here)})
    return config.model_copy(update={"data": data, "model": model})


def _image(cluster: Cluster, root: Path, allow_dirty: bool) -> str:
    if cluster.image is None:
        raise UserError("cluster.image: expected REGISTRY/NAME of the project's image (--image)")
    machine = MACHINES.get(cluster.trainer, MACHINES["cpu-8"])
    images.image_of(cluster.image, machine.kind, root, allow_dirty)  # the Trainer's, which not every name has
    return images.image_of(cluster.image, "cpu", root, allow_dirty)


def _cluster(config: Config, target: str) -> Iterator[str]:
    cluster = config.cluster
    if config.metadata != Metadata():
        yield "metadata: a cluster keeps its own ML Metadata; leave the section out (local_runner.py alone reads it)"
    yield from _bucket("cluster.pipeline_root (--pipeline-root)", cluster.pipeline_root)
    if config.pusher.directory:
        yield from _bucket("pusher.directory", config.pusher.directory)
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,127}", config.name):
        suggested = config.name.replace("_", "-")
        yield (
            f"name: a cluster takes small letters, digits and dashes; received {config.name!r}. Give another "
            f"(--set name={suggested})"
        )
    if target == "vertex":
        if not _PROJECT.fullmatch(cluster.project or ""):
            received = quoted(cluster.project)
            yield f"cluster.project (--project): expected a project's id, as my-project-1; received {received}"
        if cluster.region not in REGIONS:
            near = difflib.get_close_matches(str(cluster.region), REGIONS) or ["us-central1", "europe-west4"]
            yield (
                f"cluster.region (--region): expected a region of Vertex AI, as {', '.join(near)}; "
                f"received {quoted(cluster.region)}"
            )
        return
    if cluster.endpoint is not None and not _ENDPOINT.fullmatch(cluster.endpoint):
        yield "cluster.endpoint (--endpoint): expected http://HOST:PORT or https://HOST/PATH, and no password"
    if config.trainer.warm_start:
        yield (
            "trainer.warm_start: Kubeflow Pipelines has no resolver to find the model with; start from a file of its "
            "weights (--weights)"
        )


def _machine(config: Config, target: str) -> Iterator[str]:
    name, region = config.cluster.trainer, config.cluster.region
    if name not in MACHINES:
        yield f"cluster.trainer: expected a machine of {', '.join(MACHINES)}; received {quoted(name)}"
        return
    machine = MACHINES[name]
    if target == "kubeflow" and machine.selector is None:
        yield f"cluster.trainer: GKE has no nodes with {name}; take tpu-v3-8 or a tpu-v5e"
    if target == "vertex" and region in REGIONS and region not in machine.regions:
        where = ", ".join(sorted(machine.regions))
        yield f"cluster.trainer: {name} is not to be had in {region}; expected cluster.region of {where}"
    if config.trainer.xla and machine.kind == "gpu" and machine.accelerators > 1:
        yield "trainer.xla: several GPUs cannot train with it; turn it off or take a machine with one"
    if config.trainer.precision == "mixed_float16" and machine.kind == "tpu":
        yield "trainer.precision: a TPU multiplies in bfloat16; expected auto, float32 or mixed_bfloat16"


def _data(config: Config, submitted: bool) -> Iterator[str]:
    directory, weights = config.data.directory, config.model.weights
    if submitted or isinstance(directory, str):
        yield from _bucket("data.directory (--data)", directory)
    if weights and (submitted or "://" in weights):
        yield from _bucket("model.weights (--weights)", weights)
    elif config.trainer.frozen_epochs and not (weights or config.trainer.warm_start):
        yield "trainer.frozen_epochs freezes pretrained layers: give their weights (--weights gs://…)"


def _bucket(key: str, place: str | Path | None) -> Iterator[str]:
    """Yields what is wrong with a place that a cluster is to read or write: TensorFlow knows no other buckets."""
    parts = urlsplit(str(place or ""))
    if parts.scheme != "gs" or not parts.netloc or ".." in parts.path.split("/"):
        received = "nothing" if place is None else place
        yield f"{key}: expected gs://BUCKET/FOLDER, which the cluster can read; received {received}"
    elif set(WILDCARDS) & set(str(place)):
        yield f"{key}: expected no {' '.join(WILDCARDS)}, which Beam and TensorFlow read as a pattern; received {place}"


def _schema(config: Config) -> str | Path:
    """Returns the schema's place in a bucket, or its file here, which compiling writes into the pipeline."""
    place = config.data.schema_file
    if isinstance(place, str):
        if problems := list(_bucket("data.schema_file", place)):
            raise UserError(problems[0])
        return place
    path = check_schema(place, len(config.data.classes))
    return Path(path.name) if path.parent == SCHEMAS else path  # the same name on every machine
