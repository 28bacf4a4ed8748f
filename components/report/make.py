"""Makes a report from what a run has left, be it all or little."""

import json
import platform
from importlib.metadata import version
from typing import Any

import tensorflow as tf

from components import photos
from components.photos import Photos
from components.report import data, evaluation, page, sections
from components.report.page import Pictures
from components.report.sources import NUMBERS, REPORT, Sources
from components.report.thumbnails import thumbnails
from trainer.features import CHECKS, HISTORY
from trainer.intervals import is_undecided

_SAMPLES, _SAMPLES_IN_ALL = 4, 60
_SAMPLE_SIDE, _MISTAKE_SIDE = 112, 160


def make(sources: Sources, to: str) -> dict[str, Any]:
    """Writes `report.html` and `report.json` into the folder `to`; returns the numbers (see `components.report`)."""
    numbers, pictures = _collect(_present(sources))
    numbers |= {"sections": sections.read(sources), "lineage": _lineage(sources)}
    html = page.render(numbers, pictures, sources, to)
    tf.io.gfile.makedirs(to)
    for name, text in ((REPORT, html), (NUMBERS, json.dumps(numbers, indent=2))):
        with tf.io.gfile.GFile(part := f"{to}/.{name}.part", "w") as file:
            file.write(text)
        tf.io.gfile.rename(part, f"{to}/{name}", overwrite=True)
    return numbers


def _present(sources: Sources) -> Sources:
    """Returns the sources without folders that no longer exist."""
    nodes = []
    for node in sources.nodes:
        folders = {output: folder for output, folder in node.artifacts.items() if tf.io.gfile.isdir(folder)}
        nodes += [node._replace(artifacts=folders)] if folders else []
    return sources._replace(nodes=nodes)


def _collect(sources: Sources) -> tuple[dict[str, Any], Pictures]:
    classes = list(sources.settings["data"]["classes"])
    examples = sources.folder("ImportExampleGen.examples")
    seen = _photos(examples, sources.folder("DataGate.table"))
    numbers = {
        "format": 2,
        "name": sources.settings["name"],
        "verdict": _verdict(sources),
        "data": _data(sources, seen, classes),
        "training": _read(sources.folder("Trainer.model_run"), HISTORY),
        "evaluation": _evaluation(sources, seen, classes),
    }
    mistakes = numbers["evaluation"]["mistakes"] if numbers["evaluation"] else []
    places = [each["record"] for each in mistakes]
    return numbers, Pictures(
        samples=_samples(examples, seen, classes),
        mistakes=thumbnails(str(examples), "eval", places, _MISTAKE_SIDE),
    )


def _photos(examples: str | None, table: str | None) -> dict[str, Photos]:
    """Returns the photos of each split: from the data gate's table or, if the gate has not passed, by decoding them."""
    if not examples:
        return {}
    splits = photos.splits(examples)
    return {split: photos.read(table, split) if table else photos.measure(examples, split) for split in splits}


def _verdict(sources: Sources) -> dict[str, Any] | None:
    checks = _read(sources.folder("Evaluator.evaluation"), CHECKS)
    blessing = sources.folder("Evaluator.blessing")
    if checks is None or not blessing:
        return None
    for check in checks:
        check["margin"] = None if check["value"] is None else check["value"] - check["floor"]
        check["undecided"] = is_undecided(check["floor"], check["low"], check["high"])
    blessed = tf.io.gfile.exists(f"{blessing}/BLESSED")
    return {"blessed": blessed, "pushed_to": sources.pushed_to or None, "checks": checks}


def _data(sources: Sources, seen: dict[str, Photos], classes: list[str]) -> dict[str, Any] | None:
    if not seen:
        return None
    baseline = None if sources.set_aside else sources.folder("LatestBlessedModel.examples")
    same = baseline == sources.folder("ImportExampleGen.examples")
    before = seen if same else _photos(baseline, sources.folder("LatestBlessedModel.table"))
    splits = [split for split in seen if split in before]
    return {
        "classes": classes,
        "splits": {split: data.describe(each, classes) for split, each in seen.items()},
        "anomalies": data.anomalies(anomalies) if (anomalies := sources.folder("ExampleValidator.anomalies")) else None,
        "drift": {split: data.drift(before[split], seen[split], len(classes)) for split in splits} or None,
        "baseline": baseline,
        "same_as_baseline": same,
    }


def _evaluation(sources: Sources, seen: dict[str, Photos], classes: list[str]) -> dict[str, Any] | None:
    folder = sources.folder("Evaluator.evaluation")
    predicted = evaluation.read(folder) if folder and "eval" in seen else None
    return evaluation.evaluate(predicted, seen["eval"], classes) if predicted else None


def _lineage(sources: Sources) -> dict[str, Any]:
    nodes = [
        node._asdict() | {"reads": [name for name in node.reads if sources.folder(name)]} for node in sources.nodes
    ]
    versions = {name: version(name) for name in ("tfx", "tensorflow", "keras")}
    return {
        "nodes": nodes,
        "settings": sources.settings,
        "versions": versions | {"python": platform.python_version()},
        "code": sources.code,
        "command": sources.command,
    }


def _samples(examples: str | None, seen: dict[str, Photos], classes: list[str]) -> list[list[str]]:
    """Returns the first photos of each class, from the split that trains."""
    if not examples or "train" not in seen:
        return []
    most = max(1, min(_SAMPLES, _SAMPLES_IN_ALL // len(classes)))
    labels, places = seen["train"].labels, seen["train"].places
    first = [places[labels == index][:most].tolist() for index in range(min(len(classes), _SAMPLES_IN_ALL))]
    small = thumbnails(examples, "train", [place for row in first for place in row], _SAMPLE_SIDE)
    return [[small[place] for place in row] for row in first]


def _read(folder: str | None, name: str) -> Any:
    """Returns what a JSON file of an artifact holds; None where there is none."""
    if not folder or not tf.io.gfile.exists(f"{folder}/{name}"):
        return None
    with tf.io.gfile.GFile(f"{folder}/{name}") as file:
        return json.loads(file.read())
