"""Two classes of photos reach a push, a report and `lineage` by the two commands and the default gate."""

import json
import re
from pathlib import Path

import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from lineage.__main__ import main as lineage
from pipeline.settings import load
from tests.conftest import CAT, DOG
from tests.helpers import records
from tests.helpers.parsed import Page


def test_two_classes_are_pushed_and_reported(two_classes, tmp_path, capsys):
    output, done = two_classes
    assert done.returncode == 0, done.stdout + done.stderr
    (pushed,) = output.glob("pushed/*/*")
    assert f"Blessed and pushed to {pushed}" in done.stdout
    red = records.photo_file(tmp_path / "red.jpg", (250, 30, 30)).read_bytes()
    answer = tf.saved_model.load(str(pushed)).signatures["serving_default"](image_bytes=tf.constant([red]))
    assert answer["label"].numpy().tolist() == [CAT.encode()]
    (report,) = re.findall(r"^report +(/.+)$", done.stdout, re.MULTILINE)
    alts = [attrs["alt"] for tag, attrs in Page(Path(report).read_text()).elements if tag == "img"]
    assert sorted(set(alts)) == [f"a photo of the class {CAT}", f"a photo of the class {DOG}"]
    assert lineage(["runs", "--store", str(output), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["state"], row["pushed"]) == ("pushed", str(pushed))


def test_class_names_are_the_same_everywhere(two_classes):
    """From the settings to the model; a terminal gets no character that reorders text."""
    output, done = two_classes
    (data,) = output.parent.glob("pets*")
    assert load(None, data / "settings.yaml").data.classes == (CAT, DOG)
    schema = text_format.Parse((data / "schema.pbtxt").read_text(), schema_pb2.Schema())
    assert list(schema.string_domain[0].value) == [CAT, DOG]
    (names,) = output.glob("pushed/*/*/assets.extra/classes.json")
    assert json.loads(names.read_text()) == [CAT, DOG]
    assert "\u202e" not in done.stdout
    assert "\u200c" in done.stdout


def test_the_default_gate_is_above_chance(two_classes):
    output, done = two_classes
    (file,) = output.glob("artifacts/*/Evaluator/evaluation/*/checks.json")
    accuracy, cat, dog = json.loads(file.read_text())
    n, share = accuracy["n"], max(cat["n"], dog["n"]) / accuracy["n"]
    assert accuracy["floor"] == pytest.approx(min(1, share + 1.959964 * (share * (1 - share) / n) ** 0.5), rel=1e-12)
    assert (cat["what"], cat["floor"], dog["floor"]) == (f"recall of {CAT}", 0.5, 0.5)
    assert "computed from the test split" in done.stdout


def test_48_photos_have_three_splits_and_the_gate_judges_the_test_split(two_classes):
    output, done = two_classes
    (blessing,) = output.glob("artifacts/*/DataGate/blessing/*/blessing.json")
    counts = json.loads(blessing.read_text())["examples"]
    assert sum(counts.values()) == 48
    assert counts["train"] > counts["test"] > 0 < counts["eval"]
    (checks,) = output.glob("artifacts/*/Evaluator/evaluation/*/checks.json")
    accuracy, cat, dog = json.loads(checks.read_text())
    assert accuracy["n"] == cat["n"] + dog["n"] == counts["test"]
    assert "check on the test split" in done.stdout
    assert "the epoch was chosen on the photos that it is judged on" not in done.stdout
