"""Writes the report of a run, which may be incomplete: sections whose sources are missing are empty."""

import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import tensorflow as tf

from components import edits, photos, prediction_files
from components.anomalies import read_anomalies
from components.photos import Photos
from components.quarantine import read_counts
from components.report import added_sections, data, embedding_drift, evaluation, explanations, page
from components.report.page import Pictures
from components.report.sources import NUMBERS, REPORT, Sources
from components.report.thumbnails import thumbnails
from storage.local_paths import with_uris
from trainer.features import CHECKS, HISTORY
from trainer.intervals import is_undecided

_SAMPLES_PER_CLASS, _SAMPLES = 4, 60
_SAMPLE_SIDE = 112


def make(sources: Sources, to: str, version: str = "") -> dict[str, Any]:
    """Writes `report.html` and `report.json` into a folder; returns the numbers (see `components.report`).

    Args:
      sources: what the report is made from.
      to: the folder.
      version: the folder of the pushed version that receives a copy; '' for no copy.
    """
    numbers, pictures = _collect(_existing(sources))
    found = added_sections.read(_existing(sources))
    numbers |= {"sections": list(map(added_sections.without_pictures, found)), "lineage": _lineage(sources)}
    numbers, found = with_uris(numbers), with_uris(found)
    html = page.render(numbers | {"sections": found}, pictures, sources, to)
    tf.io.gfile.makedirs(to)
    for name, text in ((REPORT, html), (NUMBERS, json.dumps(numbers, indent=2))):
        with tf.io.gfile.GFile(part := f"{to}/.{name}.part", "w") as file:
            file.write(text)
        tf.io.gfile.rename(part, f"{to}/{name}", overwrite=True)
    if version and numbers["verdict"]:
        from components.report import pushed  # imports TFX, which `lineage report` does without

        pushed.add(version, page.render(numbers | {"sections": found}, pictures, sources), numbers)
    return numbers


def _existing(sources: Sources) -> Sources:
    """Returns the sources without folders that no longer exist."""
    nodes = []
    for node in sources.nodes:
        folders = {output: folder for output, folder in node.artifacts.items() if tf.io.gfile.isdir(folder)}
        nodes += [node._replace(artifacts=folders)] if folders else []
    return sources._replace(nodes=nodes)


def _collect(sources: Sources) -> tuple[dict[str, Any], Pictures]:
    examples = sources.folder("ImportExampleGen.examples")
    splits = _photos(examples, sources.folder("ImportExampleGen.table"))
    numbers = {
        "format": 3,
        "name": sources.name,
        "judged_split": sources.judged,
        "verdict": _verdict(sources),
        "data": _data(sources, splits) if splits else None,
        "training": _training(sources),
        "evaluation": _evaluation(sources, splits),
    }
    evaluated: dict[str, Any] = numbers["evaluation"] or {"mistakes": [], "familiar": None}
    unfamiliar = [each["record"] for each in evaluated["familiar"]["photos"]] if evaluated["familiar"] else []
    return numbers, Pictures(
        samples=_samples(str(examples), splits["train"], len(sources.classes)) if "train" in splits else [],
        of_mistakes=explanations.add(evaluated["mistakes"], sources, splits),
        unfamiliar=thumbnails(str(examples), sources.judged, unfamiliar, _SAMPLE_SIDE),
    )


def _photos(examples: str | None, table: str | None) -> dict[str, Photos]:
    """Returns the photos of each split from ExampleGen's table."""
    return {split: photos.read(table, split) for split in photos.splits(examples)} if examples and table else {}


def _verdict(sources: Sources) -> dict[str, Any] | None:
    checks = _read_json(sources.folder("Evaluator.evaluation"), CHECKS)
    blessing, served = sources.folder("Evaluator.blessing"), sources.folder("ServingCheck.blessing")
    if checks is None or not blessing:
        return None
    checks += _read_json(served, CHECKS) or []
    for check in checks:
        for name, value in {"comparison": "", "upper": False, "problem": ""}.items():
            check.setdefault(name, value)  # runs of older versions lack them
        sign = -1 if check["upper"] else 1
        check["margin"] = None if check["value"] is None else sign * (check["value"] - check["floor"])
        check["undecided"] = is_undecided(check["floor"], check["low"], check["high"])
    blessed = tf.io.gfile.exists(f"{blessing}/BLESSED") and not tf.io.gfile.exists(f"{served}/INFRA_NOT_BLESSED")
    return {"blessed": blessed, "pushed_to": sources.pushed_to or None, "checks": checks}


def _data(sources: Sources, splits: Mapping[str, Photos]) -> dict[str, Any]:
    baseline = None if sources.set_aside else sources.folder("LatestBlessedModel.examples")
    same = baseline == sources.folder("ImportExampleGen.examples")
    baseline_splits = splits if same else _photos(baseline, sources.folder("LatestBlessedModel.table"))
    classes = sources.classes
    drift = {
        split: data.drift(baseline_splits[split], photos, len(classes))
        for split, photos in splits.items()
        if split in baseline_splits
    }
    if not same:
        before, now = (sources.folder(f"{node}.embeddings") for node in ("LatestBlessedModel", "Embeddings"))
        for split, distances in drift.items():
            if distances:
                distances["embeddings"] = embedding_drift.between(before, now, split)
    return {
        "classes": classes,
        "splits": {split: data.describe(each, classes) for split, each in splits.items()},
        "left_out": _left_out(sources.folder("ImportExampleGen.quarantine")),
        "edits": _edits(sources.folder("ImportExampleGen.quarantine")),
        "anomalies": _anomalies(sources.folder("ExampleValidator.anomalies")),
        "drift": drift or None,
        "baseline": baseline,
        "same_as_baseline": same,
    }


def _left_out(quarantine: str | None) -> dict[str, Any] | None:
    if not quarantine:
        return None
    counts = read_counts(quarantine)
    reasons = {reason: each.records for reason, each in counts.reasons.items()}
    return {"records": counts.bad, "lost": counts.lost, "reasons": reasons, "empty_files": counts.empty}


def _edits(quarantine: str | None) -> dict[str, Any] | None:
    edited = read_counts(quarantine).edited if quarantine else None
    return edited and {name: value for name, value in edited._asdict().items() if name != "records"}


def _anomalies(folder: str | None) -> list[dict[str, str]] | None:
    if not folder:
        return None
    return [anomaly._asdict() for split in photos.splits(folder) for anomaly in read_anomalies(folder, split)]


def _evaluation(sources: Sources, splits: Mapping[str, Photos]) -> dict[str, Any] | None:
    folder = sources.folder("Evaluator.evaluation")
    predicted = prediction_files.read(folder) if folder and sources.judged in splits else None
    training = _training(sources) or {}
    fitted = training.get("fitted")  # runs of older versions have none
    if not folder or not predicted:
        return None
    familiar = prediction_files.read_familiar(folder)
    was = edits.relabelled(str(sources.folder("ImportExampleGen.table")))
    return evaluation.evaluate(predicted, splits[sources.judged], sources.classes, fitted, familiar, was)


def _training(sources: Sources) -> Any:
    return _read_json(sources.folder("Trainer.model_run"), HISTORY)


def _lineage(sources: Sources) -> dict[str, Any]:
    nodes = [
        node._asdict() | {"reads": [name for name in node.reads if sources.folder(name)]} for node in sources.nodes
    ]
    # In the images, the package of TensorFlow is tensorflow-cpu or tensorflow-tpu.
    versions = {"tfx": version("tfx"), "tensorflow": tf.__version__, "keras": version("keras")}
    return {
        "nodes": nodes,
        "settings": sources.settings,
        "versions": versions | {"python": platform.python_version()},
        "code": sources.code,
        "command": sources.command,
    }


def _samples(examples: str, train: Photos, classes: int) -> list[list[str]]:
    """Returns the first photos of each class in the training split as data URIs, at most _SAMPLES photos in total."""
    count = max(1, min(_SAMPLES_PER_CLASS, _SAMPLES // classes))
    first = [train.record_numbers[train.labels == label][:count].tolist() for label in range(min(classes, _SAMPLES))]
    uris = thumbnails(examples, "train", [number for row in first for number in row], _SAMPLE_SIDE)
    return [[uris[number] for number in row] for row in first]


def _read_json(folder: str | None, name: str) -> Any:
    """Returns the content of a JSON file in the folder of an artifact; None if it does not exist."""
    if not folder or not tf.io.gfile.exists(f"{folder}/{name}"):
        return None
    with tf.io.gfile.GFile(f"{folder}/{name}") as file:
        return json.loads(file.read())
