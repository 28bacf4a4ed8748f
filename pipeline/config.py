"""All settings of a run, in one object that is validated when it is created."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from errors import choices, quoted
from ingest.feature_names import CLASS, FEATURES, FILENAME, IMAGE, LABEL
from ingest.sources import data_sources
from pipeline import rules
from trainer.section import Pixels, Section
from trainer.settings import Embeddings, Labelled, Model, Recipe, Serving, Trainer, Tuner

# the settings of `data` that decide how ExampleGen reads and divides the records
READ = {"classes", "features", "first_class", "split", "eval_fraction", "test_fraction", "counts_in_names", "edits"}

Uri = Annotated[str, Field(pattern="^[a-z][a-z0-9]*://")]  # in a bucket; local paths are Path


class Data(Pixels, Labelled):
    """Where the labelled photos are, how they are split, and how they become the model's input.

    Without a `directory`, `source` names data that is drawn or downloaded.
    """

    source: str | None = Field(default=None, description="a row of ingest/sources.py")
    directory: Uri | Path | None = None
    pattern: str = Field(default="*", description="'*' matches the usual names of record files")
    features: dict[str, str] = Field(
        default=FEATURES["flowers"], description="the records' names, or a row of ingest/feature_names.py"
    )
    first_class: Literal[0, 1] = Field(default=0, description="the number of the first class in the records")
    schema_file: Uri | Path = Path("flowers.pbtxt")
    split: Literal["auto", "names", "shards", "hash"] = "auto"
    eval_fraction: float = Field(default=0.125, gt=0, lt=1, description="of the split that chooses the epoch")
    test_fraction: float = Field(default=0.19, ge=0, lt=1, description="of the split that the gate judges; 0 for none")
    max_bad_fraction: float = Field(default=0.01, ge=0, lt=1, description="of records that cannot be used")
    counts_in_names: bool = Field(default=True, description="warn if flowers00-230.tfrec has not 230 records")
    edits: Uri | Path | None = Field(default=None, description="a CSV file that corrects labels or leaves photos out")
    provenance: str = Field(default="", description="how the data were made; written by python -m ingest")

    @field_validator("source")
    @classmethod
    def _known(cls, source: str | None) -> str | None:
        if source not in (None, *data_sources()):
            raise ValueError(f"unknown source; {choices(str(source), data_sources())}")
        return source

    @field_validator("features", mode="before")
    @classmethod
    def _complete(cls, features: Any) -> Any:
        if isinstance(features, str):
            if features not in FEATURES:
                raise ValueError(f"unknown names of features; {choices(features, FEATURES)}")
            return FEATURES[features]
        names = FEATURES["flowers"]
        if isinstance(features, dict) and not set(features) <= set(names):
            raise ValueError(f"expected the keys {', '.join(names)}")
        if not isinstance(features, dict):
            return features
        optional = {key: "" if names[key] in features.values() else names[key] for key in (LABEL, FILENAME)}
        return {**names, **optional, **features}

    @field_validator("features")
    @classmethod
    def _different_names(cls, features: dict[str, str]) -> dict[str, str]:
        if empty := [key for key in (IMAGE, CLASS) if not features[key]]:
            raise ValueError(f"expected the name of a feature for {' and '.join(empty)}, received ''")
        names = list(filter(None, features.values()))
        if repeated := [key for key, name in features.items() if names.count(name) > 1]:
            raise ValueError(
                f"expected different names, received {quoted(features[repeated[0]])} for {' and '.join(repeated)}; "
                "if the records have no label or filename, set its name to ''"
            )
        return features

    @field_validator("pattern")
    @classmethod
    def _relative(cls, pattern: str) -> str:
        if {"", ".", ".."} & set(pattern.split("/")):
            raise ValueError(
                "expected a pattern relative to data.directory and inside it, for example *.tfrec or */*.tfrec"
            )
        if "**" in pattern or set("{}\\") & set(pattern):
            raise ValueError(
                "expected *, ? and [...] in names and a / for each folder, for example */*.tfrec. Beam and TFX read ** "
                "and {} differently. Move files of several depths into one folder"
            )
        return pattern


class Evaluator(Section):
    """The gate: what a model must reach to be pushed. Thresholds are fractions of the judged split.

    The judged split is `test`, or `eval` if the data has no test split. Without `min_accuracy` the floor is computed
    from it: with the largest class's share p of n photos, p + 1.96 √(p(1 - p)/n), at most 1. Wilson's 95 % interval of
    an accuracy that reaches it begins at p or above (Wilson 1927), so a model that always answers the largest class, or
    guesses at random, is refused. Without `min_class_recall` the floor is 0.2, or 1/classes with fewer than five
    classes, the recall of a uniform guess. The settings after `max_accuracy_drop` check nothing if they are null.
    """

    min_accuracy: float | None = Field(default=None, ge=0, le=1, description="null: computed from the judged split")
    min_class_recall: float | None = Field(default=None, ge=0, le=1, description="null: 0.2, or 1/classes if higher")
    max_accuracy_drop: float = Field(default=0.02, ge=0, le=1)
    min_balanced_accuracy: float | None = Field(default=None, ge=0, le=1, description="the mean recall; null for none")
    min_macro_f1: float | None = Field(default=None, ge=0, le=1, description="the mean F1 score; null for none")
    min_slice_accuracy: float | None = Field(
        default=None, ge=0, le=1, description="of each third by size or brightness"
    )
    max_calibration_error: float | None = Field(default=None, ge=0, le=1, description="expected, in 15 bins")


class ServingCheck(Section):
    """The check that the exported model serves; limits that are null are measured, but not checked."""

    server: Literal["process", "docker"] = Field(
        default="process", description="docker: TFX's InfraValidator with TensorFlow Serving, for local runs"
    )
    largest_batch: int = Field(default=32, ge=1, le=4096, description="photos in the largest request")
    max_latency_ms: float | None = Field(default=None, gt=0, description="of one photo through serving_default")
    max_memory_mb: float | None = Field(default=None, gt=0, description="of the process, with TensorFlow")


class ServingSkew(Section):
    """The comparison of the training photos with the answers of a server; see `components.serving_skew`."""

    kept: Uri | Path | None = Field(default=None, description="the folder of python -m serving --keep; null for none")


class Edge(Section):
    """Files of the model for phones and other small devices, which are pushed with the version."""

    formats: tuple[Literal["litert-float16", "litert-int8", "onnx"], ...] = Field(
        default=(), description="none: no node Edge"
    )
    max_loss: float = Field(default=0.01, ge=0, le=1, description="of accuracy, against the SavedModel")


class Pusher(Section):
    """Where blessed models are pushed; null is OUTPUT/pushed/NAME, on a cluster PIPELINE_ROOT/pushed/NAME."""

    directory: Uri | Path | None = None


class Bulk(Section):
    """Photos that the pushed model predicts after the run; see `components.bulk`."""

    data: Uri | Path | None = Field(default=None, description="a folder of TFRecords or of photos; null for none")


class Beam(Section):
    """The engine of Apache Beam, and its arguments, each as `--NAME` or `--NAME=VALUE`."""

    runner: Literal["DirectRunner", "DataflowRunner", "FlinkRunner", "SparkRunner", "PortableRunner"] = "DirectRunner"
    args: tuple[Annotated[str, Field(pattern="^--[a-zA-Z]")], ...] = ()

    @field_validator("args")
    @classmethod
    def _without_runner(cls, args: tuple[str, ...]) -> tuple[str, ...]:
        if any(arg.partition("=")[0] == "--runner" for arg in args):
            raise ValueError("expected no --runner; set beam.runner")
        return args


class Deployment(Section):
    """The endpoint of Vertex AI to which Pusher deploys each blessed model; null for none."""

    endpoint: str | None = Field(default=None, description="the endpoint's display name; it is created if missing")
    machine_type: str = Field(default="n1-standard-4", description="of Vertex AI")
    min_replicas: int = Field(default=1, ge=1, le=1000)
    max_replicas: int = Field(default=1, ge=1, le=1000)
    traffic: int = Field(default=100, ge=0, le=100, description="percent of the requests for the new model")
    image: str = Field(
        default="us-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest",
        description="a prebuilt container of Vertex AI for TensorFlow",
    )


class Cluster(Section):
    """The cluster, its machines and the image; only kubeflow_runner.py reads this section.

    `image` is REGISTRY/NAME. Without a tag, the tag is the commit, with '-tpu' appended for a trainer on a TPU.
    """

    project: str | None = Field(default=None, description="the Google Cloud project, for Vertex AI")
    region: str | None = Field(default=None, description="such as us-central1, for Vertex AI")
    pipeline_root: str | None = Field(default=None, description="a bucket's folder for all artifacts, gs://… on Vertex")
    service_account: str | None = Field(default=None, description="of all Vertex AI jobs; null for its default")
    endpoint: str | None = Field(default=None, description="the address of Kubeflow Pipelines")
    namespace: str | None = Field(default=None, description="of Kubeflow with several users")
    s3_endpoint: str | None = Field(
        default=None, description="the address of an S3 server other than AWS; for minio://"
    )
    s3_secret: str | None = Field(
        default="mlpipeline-minio-artifact",
        min_length=1,
        description="the Kubernetes secret with accesskey and secretkey; null if the pods have a role",
    )
    image: str | None = None
    trainer: str = Field(default="cpu-8", description="the Trainer's machine: a name of pipeline/cluster/machines.py")
    workers: int = Field(default=1, ge=1, le=100, description="machines that train together, on Vertex AI")
    spot: bool = Field(default=False, description="train on spot capacity, which is cheaper and may be preempted")
    cpu: float = Field(default=4, gt=0, description="cores of each node except the Trainer")
    memory_gb: float = Field(default=16, gt=0, description="of each node except the Trainer")
    retries: int = Field(default=2, ge=0, le=10, description="of a failed node")
    deployment: Deployment = Deployment()


class Metadata(Section):
    """The ML Metadata store: null is OUTPUT/metadata.sqlite. A password is stored in a file, never in a setting.

    `url` is validated where it is used, because errors of settings repeat the value, which may contain a password.
    """

    url: str | None = Field(default=None, description="mysql:// or postgresql:// and USER@HOST:PORT/DATABASE")
    password_file: Path | None = None


class Config(Section):
    """All settings of one run."""

    name: str = Field(default="sample", pattern="^[a-z0-9][a-z0-9_-]*$", max_length=60)
    output: Path = Path("runs")
    data: Data = Data()
    model: Model = Model()
    embeddings: Embeddings = Embeddings()
    trainer: Trainer = Trainer()
    tuner: Tuner = Tuner()
    serving: Serving = Serving()
    evaluator: Evaluator = Evaluator()
    serving_check: ServingCheck = ServingCheck()
    serving_skew: ServingSkew = ServingSkew()
    edge: Edge = Edge()
    pusher: Pusher = Pusher()
    bulk: Bulk = Bulk()
    beam: Beam = Beam()
    metadata: Metadata = Metadata()
    cluster: Cluster = Cluster()

    @property
    def recipe(self) -> Recipe:
        """All settings that the trained model depends on."""
        return Recipe(
            data=Labelled(**self.data.model_dump(include=set(Labelled.model_fields))),
            model=self.model,
            embeddings=self.embeddings if self.model.reads_embeddings else Embeddings(),
            trainer=self.trainer,
            serving=self.serving,
        )

    @model_validator(mode="after")
    def _agree(self, info: ValidationInfo) -> "Config":
        if info.context != SINGLE_SETTINGS:
            rules.check(self)
        return self


SINGLE_SETTINGS = "single settings"  # the validation context that skips rules between settings
