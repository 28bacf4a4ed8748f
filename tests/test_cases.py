"""The kinds of data that strangers have: each case of shared/cases ends as its table says."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import yaml

from components import data_gate
from errors import UserError
from ingest import data_checks, records
from ingest.__main__ import main as ingest
from ingest.feature_names import FEATURES
from ingest.record_file import read
from pipeline import settings
from testing import example_gen

CASES = Path(__file__).parents[2] / "shared" / "cases" / "make_cases.py"


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """The folder with a folder for each case."""
    if not CASES.exists():
        pytest.skip(f"{CASES} is missing")
    folder = tmp_path_factory.mktemp("cases")
    subprocess.run([sys.executable, CASES, folder], check=True, capture_output=True)
    return folder


def _missing(outputs):
    """Returns what the data gate says about classes without photos."""
    labels, names = outputs.counts.labels, settings.load().data.classes
    return [each.what for split in outputs.splits for each in data_gate._missing_classes(split, labels[split], names)]


@pytest.mark.parametrize("name", ["slim_shard_names", "extra_feature", "one_empty_shard", "gzip_shards"])
def test_records_that_are_read_as_they_are(cases, tmp_path, name):
    files = records.list_files(cases / name, "*")
    data_checks.check_features(files, FEATURES["flowers"])
    outputs = example_gen.run(cases / name, tmp_path / "out")
    assert (outputs.counts.good, outputs.counts.bad, outputs.counts.miscounted) == (60, 0, [])
    assert outputs.counts.empty == (["p3.tfrec"] if name == "one_empty_shard" else [])
    assert _missing(outputs) == []


def test_slim_feature_names(cases, tmp_path):
    files = records.list_files(cases / "slim_feature_names", "*")
    with pytest.raises(UserError, match=r"received in p0.tfrec: image/class/label .* --set data.features=tf-slim"):
        data_checks.check_features(files, FEATURES["flowers"])
    outputs = example_gen.run(cases / "slim_feature_names", tmp_path / "out", features="tf-slim")
    assert sum(outputs.classes().values(), Counter()) == dict.fromkeys(range(5), 12)


def test_sorted_by_class(cases, tmp_path):
    outputs = example_gen.run(cases / "sorted_by_class", tmp_path / "out")
    assert all("--set data.split=hash" in text for text in _missing(outputs)) and _missing(outputs)


def test_recursive_pattern(cases):
    with pytest.raises(UserError, match="data.pattern: .* for example"):
        settings.load(changes={"data.pattern": "**/*.tfrec"})
    folder = cases / "recursive_pattern"
    files = records.list_files(folder, "*")
    notice = data_checks.unmatched_notice(folder, "*", files)
    assert len(files) == 1 and notice.endswith("does not match: a/x1.tfrec, b/x2.tfrec")


def _ingested(source: Path, target: Path, *flags: str) -> dict[str, list[tuple[str, str]]]:
    """Returns (file, label) of each record by split."""
    assert ingest(["photos", str(source), "--to", str(target), "--size", "32", *flags]) == 0
    found: dict[str, list[tuple[str, str]]] = {"train": [], "eval": [], "test": []}
    for file in sorted(target.glob("*.tfrec")):
        (split,) = [name for name in found if f"-{name}-" in file.name]
        with file.open("rb") as content:
            for record in read(content):
                features = tf.train.Example.FromString(record.data).features.feature
                name, label = (features[key].bytes_list.value[0].decode() for key in ("filename", "label"))
                found[split].append((name, label))
    return found


@pytest.mark.parametrize("name", ["a_few_photos", "two_classes", "webp"])
def test_class_folders(cases, tmp_path, name):
    found = _ingested(cases / name, tmp_path / "data")
    count = 80 if name == "two_classes" else 24
    assert sum(map(len, found.values())) == count
    written = settings.load(file=tmp_path / "data" / "settings.yaml")
    assert written.trainer.batch_size <= len(found["train"])
    assert {label for _, label in found["train"]} == {label for _, label in found["eval"]} == {"cat", "dog"}


def test_growing(cases, tmp_path):
    first = _ingested(cases / "growing" / "first", tmp_path / "first")
    both = _ingested(cases / "growing" / "both", tmp_path / "both")
    later = {name: split == "train" for split, rows in both.items() for name, _ in rows}
    assert len(later) == 160
    for split, rows in first.items():
        assert all(later[name] == (split == "train") for name, _ in rows)


def test_train_and_val(cases, tmp_path):
    found = _ingested(cases / "train_and_val", tmp_path / "data")
    assert {split: len(rows) for split, rows in found.items()} == {"train": 40, "eval": 12, "test": 0}
    assert all(name.startswith("val/") for name, _ in found["eval"])


def test_linked_classes(cases, tmp_path, capsys):
    source = cases / "linked_classes" / "links"
    assert ingest(["photos", str(source), "--to", str(tmp_path / "refused")]) == 2
    assert "--follow-links" in capsys.readouterr().err
    assert sum(map(len, _ingested(source, tmp_path / "data", "--follow-links").values())) == 24


def test_copies(cases, tmp_path, capsys):
    found = _ingested(cases / "copies", tmp_path / "data")
    splits = {name: split for split, rows in found.items() for name, _ in rows}
    for index in range(20):
        if index != 3:
            assert splits[f"cat/{index}.png"] == splits[f"cat/copy-{index}.png"]
    under_two_labels = {"cat/3.png", "cat/copy-3.png", "dog/cat-in-disguise.png"}
    assert {splits.get(name, "train") for name in under_two_labels} == {"train"}
    assert "cat-in-disguise.png" in capsys.readouterr().out


def test_palette_bmp(cases, tmp_path):
    _ingested(cases / "palette_bmp", tmp_path / "data")
    assert np.abs(_stored(tmp_path / "data", "cat/palette.bmp").mean(axis=(0, 1)) - (255, 0, 0)).max() < 4


def test_transparent_and_rotated(cases, tmp_path):
    _ingested(cases / "transparent_and_rotated", tmp_path / "data")
    assert _stored(tmp_path / "data", "cat/transparent.png").min() > 250
    rotated = _stored(tmp_path / "data", "cat/rotated.jpg").mean(axis=2)
    assert rotated[:12].mean() > 60 > rotated[-12:].mean()  # red is above black


def _stored(folder: Path, filename: str) -> np.ndarray:
    """Returns the pixels of a record, [height, width, 3]."""
    for file in folder.glob("*.tfrec"):
        with file.open("rb") as content:
            for record in read(content):
                features = tf.train.Example.FromString(record.data).features.feature
                if features["filename"].bytes_list.value == [filename.encode()]:
                    return tf.io.decode_jpeg(features["image"].bytes_list.value[0]).numpy().astype(float)
    raise AssertionError(f"{filename} has no record")


def test_large_and_long_text(cases, tmp_path):
    found = _ingested(cases / "large_and_long_text", tmp_path / "data")
    names = {name for rows in found.values() for name, _ in rows}
    assert {"cat/large.jpg", "cat/text.png"} <= names and len(names) == 26


def test_same_last_name(cases, tmp_path):
    names = []
    for source in ("pets", "flowers"):
        _ingested(cases / "same_last_name" / source / "data", tmp_path / source)
        names.append(yaml.safe_load((tmp_path / source / "settings.yaml").read_text())["name"])
    assert len(set(names)) == 2 and all(re.fullmatch(r"data-[0-9a-f]{8}", name) for name in names)
