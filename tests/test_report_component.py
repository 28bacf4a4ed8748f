"""The report's node with a cluster's parameters, and a page of many classes."""

import json

import numpy as np

from components.artifacts import RunReport
from components.photos import Photos
from components.report import component as report
from components.report.data import describe
from components.report.evaluation import evaluate
from components.report.page import Pictures, render
from components.report.sources import Sources
from pipeline import settings
from tests.parsed import Page
from trainer.section import merged


def test_the_settings_are_those_of_the_run(tmp_path):
    """A cluster's parameters take the place of what was compiled; -1 is a computed floor, and a number elsewhere."""
    artifact = RunReport()
    artifact.uri = str(tmp_path / "Report" / "report" / "7")
    given = settings.load().model_dump(mode="json")
    compiled = merged(given, {"evaluator.min_accuracy": 0.6, "evaluator.min_class_recall": 0.6})
    said = {"min_accuracy": -1.0, "min_class_recall": 0.3, "max_accuracy_drop": -1.0, "epochs": 4, "data": "gs://b/c"}
    properties = {"settings": json.dumps(compiled), "nodes": "{}", "code": "", "command": "", **said}
    report.Executor().Do({}, {"report": [artifact]}, properties)
    (file,) = tmp_path.glob("**/report.json")
    shown = json.loads(file.read_text())["lineage"]["settings"]
    assert shown["evaluator"] == {"min_accuracy": None, "min_class_recall": 0.3, "max_accuracy_drop": -1.0}
    assert (shown["trainer"]["epochs"], shown["data"]["directory"]) == (4, "gs://b/c")


def test_a_hundred_classes_are_listed_and_their_confusion_is_cut_short(tmp_path):
    names = [f"class of the number {index}" for index in range(100)]
    true = np.arange(100).repeat(2)
    none, digests = np.zeros(200), np.arange(1600).reshape(200, 8).astype(np.uint16).astype(np.uint8)
    digests[:, 0] = np.arange(200)
    each_odd_as_the_one_before = np.eye(100)[true // 2 * 2]
    predicted = {digest.tobytes(): row for digest, row in zip(digests, each_odd_as_the_one_before, strict=True)}
    seen = Photos(200, np.arange(200), true, np.full([200, 2], 8), none, none, np.zeros([200, 3]), digests)
    numbers = {
        "name": "many",
        "verdict": None,
        "data": {"classes": names, "splits": {"eval": describe(seen, names)}, "anomalies": [], "drift": None,
                 "same_as_baseline": False},
        "training": None,
        "evaluation": evaluate(predicted, seen, names),
        "sections": [],
        "lineage": {"nodes": [], "versions": {}, "code": "", "command": ""},
    }  # fmt: skip
    config = settings.load(changes={"data.classes": names, "data.directory": "/data"})
    text = Page(render(numbers, Pictures([], {}), Sources(config.model_dump(mode="json")), str(tmp_path))).text
    assert "The pairs most often taken for one another, of 100 classes" in text
    assert all(name in text for name in names)
