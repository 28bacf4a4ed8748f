"""ExampleGen reads exactly the files that were checked."""

import json
import os
from collections import Counter

import apache_beam as beam
import pytest
import tensorflow as tf
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import standard_artifacts

from components import example_gen
from components.example_gen import FINGERPRINT_PROPERTY_NAME
from ingest.records import INPUT_FILES
from tests.helpers import records

SPLITS = ("shards", "hash")


@pytest.fixture
def folder(tmp_path):
    """Four shards in two subfolders, and two shards that the pattern of the tests does not match."""
    for label, path in enumerate(("a/x0.tfrec", "a/x1.tfrec", "b/x2.tfrec", "b/y2.tfrec", "x3.tfrec", "a/.x4.tfrec")):
        examples = [records.example(label % 5, records.jpeg((label, index, 0))) for index in range(20)]
        records.write(tmp_path / path, examples)
    return tmp_path


def _properties(folder, split):
    node = example_gen.example_gen(str(folder), "*/*.tfrec", split, 0.125, 0.19)
    return node, dict(node.exec_properties)


@pytest.mark.parametrize("split", SPLITS)
def test_the_matching_files_are_read(folder, split):
    node, properties = _properties(folder, split)
    executor = node.executor_spec.executor_class()
    counts = {}
    with beam.Pipeline() as pipeline:
        for name, examples in executor.GenerateExamplesByBeam(pipeline, properties).items():
            written = examples | f"bytes {name}" >> beam.Map(_serialized)
            written | f"write {name}" >> beam.io.WriteToTFRecord(f"{folder}/out-{name}")
    for name in ("train", "eval", "test"):
        files = tf.io.gfile.glob(f"{folder}/out-{name}*")
        parsed = [tf.train.Example.FromString(each) for each in tf.data.TFRecordDataset(files).as_numpy_iterator()]
        counts[name] = Counter(example.features.feature["class"].int64_list.value[0] for example in parsed)
    assert sum(counts.values(), Counter()) == {0: 20, 1: 20, 2: 20, 3: 20}
    if split == "shards":
        assert counts == {"train": {2: 20, 3: 20}, "eval": {1: 20}, "test": {0: 20}}
    else:
        assert 0 < counts["eval"].total() < 20
        assert 5 < counts["test"].total() < 30
        assert counts["train"].total() > 40


def _serialized(example):
    return example if isinstance(example, bytes) else example.SerializeToString()


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
    resolved = node.driver_class(None).resolve_exec_properties(dict(properties), None, None)
    assert calls == {"list_files": 1, "stat": 4}
    calls.clear()
    examples = standard_artifacts.Examples()
    examples.uri = str(tmp_path / "out")
    executor = node.executor_spec.executor_class(BaseBeamExecutor.Context(beam_pipeline_args=[], unique_id="1"))
    executor.Do({}, {"examples": [examples]}, resolved)
    assert (calls["list_files"], calls["stat"]) == (1, 4)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["Split-eval", "Split-test", "Split-train"]


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
    assert list(before) == ["a/x0.tfrec", "a/x1.tfrec", "b/x2.tfrec", "b/y2.tfrec"]
    shard.write_bytes(shard.read_bytes() * 2)
    after = digests()
    assert {path for path in before if before[path] != after[path]} == {"b/x2.tfrec"}
