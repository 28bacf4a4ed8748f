"""ExampleGen reads exactly the files that were checked, and divides their records."""

import json
import os
from collections import Counter

import pytest
import tensorflow as tf

from components import example_gen, photos
from components.example_gen import FINGERPRINT_PROPERTY_NAME
from ingest.records import INPUT_FILES
from testing import example_gen as runs
from tests.helpers import records

SPLITS = ("shards", "hash")


@pytest.fixture
def folder(tmp_path):
    """Three shards in two subfolders, and two shards that the pattern of the tests does not match."""
    for label, path in enumerate(("a/x0.tfrec", "a/x1.tfrec", "b/x2.tfrec", "x3.tfrec", "a/.x4.tfrec")):
        examples = [records.example(label, records.jpeg((label, index, 0))) for index in range(20)]
        records.write(tmp_path / "data" / path, examples)
    return tmp_path / "data"


def _sorted_by_class(folder, count=8, per_shard=25):
    for number in range(count):
        examples = [records.example(number % 5, records.jpeg((5 * number, 5 * index, 9))) for index in range(per_shard)]
        records.write(folder / f"c{number}.tfrec", examples)
    return folder


def _properties(folder, split):
    node = runs.node(folder, "*/*.tfrec", split=split)
    return node, dict(node.exec_properties)


@pytest.mark.parametrize("split", SPLITS)
def test_the_matching_files_are_read(folder, tmp_path, split):
    outputs = runs.run(folder, tmp_path / "out", "*/*.tfrec", split=split, eval_fraction=0.3, test_fraction=0.3)
    counts = outputs.classes()
    assert sum(counts.values(), Counter()) == {0: 20, 1: 20, 2: 20}
    if split == "shards":  # too few shards for three splits
        assert counts["eval"] == {0: 20} and outputs.splits == ["train", "eval"]
    else:
        assert all(0 < count.total() < 40 for count in counts.values()) and len(counts) == 3
    assert outputs.counts.labels == {split: dict(sorted(count.items())) for split, count in counts.items()}


def test_the_first_shards_are_test_and_the_next_are_eval(tmp_path):
    outputs = runs.run(_sorted_by_class(tmp_path / "data"), tmp_path / "out")
    assert outputs.splits == ["train", "eval", "test"]
    expected = {"test": {0: 25, 1: 25}, "eval": {2: 25}, "train": {3: 25, 4: 25, 0: 25, 1: 25, 2: 25}}
    assert outputs.classes() == expected


def test_a_split_by_hash_mixes_shards_that_are_sorted_by_class(tmp_path):
    outputs = runs.run(_sorted_by_class(tmp_path / "data", count=10, per_shard=40), tmp_path / "out", split="hash")
    assert {split: set(count) for split, count in outputs.classes().items()} == dict.fromkeys(
        outputs.splits, set(range(5))
    )


def test_the_splits_of_file_names_are_kept(tmp_path):
    for number, name in enumerate(("flowers-train-00000-of-00001", "validation-00000", "x_test.tfrecord")):
        records.write(tmp_path / "data" / name, [records.example(number, records.jpeg((number, 7, 7)))] * 3)
    outputs = runs.run(tmp_path / "data", tmp_path / "out")
    assert outputs.classes() == {"train": {0: 3}, "eval": {1: 3}, "test": {2: 3}}


def test_copies_of_a_photo_are_in_one_split_of_a_split_by_hash(tmp_path):
    for number in range(4):
        examples = [records.example(0, records.jpeg((5 * index, 90, 1))) for index in range(50)]
        for example in examples:
            example.features.feature["filename"].bytes_list.value.append(b"%d" % number)
        records.write(tmp_path / "data" / f"{number}.tfrec", examples)
    outputs = runs.run(tmp_path / "data", tmp_path / "out", split="hash")
    seen = {}
    for split in outputs.splits:
        for serialized in photos.serialized_examples(outputs.examples, split).as_numpy_iterator():
            image = tf.train.Example.FromString(serialized).features.feature["image"].bytes_list.value[0]
            assert seen.setdefault(image, split) == split
    assert len(seen) == 50 and set(seen.values()) == {"train", "eval", "test"}


@pytest.mark.parametrize("split", SPLITS)
def test_the_driver_and_the_executor_list_the_files_once_each(folder, tmp_path, split, monkeypatch):
    """Listing a bucket with 10,000 files takes seconds."""
    node, properties = _properties(folder, split)
    calls = Counter()

    def count_calls(module, name):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args: calls.update([name]) or real(*args))

    for module, name in ((example_gen, "list_files"), (tf.io.gfile, "glob"), (tf.io.gfile, "stat")):
        count_calls(module, name)
    node.driver_class(None).resolve_exec_properties(dict(properties), None, None)
    assert calls == {"list_files": 1, "stat": 3}


@pytest.mark.parametrize("split", SPLITS)
def test_the_fingerprint_depends_on_the_files_that_are_read(folder, split):
    node, properties = _properties(folder, split)

    def fingerprint():
        driver = node.driver_class(None)
        return driver.resolve_exec_properties(dict(properties), None, None)[FINGERPRINT_PROPERTY_NAME]

    first = fingerprint()
    (folder / "x3.tfrec").write_bytes(b"not read")
    (folder / "a" / ".x4.tfrec").unlink()
    assert fingerprint() == first
    (folder / "a" / "x0.tfrec").rename(folder / "a" / "x5.tfrec")  # another shard is held out
    renamed = fingerprint()
    shard = folder / "b" / "x2.tfrec"
    times = shard.stat().st_atime_ns, shard.stat().st_mtime_ns + 10**9  # TensorFlow reads times in whole seconds
    os.utime(shard, ns=times)
    assert len({first, renamed, fingerprint()}) == 3


def test_each_file_that_is_read_has_a_digest(folder):
    node, properties = _properties(folder, "shards")

    def digests():
        return json.loads(node.driver_class(None).resolve_exec_properties(dict(properties), None, None)[INPUT_FILES])

    before, shard = digests(), folder / "b" / "x2.tfrec"
    assert list(before) == ["a/x0.tfrec", "a/x1.tfrec", "b/x2.tfrec"]
    shard.write_bytes(shard.read_bytes() * 2)
    after = digests()
    assert {path for path in before if before[path] != after[path]} == {"b/x2.tfrec"}


@pytest.mark.parametrize("args", [["--direct_num_workers=2", "--direct_running_mode=multi_threading"], []])
def test_several_rounds_write_the_same_records_on_every_engine(tmp_path, monkeypatch, args):
    monkeypatch.setattr(example_gen, "_ROUND_BYTES", 10_000)
    folder = records.folder(tmp_path / "data", shards=6, per_shard=10)
    one = runs.run(folder, tmp_path / "rounds", beam_args=args)
    monkeypatch.setattr(example_gen.Executor, "_groups_in_memory", lambda self: False)
    other = runs.run(folder, tmp_path / "at-once", beam_args=args)
    assert one.counts == other.counts and one.counts.good == 60
    for split in one.splits:
        first, second = (
            list(photos.serialized_examples(each.examples, split).as_numpy_iterator()) for each in (one, other)
        )
        assert first == second
        assert len(tf.io.gfile.glob(f"{one.examples}/Split-{split}/*")) > 1
