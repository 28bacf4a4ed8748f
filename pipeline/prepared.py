"""From settings to a run that can start: data and weights are there and sound, paths absolute, the output ours."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

import schemas
from datasets import download, prepare
from datasets.errors import UserError
from pipeline import beam
from pipeline.config import LEAST_SIZES, Config, Metadata
from pipeline.logs import chatter_to
from pipeline.output import writable

SCHEMAS = Path(schemas.__file__).parent


def prepare_config(config: Config) -> Config:
    """Returns the settings with absolute paths to data, schema, weights and output, all checked.

    Raises:
      UserError: naming all of them that cannot be used. The output folder is not made then.
    """
    problems: list[str] = []
    with noted(problems), chatter_to(Path(os.devnull), also_terminal=False):  # Google's libraries warn when imported
        beam.check(config.beam, here=True)
    with noted(problems):
        directory = _checked_data(config)
    with noted(problems):
        schema = check_schema(_here(config.data.schema_file, "data.schema_file"), len(config.data.classes))
    with noted(problems):
        _check_database(config.metadata)
    with noted(problems):
        weights = _prepared_weights(config)
    with noted(problems):
        pushed = _push_folder(config)
    with noted(problems):
        writable(config.output, "the output folder", "--output DIR", make=False)
    with noted(problems):
        if not problems and weights:  # the one check that imports TensorFlow
            _check_weights(config, weights)
    if problems:
        raise UserError("\n".join(problems))
    output = writable(config.output, "the output folder", "--output DIR", make=True)
    digest = download.digest(weights, "sha256:").removeprefix("sha256:") if weights else None
    return config.model_copy(
        update={
            "output": output,
            "data": config.data.model_copy(update={"directory": directory, "schema_file": schema}),
            "model": config.model.model_copy(
                update={"weights": str(weights) if weights else None, "weights_sha256": digest}
            ),
            "pusher": config.pusher.model_copy(update={"directory": pushed}),
        }
    )


@contextmanager
def noted(problems: list[str]) -> Iterator[None]:
    """Collects what a person has to mend, so that all of it is said at once."""
    try:
        yield
    except UserError as error:
        problems.append(str(error))
    except OSError as error:
        problems.append(f"cannot read or write {error.filename}: {error.strerror}" if error.filename else str(error))


def _prepared_weights(config: Config) -> Path | None:
    weights = prepare.prepare_weights(config.model.weights, config.model.weights_sha256)
    if config.trainer.frozen_epochs and not (weights or config.trainer.warm_start):
        raise UserError("trainer.frozen_epochs freezes pretrained layers: give their weights (--weights FILE)")
    return weights


def _push_folder(config: Config) -> Path:
    if not config.pusher.directory:
        return config.output.expanduser().resolve() / "pushed" / config.name
    folder = _here(config.pusher.directory, "pusher.directory")
    return writable(folder, "the folder for pushed models", "pusher.directory", make=False)


def _check_database(settings: Metadata) -> None:
    if settings.url:
        from pipeline import metadata  # ML Metadata's library

        metadata.opened(metadata.connection(settings.url, settings.password_file), settings.url.rpartition("@")[2])


def _here(place: str | Path, key: str) -> Path:
    """Returns a path of this machine.

    Raises:
      UserError: when it is of a bucket.
    """
    if isinstance(place, str):
        raise UserError(f"{key}: expected a path of this machine, received {place} (kubeflow_runner.py takes buckets)")
    return place


def _checked_data(config: Config) -> Path:
    """Returns the folder of the checked shards, and prints what to know of them."""
    data = config.data
    folder = _here(data.directory, "data.directory") if data.directory else None
    with chatter_to(Path(os.devnull), also_terminal=False):  # TensorFlow greets where drawings are written
        directory, shards = prepare.prepare_data(data.source, folder, data.pattern, data.image_size)
    _print_note(prepare.unread_notice(directory, data.pattern, shards))
    prepare.check_split(len(shards), data.split, data.eval_fraction)
    prepare.check_batches(shards, data.split, data.eval_fraction, _batches(config))
    _print_note(prepare.split_notice(shards, data.split, data.eval_fraction))
    return directory


def _print_note(notice: str) -> None:
    if notice:
        print(f"note: {notice}", file=sys.stderr)


def _batches(config: Config) -> dict[str, int]:
    """Returns the largest batch that each setting asks for."""
    tried = config.tuner.search.get("trainer.batch_size", ()) if config.tuner.trials else ()
    return {"trainer.batch_size": config.trainer.batch_size} | ({"tuner.search": max(map(int, tried))} if tried else {})


def _check_weights(config: Config, weights: Path) -> None:
    """Loads the weights into the model that the settings describe, as the Trainer will.

    Raises:
      UserError: when they cannot be read, do not fit, or expect other pixels.
    """
    with chatter_to(Path(os.devnull), also_terminal=False):
        import keras
        import tensorflow as tf

        from trainer import devices, pretrained, weight_files

    model, data = config.model, config.data
    recipe = config.model_dump(mode="json", include={"data", "model"})
    recipe["model"]["weights"] = str(weights)
    with chatter_to(Path(os.devnull), also_terminal=False):
        devices.limit_gpu_memory(tf.config.list_physical_devices("GPU"), config.trainer.gpu_memory_mb)
    try:
        applications = model.name in LEAST_SIZES and model.weights_match == "base" and weight_files.is_keras2(weights)
        if applications and data.normalize != "range":
            raise UserError(
                f"data.normalize: expected range, since {weights} is of Keras Applications, whose {model.name} expects "
                f"pixels in [-1, 1]; received {data.normalize} (--set data.normalize=range)"
            )
        with tf.device("CPU"):
            pretrained.load(pretrained.build(recipe), recipe)
    except ValueError as error:
        raise UserError(str(error)) from None
    finally:
        keras.utils.clear_session()  # the Trainer's layers are counted from the start


def check_alone(tf_config: str) -> None:
    """Refuses to run where TF_CONFIG names several workers: all nodes run in this one process.

    Raises:
      UserError: then, and when it cannot be read.
    """
    if not tf_config:
        return
    from trainer import devices  # TensorFlow

    try:
        workers = devices.count_workers(tf_config)
    except devices.Unusable as error:
        raise UserError(str(error)) from None
    if workers > 1:
        raise UserError(f"TF_CONFIG names {workers} workers, and this runner is one process: unset TF_CONFIG")


def check_schema(path: Path, classes: int) -> Path:
    """Returns the absolute path of a schema that Transform can use and that agrees with the number of classes.

    A bare name that is no file of the current folder is one of the curated schemas.

    Raises:
      UserError: when it is missing, cannot be read, gives `class` another range, or a feature a shape that Transform
        cannot use.
    """
    curated = SCHEMAS / path.name
    path = (
        curated if path == Path(path.name) and not path.exists() and curated.exists() else path.expanduser().resolve()
    )
    try:
        schema = text_format.Parse(path.read_text(), schema_pb2.Schema())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise UserError(f"cannot read the schema {path} (data.schema_file): {error}") from None
    domains = [feature.int_domain for feature in schema.feature if feature.name == "class"]
    if not domains or not domains[0].HasField("max"):
        raise UserError(f"the schema {path} is to give the feature 'class' an int_domain with min and max")
    if (domains[0].min, domains[0].max) != (0, classes - 1):
        raise UserError(
            f"the schema {path} says that class is {domains[0].min} to {domains[0].max}, and data.classes names "
            f"{classes} classes (0 to {classes - 1}); make them agree (data.schema_file)"
        )
    if problems := list(_shape_problems(schema)):
        raise UserError("\n  ".join([f"Transform cannot use the schema {path} (data.schema_file):", *problems]))
    return path


def _shape_problems(schema: schema_pb2.Schema) -> Iterator[str]:
    """Yields what would fail inside Transform: it reads one value of `image` and of `class` from each record."""
    for name, kind in (("image", "BYTES"), ("class", "INT")):
        found = [feature for feature in schema.feature if feature.name == name]
        if len(found) != 1:
            yield f"{name}: expected one feature of that name, received {len(found)}"
        elif (
            found[0].type != schema_pb2.FeatureType.Value(kind)
            or not found[0].HasField("shape")
            or [dim.size for dim in found[0].shape.dim] != [1]
            or found[0].presence.min_fraction != 1
        ):
            text = text_format.MessageToString(found[0], as_one_line=True)
            expected = f"type: {kind} presence {{ min_fraction: 1.0 }} shape {{ dim {{ size: 1 }} }}"
            yield f"{name}: expected {expected}, received {text}"
    for feature in schema.feature:
        if feature.name in ("image", "class"):
            continue
        if feature.type == schema_pb2.TYPE_UNKNOWN:
            yield f"{feature.name}: expected a type (BYTES, INT or FLOAT), received none"
        if feature.HasField("shape") and feature.presence.min_fraction != 1:
            yield f"{feature.name}: a shape needs presence {{ min_fraction: 1.0 }}; write value_count in its place"
