"""What the report says about the training."""

import json
import re
from pathlib import Path

from components.report import charts
from components.report.make import make
from components.report.sources import Sources
from tests.helpers.parsed import Page
from tests.helpers.report_run import changed, write
from tests.helpers.report_sources import HISTORY, sources


def _with_history(complete: Sources, folder: Path, history: dict) -> str:
    """Writes the report of a run whose Trainer recorded this; returns its text."""
    run = write(folder / "model_run", "history.json", json.dumps(history))
    make(changed(complete, {"Trainer.model_run": run}), str(folder))
    return " ".join(Page((folder / "report.html").read_text()).text.split())


def _fitted(name: str) -> dict:
    """Returns the record of a model whose last layer is fitted, without epochs."""
    trunks = {"trunks": [{"name": "efficientnet_lite0", "weights": "imagenet"}]}
    trainer = {"seed": 3, "balance": "none", "epochs": 77, "batch_size": 55}
    recipe = HISTORY["recipe"] | {"model": {"name": name, "weights": None}, "embeddings": trunks, "trainer": trainer}
    one = {"accuracy": [0.5], "val_accuracy": [0.4], "loss": [1.0], "val_loss": [1.5], "seconds": [2.0]}
    figures = {"epochs": 0, "best_epoch": 0, "head": {"strength": 0.1}, "global_batch": 1234, "history": one}
    return HISTORY | figures | {"recipe": recipe}


def test_a_probe_shows_only_what_applies(complete, tmp_path):
    text = _with_history(complete, tmp_path, _fitted("probe"))
    assert "fitted to the embeddings of 1,234 photos" in text and "there are no epochs" in text
    training = text.partition("inverse L2 strength")[2].partition("Evaluation")[0]
    for word in ("replicas", "batch", "precision", "devices", "epochs: 77", "weights_match", "images/s"):
        assert word not in training, word
    assert "trainer: seed: 3 balance: none" in training and "efficientnet_lite0" in training


def test_a_fine_tuning_without_an_epoch(complete, tmp_path):
    text = _with_history(complete, tmp_path, _fitted("efficientnet_lite0"))
    assert "no epoch of the fine-tuning fitted in the time" in text and "epochs: 77" in text


def test_the_start_of_a_fine_tuning_may_be_exported(complete, tmp_path):
    """The rule at 0 is inside the chart."""
    history = HISTORY | {"best_epoch": 0, "head": {"strength": 0.1}}
    text = _with_history(complete, tmp_path, history)
    assert "Loss by epoch (dashed: the exported model, before the first epoch)" in text
    (start, _), (end, _) = _ends(charts.curve({"": [2.0, 1.0]}, 0))
    assert 0 < start < end < 320


def _ends(svg: str) -> list[tuple[float, float]]:
    """Returns the first and the last point of a chart's line."""
    path = next(each for each in re.findall(r'd="M([^"Z]*)"', svg.partition("mark-line")[2]))
    points = [tuple(map(float, point.split(","))) for point in path.split("L")]
    return [points[0], points[-1]]


def test_balanced_classes_have_their_shares_before_and_after(complete, tmp_path):
    classes = {"a <b>": {"photos": 30, "factor": 0.6667}, "c": {"photos": 10, "factor": 2.0}}
    history = HISTORY | {"balance": {"method": "sampling", "classes": classes}}
    run = write(tmp_path / "model_run", "history.json", json.dumps(history))
    numbers = make(sources(complete.settings, {"Trainer.model_run": run}), str(tmp_path))
    assert numbers["training"]["balance"]["classes"] == classes
    text = " ".join(Page((tmp_path / "report.html").read_text()).text.split())  # with plain spaces
    assert (
        "acts like" not in text and "trainer.balance: sampling" in text and "how often a photo is in an epoch" in text
    )
    for cells in ("a <b>3075.0 %0.66750.0 %", "c1025.0 %250.0 %"):  # photos, share, factor, share
        assert cells in text
    history |= {"balance": history["balance"] | {"method": "loss"}}
    history |= {"recipe": HISTORY["recipe"] | {"trainer": {"balance": "sampling"}}}
    text = _with_history(complete, tmp_path, history)
    assert "trainer.balance: sampling changes" in text and "so sampling acts like loss." in text
