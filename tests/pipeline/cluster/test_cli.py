"""kubeflow_runner.py refuses a command that cannot succeed: nothing is compiled, sent or written."""

import json
import re
import subprocess
import sys

import pytest

import kubeflow_runner
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("file", "says"),
    [(".", "it is a folder; give a file"), ("/proc/here/a.json", "cannot write to the folder /proc/here")],
)
def test_a_file_that_cannot_be_written_is_refused_at_once(file, says, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert kubeflow_runner.main(["compile", "--target", "vertex", "-o", file]) == 2
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["check", "submit", "compile"])
def test_an_error_is_reported_before_tfx_is_imported_or_a_file_written(command, tmp_path):
    file = tmp_path / "new" / "pipeline.json"
    flags = ["--target", "vertex", "--image", "x", *(["-o", str(file)] if command == "compile" else [])]
    code = (
        "import sys, kubeflow_runner; code = kubeflow_runner.main(sys.argv[1:]); "
        "heavy = {'tfx', 'tensorflow', 'kfp', 'google.cloud.aiplatform', 'apache_beam', 'boto3'} & set(sys.modules); "
        "print(heavy or '', file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, command, *flags], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("kubeflow_runner.py: cluster.pipeline_root (--pipeline-root): expected gs://")
    assert done.stderr.splitlines()[-1] == ""
    assert "Traceback" not in done.stderr
    assert not file.parent.exists()


def test_submit_needs_settings_or_a_file(capsys):
    assert kubeflow_runner.main(["submit"]) == 2
    assert "expected --target with settings, or a compiled FILE" in capsys.readouterr().err


def test_kubeflow_needs_an_address(capsys):
    assert kubeflow_runner.main(["submit", "--target", "kubeflow"]) == 2
    assert "--endpoint: expected the address of Kubeflow Pipelines" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "is not a file that 'kubeflow_runner.py compile' writes: .*No such file"),
        ("a: [", "is not a file that"),
        ("{}", "is not a file that"),
        ("just words", "is not a file that"),
    ],
)
def test_a_file_that_is_not_a_pipeline(tmp_path, capsys, content, says):
    file = tmp_path / "pipeline.yaml"
    if content is not None:
        file.write_text(content)
    for command in ("run-local", "submit"):
        assert kubeflow_runner.main([command, str(file)]) == 2
        assert re.search(says, capsys.readouterr().err)


def test_a_file_with_settings_of_another_version(tmp_path, capsys):
    custom = json.dumps({"recipe": {"model": {"alpha": 0.5}}})
    task = {"inputs": {"parameters": {"custom_config": {"runtimeValue": {"constant": custom}}}}}
    root = {"inputDefinitions": {"parameters": {}}, "dag": {"tasks": {"Trainer": task}}}
    job = {"schemaVersion": "2.1.0", "pipelineInfo": {"name": "sample"}, "root": root}
    job["defaultPipelineRoot"] = "gs://bkt"
    (file := tmp_path / "pipeline.yaml").write_text(json.dumps(job))  # JSON is YAML
    for command in ("run-local", "submit"):
        assert kubeflow_runner.main([command, str(file)]) == 2
        said = capsys.readouterr().err
        assert f"{file} has settings of another version of this project; compile again: 1 setting is not valid" in said
        assert "model.alpha: unknown key" in said
