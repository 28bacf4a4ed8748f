"""Directory markers in Cloud Storage: made by TensorFlow's own file system, removed when a task ends."""

import json
import logging

import pytest
import tensorflow as tf
from google.api_core.exceptions import PreconditionFailed
from google.cloud import storage

from pipeline.cluster import directory_markers, task
from pipeline.schema_file import SCHEMAS
from tests.helpers import cloud_storage
from tests.helpers.cloud_storage import BUCKET

ROOT = f"gs://{BUCKET}/root/run"


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """The client of an empty bucket on this machine."""
    with cloud_storage.serving(tmp_path) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield storage.Client(project=None).bucket(BUCKET)


def _names(bucket) -> set[str]:
    return {blob.name for blob in bucket.list_blobs()}


def test_a_task_leaves_no_marker_under_its_outputs(bucket):
    """ImportSchemaGen's own task: TensorFlow makes the folder of its output, and the launcher finds only the file."""
    given = {
        "inputs": {"parameterValues": {"schema_file": str(SCHEMAS / "flowers.pbtxt")}, "artifacts": {}},
        "outputs": {"artifacts": {"schema": {"artifacts": [_schema_artifact()]}}, "outputFile": f"{ROOT}/output.json"},
    }
    executor = "tfx.components.schema_gen.import_schema_gen.executor.Executor"
    words = ["task", f"--executor_class_path={executor}", f"--json_serialized_invocation_args={json.dumps(given)}"]
    task.main(task.parse([*words, "--json_serialized_inputs_spec_args={}"]))
    assert _names(bucket) == {"root/", "root/run/", "root/run/output.json", "root/run/schema/schema.pbtxt"}


def _schema_artifact() -> dict:
    kind = {"instanceSchema": "title: tfx.Schema\ntype: object\n"}
    return {"name": "1", "uri": f"{ROOT}/schema", "type": kind, "metadata": {}}


def test_only_markers_under_the_given_folders_are_removed(bucket, caplog):
    tf.io.gfile.makedirs(f"{ROOT}/model/variables")
    tf.io.gfile.makedirs(f"{ROOT}/model-2")
    for name in ("model/empty", "model/variables/data"):
        with tf.io.gfile.GFile(f"{ROOT}/{name}", "w") as file:
            file.write("x" if name.endswith("data") else "")
    bucket.blob("root/run/model/content/").upload_from_string("a name that ends like a marker's")
    before = _names(bucket)
    with caplog.at_level(logging.INFO, "absl"):
        assert directory_markers.remove([f"{ROOT}/model", "/a/local/folder"]) == 2
    assert before - _names(bucket) == {"root/run/model/", "root/run/model/variables/"}
    assert f"{ROOT}/model: removed 2 directory markers" in caplog.text


def test_a_marker_that_another_attempt_removed_or_replaced_is_skipped(bucket, monkeypatch, caplog):
    delete = storage.Blob.delete

    def after_the_other_try(blob, **conditions):
        if blob.name.endswith("gone/"):
            delete(blob)
        if blob.name.endswith("newer/"):  # the emulator knows no generations
            raise PreconditionFailed("the object has another generation")
        delete(blob, **conditions)

    for name in ("gone", "newer", "own"):
        bucket.blob(f"root/run/{name}/").upload_from_string("")
    monkeypatch.setattr(storage.Blob, "delete", after_the_other_try)
    assert directory_markers.remove([ROOT]) == 1
    assert _names(bucket) == {"root/run/newer/"}
    assert "cannot remove" not in caplog.text


def test_a_task_succeeds_if_its_markers_cannot_be_removed(bucket, caplog):
    assert directory_markers.remove(["gs://another-bucket/model"]) == 0
    assert "gs://another-bucket/model: cannot remove its directory markers: 404" in caplog.text
    assert "roles/storage.objectAdmin" in caplog.text
