"""ExampleGen checks each record; records that cannot be used go to the quarantine."""

import gzip
import json
import zlib
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import tensorflow as tf

from components import photos, quarantine, record_check
from components.record_check import Expected, check_file
from ingest import record_file
from ingest.feature_names import FEATURES
from ingest.sample import CLASSES
from testing import example_gen as runs
from tests.helpers import records
from tests.helpers.damage import Interrupted


def _without(example, name):
    del example.features.feature[name]
    return example


def _with(example, **features):
    for name, value in features.items():
        feature = example.features.feature[name]
        feature.Clear()
        kind = feature.int64_list if isinstance(value[0], int) else feature.bytes_list
        kind.value.extend(value)
    return example


BAD_RECORDS = {
    "no class": lambda: _without(records.example(), "class"),
    "no image": lambda: _without(records.example(), "image"),
    "two images": lambda: _with(records.example(), image=[b"a", b"b"]),
    "class of another kind": lambda: _with(records.example(), **{"class": [b"weed"]}),
    "class too large": lambda: _with(_without(records.example(), "label"), **{"class": [5]}),
    "negative class": lambda: _with(_without(records.example(), "label"), **{"class": [-1]}),
    "another label": lambda: _with(records.example(0), label=[b"tulips"]),
    "empty image": lambda: _with(records.example(), image=[b""]),
    "text": lambda: records.example(0, b"<html>404</html>"),
    "truncated": lambda: records.example(0, records.jpeg()[:60]),
}
REASONS = {
    "no class": "no class",
    "no image": "no image",
    "two images": "no image",
    "class of another kind": "unknown class",
    "class too large": "class out of range",
    "negative class": "class out of range",
    "another label": "label and class disagree",
    "empty image": "not a photo that can be decoded",
    "text": "not a photo that can be decoded",
    "truncated": "not a photo that can be decoded",
}


@pytest.fixture(scope="module")
def with_bad(tmp_path_factory):
    """Four shards with one bad record of each kind between good ones."""
    folder = records.folder(tmp_path_factory.mktemp("bad") / "data", shards=4, per_shard=25)
    good = [records.example(index % 5, records.jpeg((1, index, 1))) for index in range(10)]
    mixed = [each for pair in zip(good, (make() for make in BAD_RECORDS.values()), strict=True) for each in pair]
    records.write(folder / "part9.tfrec", mixed)
    return runs.run(folder, folder.parent / "out")


def test_bad_records_are_quarantined_with_their_reasons(with_bad):
    assert (with_bad.counts.good, with_bad.counts.bad, with_bad.counts.lost) == (110, 10, 0)
    assert {reason: each.records for reason, each in with_bad.counts.reasons.items()} == Counter(REASONS.values())
    assert sum(with_bad.classes().values(), Counter()).total() == 110
    assert "10 records in the quarantine" in with_bad.figure


def test_a_record_of_the_quarantine_names_its_source(with_bad):
    rows, raw = _quarantined(with_bad)
    assert [(row["source"], row["record"]) for row in rows] == [("part9.tfrec", 2 * n + 1) for n in range(10)]
    assert [row["reason"] for row in rows] == list(REASONS.values())
    assert raw[-2] == BAD_RECORDS["text"]().SerializeToString()
    detail = next(row["detail"] for row in rows if row["reason"] == "label and class disagree")
    assert detail == "class 0 is daisy, but label is tulips"


def test_a_class_by_name_must_be_that_of_the_label(tmp_path):
    labels = [b"tulips"], [b"roses"], [7]  # the index of another numbering is replaced
    examples = [_with(records.example(), **{"class": [b"roses"], "label": label}) for label in labels]
    path = records.write(tmp_path / "a.tfrec", examples)
    bad, *good = check_file(str(path), path.stat().st_size, "a.tfrec", Expected(CLASSES, FEATURES["flowers"], 0))
    assert (bad.reason, bad.detail) == ("label and class disagree", "class 2 is roses, but label is tulips")
    assert [each.measured.label for each in good] == [2, 2]


def _quarantined(outputs):
    """Returns the rows of the quarantine and the raw records, in the order of the source."""
    found = []
    for path in sorted(tf.io.gfile.glob(f"{outputs.quarantine}/*.jsonl")):
        rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
        raw = tf.data.TFRecordDataset(path.replace(".jsonl", ".tfrecord")).as_numpy_iterator()
        found += zip(rows, raw, strict=True)
    found.sort(key=lambda pair: (pair[0]["source"], pair[0]["record"]))
    return [row for row, _ in found], [data for _, data in found]


def _flipped(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_flipped_bit_costs_one_record(tmp_path):
    folder = records.folder(tmp_path / "data", shards=4, per_shard=10)
    _flipped(folder / "part3-10.tfrec", 200)  # in the data of record 0
    outputs = runs.run(folder, tmp_path / "out")
    assert (outputs.counts.good, outputs.counts.bad, outputs.counts.lost) == (39, 1, 0)
    assert list(outputs.counts.reasons) == ["damaged record"]


def test_a_damaged_length_costs_the_rest_of_the_shard(tmp_path):
    folder = records.folder(tmp_path / "data", shards=4, per_shard=10)
    shard = folder / "part3-10.tfrec"
    sizes = [len(record.data) + 16 for record in record_file.read(shard.open("rb"))]
    _flipped(shard, sum(sizes[:4]))
    outputs = runs.run(folder, tmp_path / "out")
    assert (outputs.counts.good, outputs.counts.bad, outputs.counts.lost) == (34, 1, 5)
    assert "1 record in the quarantine (and about 5 that cannot be read)" in outputs.figure


def test_a_truncated_shard_loses_only_its_last_record(tmp_path):
    folder = records.folder(tmp_path / "data", shards=4, per_shard=10)
    (folder / "part2-10.tfrec").write_bytes((folder / "part2-10.tfrec").read_bytes()[:-7])
    outputs = runs.run(folder, tmp_path / "out")
    assert (outputs.counts.good, outputs.counts.bad) == (39, 1)


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
def test_compressed_shards_are_read(tmp_path, compress):
    folder = records.folder(tmp_path / "data", shards=4, per_shard=10)
    for path in list(folder.iterdir()):
        (folder / f"{path.name}.z").write_bytes(compress(path.read_bytes()))
        path.unlink()
    outputs = runs.run(folder, tmp_path / "out")
    assert (outputs.counts.good, outputs.counts.bad) == (40, 0)


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zlib.compress])
def test_a_failure_of_the_network_fails_the_node(tmp_path, monkeypatch, compress):
    """A cluster can retry a failed node, but the records of a quarantine are missing for good."""
    folder = records.folder(tmp_path / "data", shards=4, per_shard=10)
    files = record_check.FileSystems
    data = compress((folder / "part2-10.tfrec").read_bytes())
    opened = []

    def interrupted(path, **options):
        if not path.endswith("part2-10.tfrec"):
            return files.open(path, **options)
        opened.append(path)
        return Interrupted(data[: len(data) // 2])

    monkeypatch.setattr(record_check, "FileSystems", SimpleNamespace(open=interrupted))
    with pytest.raises((OSError, RuntimeError), match="Input/output error"):  # RuntimeError: Beam's, by its version
        runs.run(folder, tmp_path / "out")
    assert opened


def test_empty_and_miscounted_shards_are_named(tmp_path):
    folder = records.folder(tmp_path / "data", shards=4, per_shard=10)
    (folder / "part1-10.tfrec").write_bytes(b"")
    (folder / "part2-10.tfrec").rename(folder / "part2-12.tfrec")
    outputs = runs.run(folder, tmp_path / "out")
    assert (outputs.counts.empty, outputs.counts.miscounted) == (
        ["part1-10.tfrec"],
        ["part1-10.tfrec (0)", "part2-12.tfrec (10)"],
    )
    assert "1 empty file: part1-10.tfrec" in outputs.figure
    assert "--set data.counts_in_names=false" in outputs.figure
    unchecked = runs.run(folder, tmp_path / "again", counts_in_names=False)
    assert unchecked.counts.miscounted == []


def _renamed(example, names, **more):
    result = tf.train.Example()
    for old, new in names.items():
        feature = example.features.feature[old]
        result.features.feature[new].MergeFromString(feature.SerializeToString())
    return _with(result, **more) if more else result


@pytest.mark.parametrize(
    ("features", "first_class", "make"),
    [
        ("tf-slim", 1, lambda label, photo: _renamed(records.example(label, photo), {"image": "image/encoded"}, **{
            "image/class/label": [label + 1], "image/format": [b"jpeg"], "image/filename": [b"a/b.jpg"]})),
        ("tfds", 0, lambda label, photo: _renamed(records.example(label, photo), {"image": "image"}, label=[label])),
        ("kaggle", 0, lambda label, photo: _renamed(records.example(label, photo), {"image": "image"}, target=[label])),
        ({"class": "species"}, 0, lambda label, photo: _renamed(
            records.example(label, photo), {"image": "image"}, species=[CLASSES[label].encode()])),
    ],
)  # fmt: skip
def test_records_with_other_names_of_features(tmp_path, features, first_class, make):
    for number in range(4):
        examples = [make(index % 5, records.jpeg((number, index, 0))) for index in range(10)]
        records.write(tmp_path / "data" / f"{number}.tfrec", examples)
    outputs = runs.run(tmp_path / "data", tmp_path / "out", features=features, first_class=first_class)
    assert outputs.counts.bad == 0
    assert sum(outputs.classes().values(), Counter()) == dict.fromkeys(range(5), 8)
    serialized = next(photos.serialized_examples(outputs.examples, "train").as_numpy_iterator())
    found = tf.train.Example.FromString(serialized).features.feature
    label = found["class"].int64_list.value[0]
    assert found["label"].bytes_list.value == [CLASSES[label].encode()]
    assert {"image", "class", "label"} <= set(found) <= {"image", "class", "label", "filename", "image/format"}
    name = photos.read(outputs.table, "train").names[0]
    assert name == b"a/b.jpg" if features == "tf-slim" else b" record " in name


@pytest.mark.parametrize(("features", "good"), [("flowers", 39), ({"label": ""}, 40)])
def test_a_label_of_another_kind_is_refused_unless_the_feature_is_not_used(tmp_path, features, good):
    """Otherwise StatisticsGen would end the run at a feature that is text in some records and a number in others."""
    odd = _with(records.example(), label=[3])
    folder = records.folder(tmp_path / "data", bad=odd, shards=4, per_shard=10)
    outputs = runs.run(folder, tmp_path / "out", features=features)
    assert outputs.counts.good == good
    assert [each.first[0] for each in outputs.counts.reasons.values()] == [
        "part3-10.tfrec record 9: label: expected one value of bytes, received 1 of int64"
    ] * (40 - good)


def test_an_extra_feature_is_kept(tmp_path):
    folder = tmp_path / "data"
    for number in range(4):
        examples = [_with(records.example(number, records.jpeg((number, n, 3))), id=[b"x"]) for n in range(5)]
        records.write(folder / f"{number}.tfrec", examples)
    outputs = runs.run(folder, tmp_path / "out")
    serialized = next(photos.serialized_examples(outputs.examples, "train").as_numpy_iterator())
    assert tf.train.Example.FromString(serialized).features.feature["id"].bytes_list.value == [b"x"]


def test_the_counts_of_several_pipelines_are_merged(tmp_path):
    sources = [quarantine.SourceCounts(f"s{n}-5.tfrec", 3, 2, 1, 5)._asdict() for n in range(2)]
    reasons = {"no image": (2, ["s0 record 1", "s0 record 2"])}
    quarantine.write_counts([sources[0], {"split": "train", "labels": {0: 3}}, {"reasons": reasons}], str(tmp_path), 0)
    quarantine.write_counts(
        [sources[1], {"split": "train", "labels": {0: 1, 1: 2}}, {"reasons": reasons}], str(tmp_path), 1
    )
    counts = quarantine.merge_counts(str(tmp_path))
    assert counts == quarantine.read_counts(str(tmp_path))
    assert (counts.good, counts.bad, counts.lost, counts.labels) == (6, 4, 2, {"train": {0: 4, 1: 2}})
    assert counts.reasons["no image"].records == 4 and len(counts.reasons["no image"].first) == 3
    assert counts.bad_fraction == 0.5
    assert [path.name for path in tmp_path.iterdir()] == ["counts.json"]
