"""The Report node with parameters of a cluster, and a page with many classes."""

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
from tests.helpers.parsed import Page
from trainer.section import with_changes


def test_the_report_shows_the_settings_of_the_run(tmp_path):
    """The parameters replace compiled settings. -1 means a computed floor, but is a plain number for other settings."""
    artifact = RunReport()
    artifact.uri = str(tmp_path / "Report" / "report" / "7")
    defaults = settings.load().model_dump(mode="json")
    compiled = with_changes(defaults, {"evaluator.min_accuracy": 0.6, "evaluator.min_class_recall": 0.6})
    parameters = {
        "min_accuracy": -1.0,
        "min_class_recall": 0.3,
        "max_accuracy_drop": -1.0,
        "epochs": 4,
        "data": "gs://b/c",
    }
    properties = {"settings": json.dumps(compiled), "nodes": "{}", "code": "", "command": "", **parameters}
    report.Executor().Do({}, {"report": [artifact]}, properties)
    (file,) = tmp_path.glob("**/report.json")
    shown = json.loads(file.read_text())["lineage"]["settings"]
    assert shown["evaluator"] == {"min_accuracy": None, "min_class_recall": 0.3, "max_accuracy_drop": -1.0}
    assert (shown["trainer"]["epochs"], shown["data"]["directory"]) == (4, "gs://b/c")


def test_a_hundred_classes_are_listed_with_the_most_frequent_confusions(tmp_path):
    names = [f"class of the number {index}" for index in range(100)]
    true = np.arange(100).repeat(2)
    zeros, digests = np.zeros(200), np.arange(1600).reshape(200, 8).astype(np.uint16).astype(np.uint8)
    digests[:, 0] = np.arange(200)
    odd_classes_predicted_as_the_previous_class = np.eye(100)[true // 2 * 2]
    predicted = {
        digest.tobytes(): row for digest, row in zip(digests, odd_classes_predicted_as_the_previous_class, strict=True)
    }
    photos = Photos(200, np.arange(200), true, np.full([200, 2], 8), zeros, zeros, np.zeros([200, 3]), digests)
    numbers = {
        "name": "many",
        "verdict": None,
        "data": {"classes": names, "splits": {"eval": describe(photos, names)}, "anomalies": [], "drift": None,
                 "same_as_baseline": False},
        "training": None,
        "evaluation": evaluate(predicted, photos, names),
        "sections": [],
        "lineage": {"nodes": [], "versions": {}, "code": "", "command": ""},
    }  # fmt: skip
    config = settings.load(changes={"data.classes": names, "data.directory": "/data"})
    text = Page(render(numbers, Pictures([], {}), Sources(config.model_dump(mode="json")), str(tmp_path))).text
    assert "The most frequent confusions among 100 classes" in text
    assert all(name in text for name in names)
