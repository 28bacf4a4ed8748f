"""The page and the numbers of a report, from complete, incomplete and hostile outputs of a run."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf

from components import edits, photos, sections
from components.report.make import make
from components.report.sources import Sources
from testing.example_gen import write_table
from tests.helpers import browser
from tests.helpers.parsed import Page
from tests.helpers.report_run import CLASSES, PER_SPLIT, changed, write, write_examples
from tests.helpers.report_sources import HISTORY, sources
from trainer import embeddings


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


def test_milliseconds_have_one_decimal(complete, tmp_path):
    latency = {"what": "latency of one photo in ms", "value": 18.7158, "floor": 500.0, "passed": True, "upper": True}
    latency |= {"low": None, "high": None, "n": 20}
    write(tmp_path / "evaluation", "checks.json", json.dumps([latency]))
    changes = {"Evaluator.evaluation": str(tmp_path / "evaluation"), "Trainer.model": None}
    make(changed(complete, changes), str(tmp_path))
    text = Page((tmp_path / "report.html").read_text()).text
    assert "18.7\n" in text and "≤ 500.0\n" in text and "+481.3\n" in text


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
    view = browser.look(page, dark=dark, audit=True)
    assert view.errors == view.undrawn == view.unreached == view.violations == []
    assert {each for each in view.requests if not each.startswith("data:")} == {page.as_uri()}
    assert view.width <= 380
    assert view.pictures >= 20
    assert "Thresholds" not in view.sideways


def test_each_table_scrolls_in_its_own_box(report):
    _, page, _ = report
    assert page.count("<table") == len(re.findall(r'<div class="scroll"[^>]*>\s*<table', page)) >= 9


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
    numbers = make(changed(complete, dict.fromkeys(missing)), str(tmp_path))
    assert message in Page((tmp_path / "report.html").read_text()).text
    if section:
        assert numbers[section] is None


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
    changes = {"ImportExampleGen.table": str(tmp_path / "table")} | ({} if model else {"Trainer.model": None})
    changes["Embeddings.embeddings"] = str(tmp_path / "embeddings")
    first = photos.read(original, "train").digests[0].tobytes().hex()
    applied = edits.Applied("a", "relabelled", "a", "<b>tulips", "train", first)
    (tmp_path / "table" / "edited.json").write_text(json.dumps([applied._asdict()]))
    mistakes = make(changed(complete, changes), str(tmp_path))["evaluation"]["mistakes"]
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
        fall = f"falls from {100 * before:.1f}\u00a0% to {100 * after:.1f}\u00a0%."
        says = f"the probability of '{each['predicted']}' {fall}"
        start = "With" if before - after >= 0.05 else "No single square decided: with"
        squares = len(each["occlusion"])  # fewer on a busy machine
        assert f"Occlusion, {squares} × {squares} grey squares. {start} the worst grey square, {says}" in parsed.text
    marked = [photo["was"] for each in mistakes for photo in each["nearest"]].count("<b>tulips")
    itself = [each["was"] for each in mistakes].count("<b>tulips")  # the first test photo is the same record
    assert parsed.text.count("relabelled by data.edits, was <b>tulips") == marked + itself > itself
    assert parsed.text.count(hostile.decode()) == 4 * len(mistakes)
    assert not [name for _, attrs in parsed.elements for name in attrs if name.startswith("on")]


@pytest.mark.parametrize("served", [True, False])
def test_the_serving_check_is_a_row_of_the_verdict(complete, tmp_path, served):
    check = {"what": "serving check: difference", "value": None, "floor": 0.01, "passed": False, "upper": True, "n": 0}
    check |= {"low": None, "high": None, "problem": "the signature <b>classify</b> is missing"}
    if served:
        check |= {"value": 0.001, "passed": True, "problem": ""}
    write(tmp_path / "served", "checks.json", json.dumps([check]))
    write(tmp_path / "served", "INFRA_BLESSED" if served else "INFRA_NOT_BLESSED")
    changes = {"Evaluator.blessing": write(tmp_path / "blessing", "BLESSED")}
    numbers = make(changed(complete, changes | {"ServingCheck.blessing": str(tmp_path / "served")}), str(tmp_path))
    assert numbers["verdict"]["blessed"] == served
    assert numbers["verdict"]["checks"][-1]["what"] == "serving check: difference"
    text = Page((tmp_path / "report.html").read_text()).text
    assert ("serving check: difference: the signature <b>classify</b> is missing" in text) == (not served)
    assert ("Refused by the gate" in text) == (not served)


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
    numbers = make(changed(complete, folders), str(tmp_path))
    assert numbers["data"] is numbers["evaluation"] is numbers["verdict"] is None
    assert numbers["lineage"]["nodes"][0]["artifacts"] == {"examples": deleted}
    page = Page((tmp_path / "report.html").read_text())
    assert deleted in page.text
    assert "The examples are missing" in page.text


def test_drift_is_the_distance_from_the_baselines_data(complete, tmp_path):
    examples, lighter = complete.folder("ImportExampleGen.examples"), write_examples(tmp_path / "before", light=50)
    write_table(lighter, str(tmp_path / "table"))
    for split in photos.splits(lighter):
        (tmp_path / "before" / f"Split-{split}" / "data.gz").unlink()
    baseline = {"LatestBlessedModel.examples": lighter, "LatestBlessedModel.table": str(tmp_path / "table")}
    folders = {name: complete.folder(name) for name in ("ImportExampleGen.examples", "ImportExampleGen.table")}
    for name, table in (("current", complete.folder("ImportExampleGen.table")), ("before", str(tmp_path / "table"))):
        rows = photos.read(table, "train")
        features = np.stack([rows.brightness, np.ones_like(rows.brightness)], axis=1).astype(np.float16)
        # digests of the real photos depend on the JPEG library; too few may be in one half of the comparison
        digests = np.arange(len(features), dtype=np.uint64).view(np.uint8).reshape(-1, 8)
        rows = [embeddings.Embeddings(digests, rows.labels, features)]
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
