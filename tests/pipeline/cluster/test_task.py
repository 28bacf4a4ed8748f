"""A task between the launcher's downloads and uploads: local folders during the task, URIs in its output."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.cluster import task
from pipeline.schema_file import SCHEMAS
from storage import s3
from tests.conftest import ROOT
from tests.helpers.minio import BUCKET
from trainer import weight_files

EXECUTOR = "tfx.components.schema_gen.import_schema_gen.executor.Executor"


def _artifact(kind: str, uri: str, **metadata) -> dict:
    return {"name": "1", "uri": uri, "type": {"instanceSchema": f"title: {kind}\ntype: object\n"}, "metadata": metadata}


def _words(executor: str, given: dict, spec: dict | None = None) -> list[str]:
    invocation, inputs = json.dumps(given), json.dumps(spec or {})
    return [
        "task",
        f"--executor_class_path={executor}",
        f"--json_serialized_invocation_args={invocation}",
        f"--json_serialized_inputs_spec_args={inputs}",
    ]


def _run(executor: str, given: dict, spec: dict | None = None) -> dict:
    task.main(task.parse(_words(executor, given, spec)))
    return json.loads(Path(given["outputs"]["outputFile"]).read_text())


@pytest.mark.parametrize(("scheme", "folder"), [("gs", "gcs"), ("minio", "minio"), ("s3", "s3")])
def test_a_task_writes_the_launchers_folder(tmp_path, monkeypatch, scheme, folder):
    """Not the file of the log, which the launcher has created and writes."""
    logs = tmp_path / "root" / folder / "a-bucket" / "run" / "executor-logs"
    logs.parent.mkdir(parents=True)
    logs.write_text("started\n")
    log = {"name": "executor-logs", "uri": f"{scheme}://a-bucket/run/executor-logs"}
    log |= {"type": {"schemaTitle": "system.Artifact"}}
    monkeypatch.setenv("LAUNCHER_ROOT", str(tmp_path / "root"))
    uri = f"{scheme}://a-bucket/run/schema"
    given = {
        "inputs": {"parameterValues": {"schema_file": str(SCHEMAS / "flowers.pbtxt")}, "artifacts": {}},
        "outputs": {
            "artifacts": {
                "schema": {"artifacts": [_artifact("tfx.Schema", uri)]},
                "executor-logs": {"artifacts": [log]},
            },
            "outputFile": str(tmp_path / "output.json"),
        },
    }
    output = _run(EXECUTOR, given)
    assert output["artifacts"].keys() == {"schema"}
    assert output["artifacts"]["schema"]["artifacts"][0]["uri"] == uri
    (written,) = (tmp_path / "root" / folder / "a-bucket" / "run" / "schema").iterdir()
    assert written.name == "schema.pbtxt"


def test_a_task_reads_the_launchers_folder_and_its_properties_have_uris(tmp_path, monkeypatch):
    """Also an input whose type the backend lost."""
    monkeypatch.setenv("LAUNCHER_ROOT", str(tmp_path / "root"))
    candidate = tmp_path / "root" / "s3" / "a-bucket" / "model" / "Format-Serving"
    candidate.mkdir(parents=True)
    (candidate / "fingerprint.pb").write_bytes(b"candidate")
    model = _artifact("tfx.Model", "s3://a-bucket/model") | {"type": {"instanceSchema": ""}}
    given = {
        "inputs": {"parameterValues": {"pushed": str(tmp_path)}, "artifacts": {"candidate": {"artifacts": [model]}}},
        "outputs": {
            "artifacts": {"model": {"artifacts": [_artifact("tfx.Model", "s3://a-bucket/baseline")]}},
            "outputFile": str(tmp_path / "output.json"),
        },
    }
    spec = {
        "artifacts": {"candidate": {"artifactType": {"instanceSchema": "title: tfx.Model\ntype: object\n"}}},
        "parameters": {"pushed": {"type": "STRING"}},
    }
    output = _run("components.baseline.LatestPushedModel_Executor", given, spec)
    assert "root" not in json.dumps(output)
    assert output["artifacts"]["model"]["artifacts"][0]["uri"] == "s3://a-bucket/baseline"
    assert (tmp_path / "root" / "s3" / "a-bucket" / "baseline" / "none.txt").exists()


@pytest.mark.parametrize("given", [{"instanceSchema": ""}, {"schemaTitle": "system.Model"}, {}, None])
def test_an_input_gets_the_type_that_its_component_declares(given):
    """The backend's own types, such as system.Model, are no classes of TFX."""
    pushed = {"instanceSchema": "title: tfx.PushedModel\ntype: object\n"}
    model = {"name": "1", "uri": "/a/model"} | ({} if given is None else {"type": given})
    invocation = {"inputs": {"artifacts": {"model": {"artifacts": [model]}}}, "outputs": {}}
    args, _ = task.parse(_words(EXECUTOR, invocation, {"artifacts": {"model": {"artifactType": pushed}}}))
    (typed,) = json.loads(args.json_serialized_invocation_args)["inputs"]["artifacts"]["model"]["artifacts"]
    assert typed["type"] == pushed


AT_EXIT = """
import atexit, os, runpy, sys
atexit.register(os.abort)  # as a destructor that calls a pure virtual method
sys.stdout.write("no line end")
runpy.run_module("pipeline.cluster.task", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(("file", "succeeds"), [("flowers.pbtxt", True), ("none.pbtxt", False)])
def test_an_abort_at_the_end_does_not_fail_a_task_that_succeeded(tmp_path, file, succeeds):
    given = {
        "inputs": {"parameterValues": {"schema_file": str(SCHEMAS / file)}, "artifacts": {}},
        "outputs": {
            "artifacts": {"schema": {"artifacts": [_artifact("tfx.Schema", str(tmp_path / "schema"))]}},
            "outputFile": str(tmp_path / "output.json"),
        },
    }
    (tmp_path / "schema").mkdir()
    command = [sys.executable, "-c", AT_EXIT, *_words(EXECUTOR, given)[1:]]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode == 0, (tmp_path / "output.json").exists()) == (succeeds, succeeds), done.stderr
    assert done.stdout == "no line end" if succeeds else "none.pbtxt" in done.stderr


def test_a_task_reads_a_schema_and_weights_in_s3(minio, tmp_path):
    s3.upload(SCHEMAS / "flowers.pbtxt", f"minio://{BUCKET}/mine.pbtxt")
    given = {
        "inputs": {"parameterValues": {"schema_file": f"minio://{BUCKET}/mine.pbtxt"}, "artifacts": {}},
        "outputs": {
            "artifacts": {"schema": {"artifacts": [_artifact("tfx.Schema", str(tmp_path / "schema"))]}},
            "outputFile": str(tmp_path / "output.json"),
        },
    }
    (tmp_path / "schema").mkdir()
    _run(EXECUTOR, given)
    assert (tmp_path / "schema" / "schema.pbtxt").read_bytes() == (SCHEMAS / "flowers.pbtxt").read_bytes()
    np.savez(tmp_path / "w.npz", **{"layer/kernel": np.arange(3.0)})
    s3.upload(tmp_path / "w.npz", f"s3://{BUCKET}/w.npz")
    assert weight_files.read(f"s3://{BUCKET}/w.npz")["layer/kernel"].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match=f"the weights file s3://{BUCKET}/none.npz cannot be read: .*does not exist"):
        weight_files.read(f"s3://{BUCKET}/none.npz")
