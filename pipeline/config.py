"""All settings of a run, in one object that is validated when it is created."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from errors import choices, quoted, shortened
from ingest.feature_names import CLASS, FEATURES, FILENAME, IMAGE, LABEL
from ingest.sources import SOURCES, data_sources
from trainer.augmentation.table import OPERATIONS
from trainer.families import FAMILIES, PROBE
from trainer.section import Pixels, Section
from trainer.settings import Architecture, Embeddings, Labelled, Model, Recipe, Serving, Trainer, Tuner

# the settings of `data` that decide how ExampleGen reads and divides the records
READ = {"classes", "features", "first_class", "split", "eval_fraction", "test_fraction", "counts_in_names", "edits"}
UNSEARCHABLE = ("model.weights", "trainer.epochs", "trainer.frozen_epochs", "trainer.gpu_memory_mb", "trainer.seed")

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
    """The gate: what a model must reach to be pushed. Thresholds are fractions of the judged split, or milliseconds.

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
    max_latency_ms: float | None = Field(default=None, gt=0, description="of one photo, on the Evaluator's machine")


class Pusher(Section):
    """Where blessed models are pushed; null is OUTPUT/pushed/NAME, on a cluster PIPELINE_ROOT/pushed/NAME."""

    directory: Uri | Path | None = None


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
    image: str | None = None
    trainer: str = Field(default="cpu-8", description="the Trainer's machine: a name of pipeline/cluster/machines.py")
    cpu: float = Field(default=4, gt=0, description="cores of each node except the Trainer")
    memory_gb: float = Field(default=16, gt=0, description="of each node except the Trainer")
    retries: int = Field(default=2, ge=0, le=10, description="of a failed node")


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
    pusher: Pusher = Pusher()
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
        problems = [] if info.context == SINGLE_SETTINGS else [text for _, text in disagreements(self)]
        if problems:
            raise ValueError("\n".join(problems))
        return self


SINGLE_SETTINGS = "single settings"  # the validation context that skips rules between settings


def disagreements(config: Config) -> Iterator[tuple[set[str], str]]:
    """Yields the broken rules between settings: the keys that a rule concerns, and an error."""
    data, trainer = config.data, config.trainer
    yield from _family_problems(data, config.model, "model")
    for number, trunk in enumerate(config.embeddings.trunks):
        yield from _family_problems(data, trunk, f"embeddings.trunks.{number}")
    yield from _probe_problems(config)
    if trainer.frozen_epochs > trainer.epochs:
        limit = f"at most trainer.epochs ({trainer.epochs})"
        text = f"trainer.frozen_epochs: expected {limit}, received {trainer.frozen_epochs}"
        yield {"trainer.frozen_epochs", "trainer.epochs"}, text
    if config.serving.sure_accuracy and config.serving.sure_coverage:
        text = "serving.sure_accuracy: expected null together with serving.sure_coverage; remove one of them"
        yield {"serving.sure_accuracy", "serving.sure_coverage"}, text
    for text in _search_problems(config):
        yield {"tuner.search"}, text
    yield from _trial_problems(config)
    sizes = SOURCES[data.source].buckets if data.source and not data.directory else {}
    if sizes and data.image_size not in sizes:
        text = (
            f"data.image_size: expected one of {', '.join(map(str, sizes))}, the sizes of {data.source}; received "
            f"{data.image_size}. For other sizes, give data.directory (--data)"
        )
        yield {"data.source", "data.directory", "data.image_size"}, text
    if data.eval_fraction + data.test_fraction >= 1:
        text = (
            "data.eval_fraction: expected less than 1 together with data.test_fraction, so that data is left to train "
            f"on; received {data.eval_fraction} and {data.test_fraction}"
        )
        yield {"data.eval_fraction", "data.test_fraction"}, text
    for name in [chosen.name for chosen in trainer.augment if not OPERATIONS[chosen.name].fits(data)]:
        needs = f"data.normalize 'range' and data.channels {' or '.join(map(str, OPERATIONS[name].channels))}"
        text = f"trainer.augment: {name} needs {needs}; received {data.normalize!r} and {data.channels}"
        yield {"trainer.augment", "data.normalize", "data.channels"}, text


def _family_problems(data: Data, model: Architecture, key: str) -> Iterator[tuple[set[str], str]]:
    """Yields the rules of a model's family that are broken; `key` is the model's setting."""
    name, family = model.name, FAMILIES[model.name]
    if model.weights == "imagenet" and not family.imagenet:
        have = ", ".join(name for name, each in FAMILIES.items() if each.imagenet)
        text = f"{key}.weights: no ImageNet weights to download for {name}, only for {have}; give a file"
        yield {f"{key}.weights", f"{key}.name"}, text
    if model.weights == "imagenet" and family.normalize not in (None, data.normalize):
        text = (
            f"data.normalize: expected {family.normalize!r} for {name}'s ImageNet weights, received "
            f"{data.normalize!r}; or remove {key}.weights"
        )
        yield {f"{key}.weights", f"{key}.name", "data.normalize"}, text
    if data.image_size < family.smallest or data.channels not in family.channels:
        channels = " or ".join(map(str, family.channels))
        text = (
            f"{key}.name: {name} needs data.image_size of {family.smallest} or more and data.channels {channels}; "
            f"received {data.image_size} and {data.channels}"
        )
        yield {f"{key}.name", "data.image_size", "data.channels"}, text


def _probe_problems(config: Config) -> Iterator[tuple[set[str], str]]:
    """Yields the settings that do not fit a model whose last layer is fitted to the embeddings."""
    model, trunks = config.model, config.embeddings.trunks
    if config.trainer.minutes and (model.head != PROBE or config.trainer.frozen_epochs):
        text = (
            "trainer.minutes: expected model.head probe and trainer.frozen_epochs 0, so that there is a model even if "
            f"no epoch fits in the time; received {model.head} and {config.trainer.frozen_epochs}"
        )
        yield {"trainer.minutes", "model.head", "trainer.frozen_epochs"}, text
    if not model.reads_embeddings:
        return
    if model.name == PROBE and not trunks:
        text = "embeddings.trunks: expected a trunk for a probe, for example [efficientnet_lite0]; received none"
        yield {"model.name", "embeddings.trunks"}, text
    if model.name == PROBE and model.weights:
        text = (
            "model.weights: expected none for a probe, whose weights are those of embeddings.trunks; received "
            f"{model.weights}"
        )
        yield {"model.name", "model.weights"}, text
    same = [(each.name, each.options, each.weights) for each in trunks if not each.layer]
    if model.name != PROBE and same != [(model.name, model.options, model.weights)]:
        text = (
            "model.head: expected embeddings.trunks to be the model alone, with its options and weights, because the "
            f"features of other trunks are not its own; received {', '.join(each.name for each in trunks) or 'none'}"
        )
        yield {"model.head", "embeddings.trunks", "model.weights"}, text
    if config.tuner.trials or config.trainer.warm_start:
        text = (
            "model.head: expected tuner.trials 0 and trainer.warm_start false for a last layer that is fitted to the "
            "embeddings, because they start from other weights"
        )
        yield {"model.head", "model.name", "tuner.trials", "trainer.warm_start"}, text


def _trial_problems(config: Config) -> Iterator[tuple[set[str], str]]:
    """Yields the settings that would make the tuner's trials different from the training after them."""
    if not config.tuner.trials:
        return
    ramp = config.trainer.learning_rate.ramp_epochs
    if ramp >= config.tuner.epochs:
        text = (
            f"tuner.epochs: expected more than trainer.learning_rate.ramp_epochs ({ramp}), because otherwise no trial "
            f"reaches the peak; received {config.tuner.epochs}"
        )
        yield {"tuner.epochs", "trainer.learning_rate"}, text
    if config.trainer.frozen_epochs or config.trainer.warm_start:
        text = (
            "tuner.trials: expected 0 with trainer.frozen_epochs or trainer.warm_start, because trials train all "
            f"layers from model.weights; received {config.tuner.trials}"
        )
        yield {"tuner.trials", "trainer.frozen_epochs", "trainer.warm_start"}, text


def _search_problems(config: Config) -> Iterator[str]:
    """Yields the errors of the values that the tuner tries; each value must be valid in the recipe."""
    if config.tuner.trials and not config.tuner.search:
        yield "tuner.search: expected values, for example {trainer.learning_rate.peak: [0.001, 0.002]}; received none"
    for key, values in config.tuner.search.items():
        if key.partition(".")[0] not in ("model", "trainer") or "." not in key or key in UNSEARCHABLE:
            expected = f"expected keys of model and trainer except {', '.join(UNSEARCHABLE)}"
            yield f"tuner.search: {expected}; received {quoted(key)}"
            continue
        if not values:
            yield f"tuner.search: {shortened(key)}: expected at least one value, received none"
        for value, name in itertools.product(values, _models_for(config, key)):
            try:
                config.recipe.changed({"model.name": name, key: value})
            except ValidationError as error:
                why = error.errors()[0]["msg"].removeprefix("Value error, ")
                yield f"tuner.search: {shortened(key)}: {why}; received {quoted(value)}"


def _models_for(config: Config, key: str) -> list[Any]:
    """Returns the models that a key of the search is validated with, because each model has its own options."""
    searched = config.tuner.search.get("model.name", ()) if key.startswith("model.options.") else ()
    return [name for name in searched if name in FAMILIES] or [config.model.name]
