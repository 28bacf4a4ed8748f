"""The Report node with parameters of a cluster, and a page with many classes."""

import json
from collections.abc import Sequence

import numpy as np

from components.artifacts import RunReport
from components.photos import Photos
from components.report import component as report
from components.report import explanations, pushed
from components.report.data import describe
from components.report.evaluation import evaluate
from components.report.make import make
from components.report.page import Pictures, render
from components.report.sources import VERSION_REPORT, VERSION_VERDICT, Sources
from pipeline import settings
from tests.helpers import browser
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
    thresholds = {"min_accuracy": None, "min_class_recall": 0.3, "max_accuracy_drop": -1.0}
    assert {key: shown["evaluator"][key] for key in thresholds} == thresholds
    assert (shown["trainer"]["epochs"], shown["data"]["directory"]) == (4, "gs://b/c")


def _photos(labels: Sequence[int], names: Sequence[bytes]) -> Photos:
    n = len(labels)
    zeros, digests = np.zeros(n), np.zeros([n, 8], np.uint8)
    digests[:, 0] = np.arange(n)
    return Photos(np.array(labels), np.full([n, 2], 8), zeros, zeros, np.zeros([n, 3]), digests, np.array(names))


def _predictions(photos: Photos, predicted: np.ndarray, classes: int) -> dict[bytes, np.ndarray]:
    """Returns probabilities of 1 for the predicted classes, as `evaluation.read` does."""
    return {each.tobytes(): row for each, row in zip(photos.digests, np.eye(classes)[predicted], strict=True)}


def _page(tmp_path, names: list[str], photos: Photos, predicted: np.ndarray, judged: str) -> Page:
    """Returns the page of a run without artifacts, given the predicted class of each photo."""
    numbers = {
        "name": "many",
        "judged_split": judged,
        "verdict": None,
        "data": {"classes": names, "splits": {judged: describe(photos, names)}, "left_out": None,
                 "edits": None, "anomalies": [], "drift": None, "same_as_baseline": False},
        "training": None,
        "evaluation": evaluate(_predictions(photos, predicted, len(names)), photos, names),
        "sections": [],
        "lineage": {"nodes": [], "versions": {}, "code": "", "command": ""},
    }  # fmt: skip
    for mistake in numbers["evaluation"]["mistakes"]:
        mistake |= {"nearest": None, "occlusion": None}
    config = settings.load(changes={"data.classes": names, "data.directory": "/data"})
    sources = Sources(config.model_dump(mode="json"), judged=judged)
    html = render(numbers, Pictures([], explanations.Pictures({}, {}, {}), {}), sources, str(tmp_path))
    (tmp_path / "page.html").write_text(html)
    return Page(html)


def test_a_hundred_classes_are_listed_with_the_most_frequent_confusions(tmp_path):
    names = [f"class of the number {index}" for index in range(100)]
    true = np.arange(100).repeat(2)
    odd_classes_predicted_as_the_previous_class = true // 2 * 2
    photos = _photos(true, [b"photo"] * 200)
    text = _page(tmp_path, names, photos, odd_classes_predicted_as_the_previous_class, "eval").text
    assert "The most frequent confusions among 100 classes" in text
    assert all(name in text for name in names)


def test_long_names_do_not_make_a_phone_scroll_sideways(tmp_path):
    names, photos = ["x" * 120, "y" * 120], _photos([0, 1, 0], [b"z" * 199 + b".jpg"] * 3)
    _page(tmp_path, names, photos, np.array([1, 1, 0]), "test")
    view = browser.look(tmp_path / "page.html")
    assert view.width <= 380


LONG = "a-folder-with-a-long-name/" + "x" * 200 + "/photo-17.jpg"
FILES = {  # the name in a record: what report.json has, and what the page shows
    b"roses/1.jpg": ("roses/1.jpg", "roses/1.jpg"),
    b"flowers00-230.tfrec record 7": ("flowers00-230.tfrec record 7", "flowers00-230.tfrec record 7"),
    b"": (None, "record 2"),
    LONG.encode(): (LONG, "a-folder-with-a-lon…xxxxxx/photo-17.jpg"),
    b"<b>'\">&amp;.jpg": ("<b>'\">&amp;.jpg", "<b>'\">&amp;.jpg"),
    "\u06a9\u200c\u202e.jpg".encode(): ("\u06a9\u200c\u202e.jpg", "\u06a9\u200c\u202e.jpg"),
    b"\x1b[31m\n\xff.jpg": ("\\x1b[31m\\n\\xff.jpg", "\\x1b[31m\\n\\xff.jpg"),
}


def test_a_mistake_names_its_file(tmp_path):
    photos = _photos([0] * len(FILES), list(FILES))
    page = _page(tmp_path, ["cat", "dog"], photos, np.ones(len(FILES), int), "test")
    found = evaluate(_predictions(photos, np.ones(len(FILES), int), 2), photos, ["cat", "dog"])["mistakes"]
    assert [each["file"] for each in found] == [file for file, _ in FILES.values()]
    assert [each["record"] for each in found] == list(range(len(FILES)))
    for _, shown in FILES.values():
        assert shown in page.text
    assert [attrs["title"] for tag, attrs in page.elements if tag == "bdi" and attrs] == [LONG]


def test_a_pushed_version_that_is_deleted_is_not_made_again(report, tmp_path, caplog):
    numbers, html, _ = report
    version = tmp_path / "pushed" / "7"
    pushed.add(str(version), html, numbers)
    assert not version.exists()
    assert f"{version} was deleted, so the report is not stored there" in caplog.text


def test_a_version_that_cannot_be_written_is_a_warning(complete, tmp_path, caplog):
    version = tmp_path / "pushed" / "7"
    version.mkdir(parents=True)
    (version / "saved_model.pb").touch()
    (version / "assets.extra").touch()  # where a folder is needed; root may write to a read-only folder
    make(complete, str(tmp_path / "report"), str(version))
    assert (tmp_path / "report" / "report.html").exists()
    assert f"the report cannot be stored in {version}: " in caplog.text
    assert (version / "assets.extra").read_bytes() == b""


def test_the_copy_in_a_pushed_version(complete, report, tmp_path):
    """It has no links to artifacts, which a server does not have; otherwise it is the report."""
    version = tmp_path / "pushed" / "7"
    version.mkdir(parents=True)
    (version / "saved_model.pb").touch()
    for _ in range(2):  # the second report replaces the first
        numbers = make(complete, str(tmp_path / "report"), str(version))
    copy, original = Page((version / VERSION_REPORT).read_text()), Page(report[1])
    targets = [attrs["href"] for tag, attrs in copy.elements if tag == "a"]
    assert targets and all(each.startswith("#") for each in targets)
    assert not all(attrs["href"].startswith("#") for tag, attrs in original.elements if tag == "a")
    assert copy.text.count("Refused by the gate") == 1 and "report.json" not in copy.text
    verdict = json.loads((version / VERSION_VERDICT).read_text())
    assert (verdict["blessed"], verdict["split"]) == (False, "test")
    assert [each.pop("decimals") for each in verdict["checks"]] == [4, 4, 4]
    assert verdict["checks"] == numbers["verdict"]["checks"]
    assert sorted(each.name for each in (version / "assets.extra").iterdir()) == ["report.html", "verdict.json"]
