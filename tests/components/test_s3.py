"""Data and pushed models in a real S3 server: ExampleGen, Pusher and LatestPushedModel."""

import json

import pytest
from tfx.types import channel_utils
from tfx.types.standard_artifacts import InfraBlessing, Model, ModelBlessing, PushedModel
from tfx.utils import io_utils

from components import pushing
from components.pusher import pusher as pusher_node
from components.report.pushed import add
from components.report.sources import VERSION_REPORT, VERSION_VERDICT
from ingest import records as record_files
from storage import s3
from testing import example_gen as runs
from tests.helpers import records
from tests.helpers.baselines import latest_pushed
from tests.helpers.minio import BUCKET


@pytest.fixture
def folders(minio, tmp_path):
    """The same three files on this machine and in the bucket, and an edits file."""
    for label in range(3):
        examples = [records.example(label, records.jpeg((label, index, 0))) for index in range(20)]
        records.write(tmp_path / "data" / "a" / f"x{label}.tfrec", examples)
    (tmp_path / "data" / "a" / "x1.tfrec.part").write_bytes(b"not read")
    for path in (tmp_path / "data" / "a").iterdir():
        s3.upload(path, f"s3://{BUCKET}/photos/a/{path.name}")
    s3.write(f"s3://{BUCKET}/edits.csv", b"digest,label\n0123456789abcdef0123456789abcdef,roses\n")
    return tmp_path / "data", tmp_path


@pytest.mark.parametrize("scheme", ["s3", "minio"])
def test_examples_equal_those_of_local_files(folders, scheme):
    local, out = folders
    options = {"split": "hash", "eval_fraction": 0.3}
    expected = runs.run(local, out / "local", "a/*", **options)
    edits = f"{scheme}://{BUCKET}/edits.csv"
    found = runs.run(f"{scheme}://{BUCKET}/photos", out / "found", "a/*", edits=edits, **options)
    assert found.classes() == expected.classes()
    assert sum(map(sum, (each.values() for each in found.classes().values()))) == 60
    assert found.counts.edited.unmatched == ["0123456789abcdef0123456789abcdef"]


def test_a_folder_without_records(folders):
    with pytest.raises(record_files.UserError, match="no file in s3://a-bucket/photos matches"):
        record_files.list_files(f"s3://{BUCKET}/photos", "*")


def test_a_version_is_pushed_whole_and_becomes_the_baseline(minio, tmp_path, monkeypatch):
    """saved_model.pb is the last object, and a version without it is ignored."""
    pushed = f"minio://{BUCKET}/pushed"
    models = {}
    for second in (10, 9):  # not in the order of their numbers as text
        models[second] = Model()
        models[second].uri = str(tmp_path / f"model-{second}")
        for name in ("saved_model.pb", "fingerprint.pb", "variables/data"):
            io_utils.write_string_file(f"{models[second].uri}/Format-Serving/{name}", f"{name} {second}")
        stored = _push(models[second], second, pushed, tmp_path, monkeypatch)
        assert stored[-1] == f"pushed/{second}/saved_model.pb" and len(stored) == 3
    s3.write(f"{pushed}/11/variables/data", b"")  # a push that was killed
    found = latest_pushed(pushed, models[9], str(tmp_path / "baseline"))
    assert found.get_string_custom_property("pushed_destination") == f"{pushed}/10"
    assert io_utils.read_string_file(f"{found.uri}/Format-Serving/variables/data") == "variables/data 10"
    found = latest_pushed(pushed, models[10], str(tmp_path / "other"))
    assert found.get_string_custom_property("pushed_destination") == f"{pushed}/9"


def test_the_report_is_added_to_a_pushed_version(minio, caplog):
    version = f"minio://{BUCKET}/pushed/7"
    numbers = {"judged_split": "test", "verdict": {"blessed": True, "checks": []}}
    add(version, "<p>é", numbers)
    assert "was deleted" in caplog.text and list(s3.files(version)) == []
    s3.write(f"{version}/saved_model.pb", b"")
    add(version, "<p>é", numbers)
    assert s3.read(f"{version}/{VERSION_REPORT}") == "<p>é".encode()
    assert json.loads(s3.read(f"{version}/{VERSION_VERDICT}")) == {"blessed": True, "split": "test", "checks": []}


def test_a_bucket_that_cannot_be_reached_is_a_warning(minio, monkeypatch, caplog):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    s3._client.cache_clear()
    add(f"s3://{BUCKET}/pushed/7", "", {"judged_split": "test", "verdict": {"blessed": True, "checks": []}})
    assert f"the report cannot be stored in s3://{BUCKET}/pushed/7: " in caplog.text


def _push(model: Model, second: int, pushed: str, folder, monkeypatch) -> list[str]:
    """Pushes a model; returns the keys of the objects in the order in which they are stored."""
    stored, put = [], s3.write
    monkeypatch.setattr(s3, "write", lambda uri, content: (put(uri, content), stored.append(uri)))
    monkeypatch.setattr(pushing.time, "time_ns", lambda: 1000 * second)  # the version is in microseconds
    blessing, push = ModelBlessing(), PushedModel()
    blessing.uri, push.uri = str(folder / "blessing"), str(folder / f"push-{second}")
    blessing.set_int_custom_property("blessed", 1)
    serves = InfraBlessing()
    serves.uri = str(folder / "serves")
    serves.set_int_custom_property("blessed", 1)
    channels = [channel_utils.as_channel([each]) for each in (model, blessing, serves)]
    node = pusher_node(*channels, pushed)
    inputs = {"model": [model], "model_blessing": [blessing]}
    pushing.Executor().Do(inputs, {"pushed_model": [push]}, node.exec_properties)
    monkeypatch.setattr(s3, "write", put)
    assert push.get_string_custom_property("pushed_destination") == f"{pushed}/{second}"
    return [uri.partition(f"{BUCKET}/")[2] for uri in stored]
