"""Resolves and validates settings before a local run."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from errors import UserError, collect_errors, shortened
from ingest import bulk_input, data_checks, download, kept, label_edits, prepare, records
from ingest.feature_names import IMAGE
from ingest.logs import log_to_file
from ingest.paths import is_file
from pipeline import beam
from pipeline.config import Beam, Bulk, Config, Data, Metadata, ServingCheck, ServingSkew
from pipeline.local.output import writable
from pipeline.schema_file import check_schema
from trainer.families import FAMILIES, PROBE, Packaged, Weights
from trainer.settings import Architecture, ArchitectureType, Model, Trunk

_DOCKER_S = 5


def resolve(config: Config, in_batches: bool = False) -> Config:
    """Returns the settings with absolute paths to data, schema, weights and output, all validated.

    Args:
      config: the settings.
      in_batches: whether a fine-tuning, which trains in batches, follows a probe, which is fitted without them.

    Raises:
      UserError: naming all settings that cannot be used. The output folder is then not created.
    """
    problems: list[str] = []
    with collect_errors(problems):
        _check_beam(config.beam)
    data = _resolved_data(config, in_batches, problems)
    with collect_errors(problems):
        _check_database(config.metadata)
    with collect_errors(problems):
        _check_docker(config.serving_check)
    with collect_errors(problems):
        _check_frozen(config)
        model = _with_weights(config.model, "model.weights")
        trunks = tuple(
            _with_weights(trunk, f"embeddings.trunks.{number}.weights")
            for number, trunk in enumerate(config.embeddings.trunks)
        )
    with collect_errors(problems):
        pushed = _push_folder(config)
    with collect_errors(problems):
        skew = _serving_skew(config)
    with collect_errors(problems):
        bulk = _bulk(config)
    with collect_errors(problems):
        writable(config.output, "the output folder", "--output DIR", make=False)
    with collect_errors(problems):
        if not problems and (model.weights or trunks):  # last, because it imports TensorFlow
            _check_weights(config, model, trunks)
    if problems:
        raise UserError("\n".join(problems))
    output = writable(config.output, "the output folder", "--output DIR", make=True)
    embeddings = config.embeddings.model_copy(update={"trunks": trunks})
    pusher = config.pusher.model_copy(update={"directory": pushed})
    changed = {"output": output, "data": data, "model": model, "embeddings": embeddings, "pusher": pusher, "bulk": bulk}
    return config.model_copy(update=changed | {"serving_skew": skew})


def resolve_bulk(config: Config) -> Config:
    """Returns the settings for `--bulk` with absolute paths, all validated; the training's settings are not checked.

    Raises:
      UserError: naming all settings that cannot be used.
    """
    problems: list[str] = []
    with collect_errors(problems):
        _check_beam(config.beam)
    with collect_errors(problems):
        _check_database(config.metadata)
    with collect_errors(problems):
        bulk = _bulk(config)
    with collect_errors(problems):
        output = writable(config.output, "the output folder", "--output DIR", make=False)
    if problems:
        raise UserError("\n".join(problems))
    pusher = config.pusher.model_copy(update={"directory": output / "pushed" / config.name})
    return config.model_copy(update={"output": output, "bulk": bulk, "pusher": pusher})


def _bulk(config: Config) -> Bulk:
    """Returns the section `bulk` with an absolute folder, in which there are photos or usable records."""
    if not config.bulk.data:
        return config.bulk
    folder = _local_path(config.bulk.data, "bulk.data").expanduser().resolve()
    if not folder.is_dir():
        received = f"the file {folder}" if is_file(folder) else folder
        raise UserError(f"bulk.data: expected a folder of TFRecords or photos, received {received}; check the path")
    records.check_path(folder, "give another folder (--bulk DATA)")
    found = bulk_input.find(str(folder), config.data.pattern)
    if found.are_records:
        data_checks.check_features(found.files, config.data.features, needed=(IMAGE,))
    return config.bulk.model_copy(update={"data": folder})


def _serving_skew(config: Config) -> ServingSkew:
    """Returns the section `serving_skew` with an absolute folder, in which there are kept answers."""
    if not config.serving_skew.kept:
        return config.serving_skew
    folder = _local_path(config.serving_skew.kept, "serving_skew.kept").expanduser().resolve()
    try:
        kept.files(folder)
    except UserError as error:
        raise UserError(f"serving_skew.kept: {error}") from None
    return config.serving_skew.model_copy(update={"kept": folder})


def _check_beam(settings: Beam) -> None:
    with log_to_file(Path(os.devnull), also_terminal=False):  # Google's libraries warn when they are imported
        beam.check(settings, local=True)


def _resolved_data(config: Config, in_batches: bool, problems: list[str]) -> Data:
    """Returns the section `data` with absolute paths; appends errors to `problems`."""
    data, paths = config.data, dict[str, Path | None]()
    with collect_errors(problems):
        paths["directory"] = _checked_data(config, in_batches or config.model.name != PROBE)
    with collect_errors(problems):
        paths["schema_file"] = check_schema(_local_path(data.schema_file, "data.schema_file"), data.classes)
    with collect_errors(problems):
        if data.edits:
            paths["edits"] = label_edits.checked(_local_path(data.edits, label_edits.SETTING), data.classes)
    return data.model_copy(update=paths)


def _check_frozen(config: Config) -> None:
    if config.trainer.frozen_epochs and not (config.model.weights or config.trainer.warm_start):
        raise UserError(
            "trainer.frozen_epochs freezes pretrained layers, but there are none; give weights (--weights FILE)"
        )


def _with_weights(model: ArchitectureType, setting: str) -> ArchitectureType:
    """Returns the model with the absolute path and the digest of its weights file; unchanged without a file.

    Args:
      model: the model, or a trunk.
      setting: the key of its weights, for errors.
    """
    published = FAMILIES[model.name].imagenet
    if model.weights == "imagenet" and isinstance(published, Packaged):
        return model
    remote = download.Remote(*published) if isinstance(published, Weights) else None
    path = prepare.prepare_weights(model.weights, model.weights_sha256, remote, setting)
    if path is None:
        return model
    digest = download.digest(path, "sha256:").removeprefix("sha256:")
    return model.model_copy(update={"weights": str(path), "weights_sha256": digest})


def _check_docker(settings: ServingCheck) -> None:
    if settings.server == "docker":
        import docker  # only for this setting
        from docker.errors import DockerException

        try:
            docker.from_env(timeout=_DOCKER_S).ping()
        except DockerException as error:
            problem = shortened(" ".join(str(error).split()))
            raise UserError(
                f"serving_check.server: cannot reach Docker: {problem}; start Docker, or use process"
            ) from None


def _push_folder(config: Config) -> Path:
    if not config.pusher.directory:
        return config.output.expanduser().resolve() / "pushed" / config.name
    folder = _local_path(config.pusher.directory, "pusher.directory")
    return writable(folder, "the folder for pushed models", "pusher.directory", make=False)


def _check_database(settings: Metadata) -> None:
    if settings.url:
        from lineage import metadata  # imports ML Metadata's library

        metadata.connect(
            metadata.connection_config(settings.url, settings.password_file), settings.url.rpartition("@")[2]
        )


def _local_path(path: str | Path, key: str) -> Path:
    """Returns a path on this machine.

    Raises:
      UserError: when the path is in a bucket.
    """
    if isinstance(path, str):
        raise UserError(f"{key}: expected a path on this machine, received {path} (kubeflow_runner.py takes buckets)")
    return path


def _checked_data(config: Config, in_batches: bool) -> Path:
    """Returns the folder of the data, checks its shards, and prints notices about them."""
    data = config.data
    folder = _local_path(data.directory, "data.directory") if data.directory else None
    with log_to_file(Path(os.devnull), also_terminal=False):  # TensorFlow prints when it is imported
        directory, files = prepare.prepare_data(data.source, folder, data.pattern, data.image_size)
    _print_note(data_checks.unmatched_notice(directory, data.pattern, files))
    data_checks.check_features(files, data.features)
    empty = {file for file in files if not Path(file).stat().st_size}
    splits = records.splits_of_files(files, data.split, data.eval_fraction, data.test_fraction, empty)
    if in_batches:
        data_checks.check_batches(files, splits, _batches(config))
    if records.resolved_split(files, data.split) == "shards":
        _print_note(data_checks.split_notice(files, splits, data.eval_fraction + data.test_fraction))
    return directory


def _print_note(notice: str) -> None:
    if notice:
        print(f"note: {notice}", file=sys.stderr)


def _batches(config: Config) -> dict[str, int]:
    """Returns the largest batch of each setting."""
    tried = config.tuner.search.get("trainer.batch_size", ()) if config.tuner.trials else ()
    return {"trainer.batch_size": config.trainer.batch_size} | ({"tuner.search": max(map(int, tried))} if tried else {})


def _check_weights(config: Config, model: Model, of_embeddings: Sequence[Trunk]) -> None:
    """Loads the weights into the models that the settings describe, as Trainer and Embeddings will do.

    Raises:
      UserError: when the weights cannot be read, do not fit, or expect another `data.normalize`.
    """
    with log_to_file(Path(os.devnull), also_terminal=False):
        import keras
        import tensorflow as tf

        from trainer import devices, packaged_weights, trunks
        from trainer.models import of_recipe

        devices.limit_gpu_memory(tf.config.list_physical_devices("GPU"), config.trainer.gpu_memory_mb)
    try:
        for each in (model, *of_embeddings):
            _check_normalize(config, each)
        with tf.device("CPU"):
            if model.weights:
                packaged_weights.load(of_recipe(config.recipe), model)
            if of_embeddings:
                trunks.features((config.data.image_size, config.data.image_size, 3), of_embeddings)
    except ValueError as error:
        raise UserError(str(error)) from None
    finally:
        keras.utils.clear_session()  # so that Keras numbers the Trainer's layers from the start


def _check_normalize(config: Config, model: Architecture) -> None:
    from trainer import weight_files

    expected, received = FAMILIES[model.name].normalize, config.data.normalize
    match = getattr(model, "weights_match", "base")
    if model.weights in (None, "imagenet") or expected in (None, received) or match != "base":
        return
    if weight_files.is_keras2(str(model.weights)):  # a Keras Applications file
        raise UserError(
            f"data.normalize: expected {expected}, because {model.weights} has the weights of Keras Applications for "
            f"{model.name}; received {received} (--set data.normalize={expected})"
        )


def check_single_process(tf_config: str) -> None:
    """Checks that TF_CONFIG does not name several workers, because all nodes run in this process.

    Raises:
      UserError: when it does, or cannot be parsed.
    """
    if not tf_config:
        return
    from trainer import devices  # imports TensorFlow

    try:
        workers = devices.count_workers(tf_config)
    except devices.Unusable as error:
        raise UserError(str(error)) from None
    if workers > 1:
        raise UserError(f"expected one process, received TF_CONFIG with {workers} workers; unset TF_CONFIG")
