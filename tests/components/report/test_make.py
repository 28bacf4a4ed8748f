"""The page and the numbers of a report, from complete, incomplete and hostile outputs of a run."""

import json
import re
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.types import standard_artifacts

from components import edits, photos, prediction_files, predictions, quarantine
from components.report import charts, sections
from components.report.make import make
from components.report.sources import Sources
from ingest.label_edits import Edits
from pipeline import settings
from testing import graphs
from testing.example_gen import write_table
from tests.helpers import browser, records
from tests.helpers.parsed import Page
from tests.helpers.report_sources import HISTORY, folders_of, sources
from trainer import embeddings, models
from trainer.export import export

CLASSES = ("daisy", "<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "a & b", "tulips")
PER_SPLIT = {"train": 30, "eval": 10, "test": 15}
CHECKS = [
    {"what": "accuracy", "value": 0.2, "floor": 0.5, "passed": False, "low": 0.09, "high": 0.39, "n": 30},
    {"what": f"recall of {CLASSES[1]}", "floor": 0.25, "passed": False, "n": 0}
    | dict.fromkeys(("value", "low", "high")),
    {"what": "recall of daisy", "value": 1.0, "floor": 0.25, "passed": True, "low": 0.2065, "high": 1.0, "n": 1},
]


def _write(folder: Path, name: str, text: str = "") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return str(folder)


def _examples(folder: Path, light: int = 0) -> str:
    for split, count in PER_SPLIT.items():
        (folder / f"Split-{split}").mkdir(parents=True)
        with tf.io.TFRecordWriter(str(folder / f"Split-{split}" / "data.gz"), "GZIP") as writer:
            for index in range(count):
                size = (40, 40) if index % 3 else (40, 60)
                photo = records.jpeg((10 * index % 200 + light, 60, light), size)
                writer.write(records.example(index % 5, photo).SerializeToString())
    return str(folder)


def _anomalies(folder: Path) -> str:
    found = anomalies_pb2.Anomalies()
    found.anomaly_info["label"].description = "unexpected value: <b>roses</b>"
    for split, anomalies in (
        ("train", anomalies_pb2.Anomalies()),
        ("eval", found),
        ("test", anomalies_pb2.Anomalies()),
    ):
        (folder / f"Split-{split}").mkdir(parents=True)
        (folder / f"Split-{split}" / "SchemaDiff.pb").write_bytes(anomalies.SerializeToString())
    return str(folder)


@pytest.fixture(scope="module")
def complete(tmp_path_factory) -> Sources:
    """The outputs of a run with 55 photos, hostile class names and an untrained model that was refused."""
    root = tmp_path_factory.mktemp("root")
    transform = graphs.build(root / "graph", [records.jpeg()], image_size=16)
    keras.utils.set_random_seed(7)  # with these weights, the model is sure of some photos
    export(models.build("softmax", (16, 16, 3), 5), transform, CLASSES, str(root / "model" / "Format-Serving"))
    config = settings.load(
        changes={"data.classes": CLASSES, "data.directory": "/data/<i>photos</i>", "data.image_size": 16}
    )
    examples = _examples(root / "examples")
    _predict(root / "model", f"{examples}/Split-test/data.gz", root / "evaluation")
    folders = {
        "ImportExampleGen.examples": examples,
        "ImportExampleGen.table": write_table(examples, str(root / "table")),
        "ExampleValidator.anomalies": _anomalies(root / "anomalies"),
        "Transform.transform_graph": str(root / "graph"),
        "Trainer.model": str(root / "model"),
        "Trainer.model_run": _write(root / "model_run", "history.json", json.dumps(HISTORY)),
        "Evaluator.evaluation": _write(root / "evaluation", "checks.json", json.dumps(CHECKS)),
        "Evaluator.blessing": _write(root / "blessing", "NOT_BLESSED"),
    }
    more = {"code": "0123456789abcdef", "command": "python local_runner.py --config settings.yaml", "root": str(root)}
    more["judged"] = "test"
    return sources(config.model_dump(mode="json"), folders, **more)


def _predict(model: Path, records_file: str, evaluation: Path) -> None:
    """Writes predictions like Evaluator, in the reverse order of the records, because Beam guarantees no order."""
    serialized = list(tf.data.TFRecordDataset(records_file, "GZIP").as_numpy_iterator())[::-1]
    serve = tf.saved_model.load(f"{model}/Format-Serving").signatures["serve_examples"]
    probabilities = serve(examples=tf.constant(serialized))["probabilities"].numpy()
    labels = np.arange(len(serialized))[::-1] % 5
    batch = {"input": serialized, "labels": labels, "predictions": {"probabilities": probabilities}}
    evaluation.mkdir()
    with tf.io.TFRecordWriter(str(evaluation / "predictions-00000-of-00001.gz"), "GZIP") as writer:
        for each in predictions._examples(batch):
            writer.write(each)


@pytest.fixture(scope="module")
def report(complete) -> tuple[dict, str, Path]:
    """The report of the complete run: its numbers, its page and its folder."""
    folder = Path(complete.root) / "Report" / "report" / "7"
    numbers = make(complete, str(folder))
    assert json.loads((folder / "report.json").read_text()) == numbers
    return numbers, (folder / "report.html").read_text(), folder


def test_the_numbers_match_the_records_and_the_model(report, complete):
    numbers, _, _ = report
    splits = numbers["data"]["splits"]
    assert {split: each["examples"] for split, each in splits.items()} == PER_SPLIT
    assert [each["per_class"] for each in splits.values()] == [dict.fromkeys(CLASSES, n) for n in (6, 2, 3)]
    assert splits["test"]["sizes"] == [
        {"width": 40, "height": 40, "count": 10},
        {"width": 60, "height": 40, "count": 5},
    ]
    assert splits["test"]["green"]["mean"] == pytest.approx(60 / 255, abs=0.01)
    assert sum(splits["train"]["brightness_histogram"]) == pytest.approx(1)
    assert numbers["data"]["anomalies"] == [
        {"split": "eval", "feature": "label", "what": "unexpected value: <b>roses</b>"}
    ]
    evaluation = numbers["evaluation"]
    assert (numbers["judged_split"], evaluation["examples"]) == ("test", 15)
    photos = [bytes(example.features.feature["image"].bytes_list.value[0]) for example in _read(complete, "test")]
    serving = tf.saved_model.load(f"{complete.folder('Trainer.model')}/Format-Serving").signatures["serving_default"]
    answers = serving(image_bytes=tf.constant(photos))["class_index"].numpy()
    assert evaluation["accuracy"]["value"] == sum(answers == [index % 5 for index in range(15)]) / 15
    assert [sum(row) for row in evaluation["confusion"]] == [3] * 5
    assert [sum(row[column] for row in evaluation["confusion"]) for column in range(5)] == [
        sum(answers == index) for index in range(5)
    ]
    assert [each["name"] for each in evaluation["slices"]["size"]] == ["side 40 px", "side 49 px"]
    confident = [each["probability"] for each in evaluation["mistakes"]]
    assert confident == sorted(confident, reverse=True)
    assert numbers["training"] == HISTORY


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
    assert "promised (eval)37.5 %80.0 %" in text
    assert "at least the promised fraction of sets contains the true class" in text
    before = numbers["evaluation"]["calibration"]["before"]
    confidence = softmax(2 * np.log(probabilities.astype(float)), axis=1).max(axis=1)
    assert sum(each["n"] * each["confidence"] for each in before["bins"]) == pytest.approx(confidence.sum())


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
    _write(tmp_path / "model_run", "history.json", json.dumps(history))
    make(_changed(complete, {"Trainer.model_run": str(tmp_path / "model_run")}), str(tmp_path))
    assert says in Page((tmp_path / "report.html").read_text()).text


def test_a_run_of_a_version_without_a_temperature(complete, tmp_path):
    history = {key: value for key, value in HISTORY.items() if key != "fitted"}
    _write(tmp_path / "model_run", "history.json", json.dumps(history))
    numbers = make(_changed(complete, {"Trainer.model_run": str(tmp_path / "model_run")}), str(tmp_path))
    assert numbers["evaluation"]["calibration"]["before"] is numbers["evaluation"]["sets"] is None
    assert "before the logits were divided" not in (tmp_path / "report.html").read_text()


def _read(complete: Sources, split: str) -> list[tf.train.Example]:
    data = tf.data.TFRecordDataset(f"{complete.folder('ImportExampleGen.examples')}/Split-{split}/data.gz", "GZIP")
    return [tf.train.Example.FromString(record) for record in data.as_numpy_iterator()]


def test_the_verdict_is_first_and_has_the_margins(report):
    numbers, page, _ = report
    checks = numbers["verdict"]["checks"]
    assert [check["margin"] for check in checks] == [pytest.approx(-0.3), None, 0.75]
    assert not numbers["verdict"]["blessed"]
    text = Page(page).text
    assert text.index("Refused by the gate") < text.index("−0.3000") < text.index("+0.7500") < text.index("30 photos")
    assert "0.2065 to 1.0000" in text
    assert [check["undecided"] for check in checks] == [False, False, True]
    assert text.index("✓ passed †") < text.index("† The floor is inside the interval")


def test_hostile_text_is_shown_as_text(report):
    _, page, _ = report
    parsed = Page(page)
    assert {"script", "i", "object", "iframe", "link", "form"} & {tag for tag, _ in parsed.elements} <= {"i"}
    assert [
        attrs for tag, attrs in parsed.elements if tag == "i" and attrs
    ] == []  # the page's own <i> elements have no attributes
    assert not [name for _, attrs in parsed.elements for name in attrs if name.startswith("on")]
    for name in (*CLASSES, "unexpected value: <b>roses</b>", "/data/<i>photos</i>"):
        assert name in parsed.text


def test_the_page_loads_nothing_from_elsewhere(report):
    _, page, folder = report
    parsed = Page(page)
    (policy,) = [attrs["content"] for _, attrs in parsed.elements if "http-equiv" in attrs]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert all(source.startswith("data:image/jpeg;base64,") for source in parsed.values("src"))
    assert "://" not in page
    assert not any(word in page for word in ("url(", "@import"))
    links = [link for link in parsed.values("href") if not link.startswith("#")]
    assert len(links) == 9  # eight artifacts and report.json
    assert all((folder / link).exists() for link in links)


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_works_on_a_phone_and_by_keyboard(report, dark):
    page = report[2] / "report.html"
    view = browser.look(page, dark=dark)
    assert view.errors == view.undrawn == view.unreached == []
    assert {each for each in view.requests if not each.startswith("data:")} == {page.as_uri()}
    assert view.width <= 380
    assert view.pictures >= 20
    assert "Thresholds" not in view.sideways


def test_each_table_scrolls_in_its_own_box(report):
    _, page, _ = report
    assert page.count("<table") == len(re.findall(r'<div class="scroll"[^>]*>\s*<table', page)) >= 9


def _with_history(complete: Sources, folder: Path, history: dict) -> str:
    """Writes the report of a run whose Trainer recorded this; returns its text."""
    run = _write(folder / "model_run", "history.json", json.dumps(history))
    make(_changed(complete, {"Trainer.model_run": run}), str(folder))
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
    """The rule at 0 is inside the chart (issue 14)."""
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


def test_each_picture_has_a_description_and_each_region_can_be_reached(report):
    numbers, page, _ = report
    parsed = Page(page)
    drawings = [attrs for _, attrs in parsed.elements if attrs.get("role") == "img"]
    assert len(drawings) == sum(tag == "svg" for tag, _ in parsed.elements) == 7
    assert all(attrs["aria-label"] for attrs in drawings)
    alts = [attrs["alt"] for tag, attrs in parsed.elements if tag == "img"]
    assert all(alts)
    assert [alt for alt in alts if "predicted as" in alt] == [
        f"a photo of the class {each['true']}, predicted as {each['predicted']}"
        for each in numbers["evaluation"]["mistakes"]
    ]
    assert all(attrs.get("tabindex") == "0" for _, attrs in parsed.elements if attrs.get("class") == "scroll")


@pytest.mark.parametrize(
    ("missing", "section", "message"),
    [
        (["Evaluator.evaluation"], "verdict", "Evaluator's outputs are missing"),
        (["Evaluator.blessing"], "verdict", "No verdict, because Evaluator has not finished"),
        (["ImportExampleGen.examples"], "data", "The examples are missing"),
        (["Trainer.model_run"], "training", "The Trainer's record is missing"),
        (["Evaluator.evaluation"], "evaluation", "The predictions or the examples are missing"),
        (["ExampleValidator.anomalies"], None, "ExampleValidator has not run"),
        ([], None, "There is no baseline to compare with."),
    ],
)
def test_a_missing_source_is_reported_in_one_line(complete, tmp_path, missing, section, message):
    numbers = make(_changed(complete, dict.fromkeys(missing)), str(tmp_path))
    assert message in Page((tmp_path / "report.html").read_text()).text
    if section:
        assert numbers[section] is None


def _changed(complete: Sources, changes: dict[str, str | None]) -> Sources:
    folders = {channel: folder for channel, folder in (folders_of(complete) | changes).items() if folder}
    return sources(complete.settings, folders, root=complete.root, judged=complete.judged)


def _unfamiliar(complete: Sources, folder: Path, serialized: list[bytes], familiar: np.ndarray) -> Sources:
    """Returns the sources of a run whose first ten predictions are correct, and whose photos are this familiar."""
    labels = np.arange(len(serialized)) % 5
    probabilities = np.eye(5)[np.where(np.arange(len(serialized)) < 10, labels, (labels + 1) % 5)]
    values = {"probabilities": probabilities, "familiar": familiar}
    batch = {"input": serialized, "labels": labels, "predictions": values}
    _write(folder / "evaluation", "checks.json", json.dumps(CHECKS))
    with tf.io.TFRecordWriter(str(folder / "evaluation" / "predictions-0.gz"), "GZIP") as writer:
        for each in predictions._examples(batch):
            writer.write(each)
    return _changed(complete, {"Evaluator.evaluation": str(folder / "evaluation"), "Trainer.model": None})


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
    assert "3 photos more, with larger values of familiar." in text


@pytest.mark.parametrize("model", [True, False])
def test_mistakes_are_explained(complete, tmp_path, model):
    original, hostile = complete.folder("ImportExampleGen.table"), b"<img src=x onerror=alert(3)>.jpg"
    for split in PER_SPLIT:
        rows = photos.read(original, split)
        features = np.eye(5, dtype=np.float16)[rows.labels]
        values = embeddings.Embeddings(rows.digests, rows.labels, features)
        embeddings.write({"original": [values]}, str(tmp_path / "embeddings"), split, "00000-of-00001")
        (tmp_path / "table" / f"Split-{split}").mkdir(parents=True)
        names = np.full([rows.records], hostile)
        np.savez(tmp_path / "table" / f"Split-{split}" / "photos-0.npz", **rows._replace(names=names)._asdict())
    changes = {
        "Embeddings.embeddings": str(tmp_path / "embeddings"),
        "ImportExampleGen.table": str(tmp_path / "table"),
    }
    changes |= {} if model else {"Trainer.model": None}
    mistakes = make(_changed(complete, changes), str(tmp_path))["evaluation"]["mistakes"]
    for each in mistakes:  # features that name the class find photos of the true class
        assert [photo["class"] for photo in each["nearest"]] == [each["true"]] * 3
        assert {photo["file"] for photo in each["nearest"]} == {hostile.decode()}
        assert [photo["similarity"] for photo in each["nearest"]] == [1, 1, 1]
    assert [each["occlusion"] is not None for each in mistakes] == [model and n < 3 for n in range(len(mistakes))]
    parsed = Page((tmp_path / "report.html").read_text())
    alts = [attrs["alt"] for tag, attrs in parsed.elements if tag == "img"]
    assert sum(alt.startswith("a training photo of the class") for alt in alts) == 3 * len(mistakes)
    assert sum("in grey, red where" in alt for alt in alts) == (3 if model else 0)
    assert ("Method: occlusion (Zeiler and Fergus 2014)" in parsed.text) == model
    for each in mistakes[:3] if model else []:
        before, after = each["probability"], each["probability"] - max(map(max, each["occlusion"]))
        says = f"the probability of '{each['predicted']}' falls from {before:.2f} to {after:.2f}."
        assert f"Occlusion, 7 × 7 grey squares. With the worst grey square, {says}" in parsed.text
    assert parsed.text.count(hostile.decode()) == 4 * len(mistakes)
    assert not [name for _, attrs in parsed.elements for name in attrs if name.startswith("on")]


def test_balanced_classes_have_their_shares_before_and_after(complete, tmp_path):
    classes = {"a <b>": {"photos": 30, "factor": 0.6667}, "c": {"photos": 10, "factor": 2.0}}
    history = HISTORY | {"balance": {"method": "sampling", "classes": classes}}
    run = _write(tmp_path / "model_run", "history.json", json.dumps(history))
    numbers = make(sources(complete.settings, {"Trainer.model_run": run}), str(tmp_path))
    assert numbers["training"]["balance"]["classes"] == classes
    text = " ".join(Page((tmp_path / "report.html").read_text()).text.split())  # with plain spaces
    assert "trainer.balance: sampling" in text and "how often a photo is in an epoch" in text
    for cells in ("a <b>3075.0 %0.66750.0 %", "c1025.0 %250.0 %"):  # photos, share, factor, share
        assert cells in text


def test_a_node_adds_a_section(complete, tmp_path):
    sections.write(str(tmp_path), "Audit <b>", "3 of 4 are <i>fine</i>", ["what", "n"], [["a & b", 3]])
    numbers = make(sources(complete.settings, {"Audit.result": str(tmp_path)}), str(tmp_path))
    (section,) = numbers["sections"]
    assert (section["node"], section["rows"]) == ("Audit", [["a & b", 3]])
    page = Page((tmp_path / "report.html").read_text())
    for text in ("Audit <b>", "3 of 4 are <i>fine</i>", "a & b"):
        assert text in page.text
    assert "#Audit" in page.values("href")


def test_a_run_without_outputs_has_a_report(complete, tmp_path):
    numbers = make(Sources(settings=complete.settings), str(tmp_path))
    assert numbers["lineage"]["nodes"] == []
    text = Page((tmp_path / "report.html").read_text()).text
    assert "The artifacts of this run are unknown." in text
    assert "Not measured." in text


def test_the_names_of_deleted_folders_stay(complete, tmp_path):
    deleted = f"{complete.root}/deleted"
    folders = {
        "ImportExampleGen.examples": deleted,
        "Evaluator.evaluation": f"{deleted}-too",
        "ImportExampleGen.table": None,
        "Trainer.model_run": None,
    }
    numbers = make(_changed(complete, folders), str(tmp_path))
    assert numbers["data"] is numbers["evaluation"] is numbers["verdict"] is None
    assert numbers["lineage"]["nodes"][0]["artifacts"] == {"examples": deleted}
    page = Page((tmp_path / "report.html").read_text())
    assert deleted in page.text
    assert "The examples are missing" in page.text


def test_records_that_are_left_out_are_counted_by_reason(complete, tmp_path):
    reasons = {"no <b>image</b>": quarantine.Reason(2, ["a.tfrec record 1", "a.tfrec record 2"])}
    rows = [quarantine.SourceCounts("a.tfrec", 3, 2, 4, None)._asdict(), {"reasons": reasons}]
    (tmp_path / "bad").mkdir()
    quarantine.write_counts(rows, str(tmp_path / "bad"), 0)
    quarantine.merge_counts(str(tmp_path / "bad"))
    numbers = make(_changed(complete, {"ImportExampleGen.quarantine": str(tmp_path / "bad")}), str(tmp_path))
    assert numbers["data"]["left_out"] == {
        "records": 2, "lost": 4, "reasons": {"no <b>image</b>": 2}, "empty_files": []
    }  # fmt: skip
    page = Page((tmp_path / "report.html").read_text())
    assert "2 records left out: 2 no <b>image</b>." in page.text
    assert "About 4 records cannot be read." in page.text
    assert numbers["data"]["edits"] is None and "Labels corrected" not in page.text


def test_corrected_labels_are_counted(complete, tmp_path):
    used = [
        ("<b>.jpg", "relabelled", "<b>.jpg", "roses", "test", "aa"),
        ("<b>.jpg", "relabelled", "<b>.jpg", "roses", "train", "bb"),
        ("c.jpg", "dropped", "c.jpg", "", "test", ""),
    ]
    rows = [edits.as_row([edits.Applied(*each) for each in used])]
    (tmp_path / "counts").mkdir()
    quarantine.write_counts(rows, str(tmp_path / "counts"), 0)
    names = dict.fromkeys(("<b>.jpg", "c.jpg", *(f"<i>{number}" for number in range(6))), "daisy")
    quarantine.merge_counts(str(tmp_path / "counts"), Edits({}, names, "my <edits>.csv", "0a"))
    changes = {"ImportExampleGen.quarantine": str(tmp_path / "counts")}
    edited = make(_changed(complete, changes), str(tmp_path))["data"]["edits"]
    assert (edited["relabelled"], edited["dropped"], edited["repeated"]) == (2, 1, ["<b>.jpg"])
    text = Page((tmp_path / "report.html").read_text()).text
    assert edited["splits"]["test"] == {"relabelled": 1, "unchanged": 0, "dropped": 1} and "records" not in edited
    text = " ".join(text.split())
    assert (
        "Labels corrected by my <edits>.csv (data.edits): 2 records relabelled (train 1, test 1), "
        "1 record left out (test 1), 0 records" in text
    )
    assert "my <edits>.csv (data.edits) relabelled 1 photo of the test split and left out 1 photo, so the" in text
    assert "6 rows without a record: <i>0, <i>1, <i>2, <i>3, <i>4 …." in text
    assert "1 row with several records: <b>.jpg." in text


def test_a_relabelled_photo_among_the_mistakes_is_marked(complete, report, tmp_path):
    first, second, *others = [each["record"] for each in report[0]["evaluation"]["mistakes"]]
    assert all(each["was"] is None for each in report[0]["evaluation"]["mistakes"])
    shutil.copytree(complete.folder("ImportExampleGen.table"), tmp_path / "table")
    digests = photos.read(str(tmp_path / "table"), "test").digests
    changed = [
        edits.Applied("a", "relabelled", "a", "<i>rose", "test", digests[first].tobytes().hex()),
        edits.Applied("b", "relabelled", "b", "", "test", digests[second].tobytes().hex()),
        edits.Applied("c", "unchanged", "c", "daisy", "test", digests[others[0]].tobytes().hex()),
    ]
    (tmp_path / "bad").mkdir()
    quarantine.write_counts([edits.as_row(changed)], str(tmp_path / "bad"), 0)
    counts = quarantine.merge_counts(str(tmp_path / "bad"), Edits({}, {"a": "daisy"}, "<b>.csv", "0a"))
    table, file = standard_artifacts.Examples(), _write(tmp_path, "mine.csv") + "/mine.csv"
    table.uri = str(tmp_path / "table")
    edits.record(counts.edited, file, table, standard_artifacts.Examples())
    folders = {"ImportExampleGen.table": str(tmp_path / "table"), "ImportExampleGen.quarantine": str(tmp_path / "bad")}
    found = make(_changed(complete, folders), str(tmp_path))["evaluation"]["mistakes"]
    assert [each["was"] for each in found] == ["<i>rose", ""] + [None] * len(others)
    text = Page((tmp_path / "report.html").read_text()).text
    assert text.count("relabelled by <b>.csv, was <i>rose") == 1
    assert text.count("relabelled by <b>.csv, had no valid class") == text.count("relabelled by <b>.csv") - 1 == 1


def test_drift_is_the_distance_from_the_baselines_data(complete, tmp_path):
    examples, lighter = complete.folder("ImportExampleGen.examples"), _examples(tmp_path / "before", light=50)
    write_table(lighter, str(tmp_path / "table"))
    for split in photos.splits(lighter):
        (tmp_path / "before" / f"Split-{split}" / "data.gz").unlink()
    baseline = {"LatestBlessedModel.examples": lighter, "LatestBlessedModel.table": str(tmp_path / "table")}
    folders = {name: complete.folder(name) for name in ("ImportExampleGen.examples", "ImportExampleGen.table")}
    for name, table in (("current", complete.folder("ImportExampleGen.table")), ("before", str(tmp_path / "table"))):
        rows = photos.read(table, "train")
        features = np.stack([rows.brightness, np.ones_like(rows.brightness)], axis=1).astype(np.float16)
        rows = [embeddings.Embeddings(rows.digests, rows.labels, features)]
        embeddings.write({"original": rows}, str(tmp_path / "features" / name), "train", "00000-of-00001")
        embeddings.write_origin(str(tmp_path / "features" / name), {"trunks": []})
    folders["Embeddings.embeddings"] = str(tmp_path / "features" / "current")
    baseline["LatestBlessedModel.embeddings"] = str(tmp_path / "features" / "before")
    drift = make(sources(complete.settings, folders | baseline), str(tmp_path))["data"]["drift"]["train"]
    assert drift["labels"] == drift["sizes"] == {"l_infinity": 0, "jensen_shannon": pytest.approx(0, abs=1e-7)}
    assert drift["brightness"]["jensen_shannon"] > 0.3
    assert drift["embeddings"]["auroc"] > drift["embeddings"]["limit"]
    page = Page((tmp_path / "report.html").read_text())
    assert page.text.count("AUROC") == 2  # the explanation, and the only split with embeddings
    same = make(sources(complete.settings, folders | {"LatestBlessedModel.examples": examples}), str(tmp_path))["data"]
    assert same["same_as_baseline"]
    assert same["drift"]["eval"]["brightness"]["l_infinity"] == 0 and "embeddings" not in same["drift"]["train"]
    assert "The baseline was trained on the same data" in (tmp_path / "report.html").read_text()
