"""A task between the launcher's downloads and uploads: local folders during the task, URIs in its output."""

import json
from pathlib import Path

import pytest

from pipeline.cluster import task
from pipeline.schema_file import SCHEMAS

EXECUTOR = "tfx.components.schema_gen.import_schema_gen.executor.Executor"


def _artifact(kind: str, uri: str, **metadata) -> dict:
    return {"name": "1", "uri": uri, "type": {"instanceSchema": f"title: {kind}\ntype: object\n"}, "metadata": metadata}


def _run(executor: str, given: dict, spec: dict | None = None) -> dict:
    words = ["task", f"--executor_class_path={executor}", f"--json_serialized_invocation_args={json.dumps(given)}"]
    task.main(task.parse([*words, f"--json_serialized_inputs_spec_args={json.dumps(spec or {})}"]))
    return json.loads(Path(given["outputs"]["outputFile"]).read_text())


@pytest.mark.parametrize(("scheme", "folder"), [("gs", "gcs"), ("minio", "minio"), ("s3", "s3")])
def test_a_task_writes_the_launchers_folder(tmp_path, monkeypatch, scheme, folder):
    monkeypatch.setenv("LAUNCHER_ROOT", str(tmp_path / "root"))
    uri = f"{scheme}://a-bucket/run/schema"
    given = {
        "inputs": {"parameterValues": {"schema_file": str(SCHEMAS / "flowers.pbtxt")}, "artifacts": {}},
        "outputs": {
            "artifacts": {"schema": {"artifacts": [_artifact("tfx.Schema", uri)]}},
            "outputFile": str(tmp_path / "output.json"),
        },
    }
    output = _run(EXECUTOR, given)
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
