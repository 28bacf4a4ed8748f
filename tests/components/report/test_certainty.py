"""What the report says about certainty and unfamiliar photos."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax

from components import photos, prediction_files, predictions
from components.report.make import make
from components.report.sources import Sources
from tests.helpers.parsed import Page
from tests.helpers.report_run import CHECKS, changed, write
from tests.helpers.report_sources import HISTORY


def test_promised_and_measured_certainty(report, complete):
    numbers, page, _ = report
    probabilities = np.stack(list(prediction_files.read(complete.folder("Evaluator.evaluation")).values()))
    sure, sets = numbers["evaluation"]["sure"], numbers["evaluation"]["sets"]
    assert sure["coverage"]["value"] == np.mean(probabilities.max(axis=1) >= 0.4)
    assert 0 < sure["accuracy"]["n"] < 15
    assert (sure["curve"][-1]["coverage"], sure["curve"][-1]["accuracy"]) == (
        1,
        numbers["evaluation"]["accuracy"]["value"],
    )
    assert sum(each["photos"] for each in sets["sizes"]) == sets["coverage"]["n"] == 15
    assert sets["mean_size"] == sum(each["size"] * each["photos"] for each in sets["sizes"]) / 15
    text = " ".join(Page(page).text.split())
    assert "is sure (sure) of a photo from the probability 0.4000." in text
    assert "promised (eval)37.5 % 13.7 to 69.4 80.0 % 49.0 to 94.3 8 of 10 photos" in text
    assert "8 sure eval photos: the lower bound 13.7 % is below the wanted accuracy 30.0 %" in text
    assert "at least the promised fraction of sets contains the true class" in text
    before = numbers["evaluation"]["calibration"]["before"]
    confidence = softmax(2 * np.log(probabilities.astype(float)), axis=1).max(axis=1)
    assert sum(each["n"] * each["confidence"] for each in before["bins"]) == pytest.approx(confidence.sum())


@pytest.mark.parametrize(("coverage", "accuracy", "noted"), [(0.8, 1.0, False), (0.1, 1.0, True)])
def test_a_promise_of_few_photos_has_a_notice(complete, tmp_path, coverage, accuracy, noted):
    history = HISTORY | {"fitted": HISTORY["fitted"] | {"sure_coverage": coverage, "sure_accuracy": accuracy}}
    write(tmp_path / "model_run", "history.json", json.dumps(history))
    make(changed(complete, {"Trainer.model_run": str(tmp_path / "model_run"), "Trainer.model": None}), str(tmp_path))
    text = " ".join(Page((tmp_path / "report.html").read_text()).text.split())
    assert ("is below the wanted accuracy 30.0 %" in text) == noted == ("1 sure eval photo:" in text)


@pytest.mark.parametrize(("epochs", "times", "of_probe"), [(2, 5, 0), (0, 3, 2)])
def test_values_on_the_photos_that_chose_them_are_marked(complete, report, tmp_path, epochs, times, of_probe):
    """Verdict, calibration, sure, sets and model card. The accuracy of a fitted last layer does not depend on eval."""
    recipe = HISTORY["recipe"] | {"embeddings": {"trunks": []}}
    write(tmp_path / "model_run", "history.json", json.dumps(HISTORY | {"epochs": epochs, "recipe": recipe}))
    examples = complete.folder("ImportExampleGen.examples")
    serialized = list(photos.serialized_examples(examples, "eval").as_numpy_iterator())
    judged = _unfamiliar(complete, tmp_path, serialized, np.ones(10))
    judged = changed(judged, {"Trainer.model_run": str(tmp_path / "model_run")})._replace(judged="eval")
    make(judged, str(tmp_path))
    text = Page((tmp_path / "report.html").read_text()).text
    same = "Chosen on the same photos, so these values are too good."
    probe = "Calibration, thresholds and prediction sets were chosen on the same photos"
    assert (text.count(same), text.count(probe)) == (times, of_probe)
    assert same not in report[1] and probe not in report[1]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"threshold": None, "quantile": None}, "No threshold is set"),
        ({"threshold": 2.0, "sure_coverage": 0.0, "sure_accuracy": None}, "no threshold reaches the accuracy 30.0"),
        ({"quantile": 1.05}, "Every set has all classes"),
    ],
)
def test_a_model_without_certainty(complete, tmp_path, changes, says):
    history = HISTORY | {"fitted": HISTORY["fitted"] | changes}
    write(tmp_path / "model_run", "history.json", json.dumps(history))
    make(changed(complete, {"Trainer.model_run": str(tmp_path / "model_run")}), str(tmp_path))
    assert says in Page((tmp_path / "report.html").read_text()).text


def test_a_run_of_a_version_with_a_temperature_only(complete, tmp_path):
    history = HISTORY | {"fitted": {"temperature": 2.0, "photos": 10}}
    write(tmp_path / "model_run", "history.json", json.dumps(history))
    make(changed(complete, {"Trainer.model_run": str(tmp_path / "model_run"), "Trainer.model": None}), str(tmp_path))
    assert "No threshold is set" in Page((tmp_path / "report.html").read_text()).text


def test_a_run_of_a_version_without_a_temperature(complete, tmp_path):
    history = {key: value for key, value in HISTORY.items() if key != "fitted"}
    write(tmp_path / "model_run", "history.json", json.dumps(history))
    numbers = make(changed(complete, {"Trainer.model_run": str(tmp_path / "model_run")}), str(tmp_path))
    assert numbers["evaluation"]["calibration"]["before"] is numbers["evaluation"]["sets"] is None
    assert "before the logits were divided" not in (tmp_path / "report.html").read_text()


def _unfamiliar(complete: Sources, folder: Path, serialized: list[bytes], familiar: np.ndarray) -> Sources:
    """Returns the sources of a run whose first ten predictions are correct, and whose photos are this familiar."""
    labels = np.arange(len(serialized)) % 5
    probabilities = np.eye(5)[np.where(np.arange(len(serialized)) < 10, labels, (labels + 1) % 5)]
    values = {"probabilities": probabilities, "familiar": familiar, "status": np.full(len(serialized), b"")}
    batch = {"input": serialized, "labels": labels, "predictions": values}
    write(folder / "evaluation", "checks.json", json.dumps(CHECKS))
    with tf.io.TFRecordWriter(str(folder / "evaluation" / "predictions-0.gz"), "GZIP") as writer:
        for each in predictions._examples(batch):
            writer.write(each)
    return changed(complete, {"Evaluator.evaluation": str(folder / "evaluation"), "Trainer.model": None})


def test_unfamiliar_photos_are_counted(complete, tmp_path, report):
    assert report[0]["evaluation"]["familiar"] is None and "Unfamiliar photos" not in report[1]
    serialized = list(
        photos.serialized_examples(complete.folder("ImportExampleGen.examples"), "test").as_numpy_iterator()
    )
    familiar = np.where(np.arange(15) >= 12, (15 - np.arange(15)) / 100, 0.05)
    found = make(_unfamiliar(complete, tmp_path, serialized, familiar), str(tmp_path))["evaluation"]["familiar"]
    assert (found["limit"], found["unfamiliar"]["value"], found["unfamiliar"]["n"]) == (0.05, 0.2, 15)
    assert found["accuracy"]["unfamiliar"]["value"] == 0
    assert found["accuracy"]["others"]["value"] == 10 / 12
    text = " ".join(Page((tmp_path / "report.html").read_text()).text.split())
    assert "3 photos of the test split (20.0 %) are unfamiliar: familiar is below 0.05." in text
    assert "These photos look unlike the training photos. About 5 % is normal." in text
    assert [each["record"] for each in found["photos"]] == [14, 13, 12]  # the least familiar first
    assert {each["file"] for each in found["photos"]} == {"photo 12", "photo 13", "photo 14"}
    assert "familiar 0.010photo 14" in text and "more, with larger" not in text
    alts = Page((tmp_path / "report.html").read_text()).values("alt")
    assert [alt for alt in alts if "unfamiliar" in alt] == [
        f"an unfamiliar photo of the class {each['true']}" for each in found["photos"]
    ]


def test_the_least_familiar_photos_are_shown_and_the_others_counted(complete, tmp_path):
    serialized = list(
        photos.serialized_examples(complete.folder("ImportExampleGen.examples"), "test").as_numpy_iterator()
    )
    found = make(_unfamiliar(complete, tmp_path, serialized, np.zeros(15)), str(tmp_path))["evaluation"]["familiar"]
    assert len(found["photos"]) == 12 and found["unfamiliar"]["value"] == 1
    text = " ".join(Page((tmp_path / "report.html").read_text()).text.split())
    assert "3 more photos, with larger values of familiar." in text
