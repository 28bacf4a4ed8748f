"""Compiled files: another image in one, and `kubeflow_runner.py submit` with one."""

import itertools
import json
import os
import re
import subprocess
import sys
from contextlib import nullcontext

import pytest
import yaml

import kubeflow_runner
from errors import UserError
from pipeline.cluster import compiled as files
from pipeline.cluster import container_images
from tests.conftest import ROOT
from tests.helpers import stubs, tls
from tests.test_kubeflow_runner import RUNS, TRAINER


@pytest.mark.parametrize("name", RUNS)
def test_replacing_the_image_equals_compiling_with_it(compiled, tmp_path, name):
    file = tmp_path / "again"
    assert kubeflow_runner.main(["compile", *RUNS[name], "--image", "r.io/other:2", "-o", str(file)]) == 0
    job = files.with_image(files.read(compiled(name)), "r.io/other:2", ROOT, allow_dirty=False)
    assert files.text(job) == file.read_text()
    assert "r.io/photos/pipeline:1" not in file.read_text()


def test_submitting_a_compiled_file_to_vertex(compiled, monkeypatch, capfd):
    file = compiled("vertex-flowers-xception-tpu")
    with stubs.serving(stubs.Vertex()) as server:
        stubs.point_vertex_sdk_at(server, monkeypatch)
        said = ["--parameter", "epochs=3", "--data", "gs://a-bucket/more", "--image", "r.io/other"]
        said += ["--endpoint", "http://127.0.0.1:1", "--experiment", "photos"]
        assert kubeflow_runner.main(["submit", str(file), *said, "--allow-dirty"]) == 0
    (job,) = server.jobs.values()
    defaults = json.loads(file.read_text())["runtimeConfig"]["parameters"]
    changed = {"epochs": {"intValue": "3"}, "data": {"stringValue": "gs://a-bucket/more"}}
    assert job["runtimeConfig"] == {"gcsOutputDirectory": "gs://a-bucket/root", "parameters": defaults | changed}
    image = container_images.image_of("r.io/other", "cpu", ROOT, allow_dirty=True)
    printed = capfd.readouterr().out
    for flag in ("cluster.endpoint", "--experiment"):
        assert f"no effect on Vertex AI: {flag}\n" in printed
    assert f"image 1: {image}" in printed
    assert TRAINER in printed
    (pool,) = files.job_spec(job)["worker_pool_specs"]
    assert pool["container_spec"]["image_uri"] == f"{image}-tpu"


def test_submitting_a_compiled_file_to_kubeflow_imports_no_tfx(compiled, tmp_path):
    (tmp_path / "token").write_text(stubs.TOKEN)
    environment = {"KF_PIPELINES_SA_TOKEN_PATH": str(tmp_path / "token"), "no_proxy": "127.0.0.1"}
    file = compiled("kubeflow-flowers-xception-tpu")
    code = (
        "import sys, kubeflow_runner; code = kubeflow_runner.main(sys.argv[1:]); "
        "print({'tfx', 'tensorflow', 'apache_beam'} & set(sys.modules)); sys.exit(code)"
    )
    with stubs.serving(stubs.Kubeflow()) as server:
        flags = ["--endpoint", server.url, "--parameter", "min_accuracy=0.5"]
        command = [sys.executable, "-c", code, "submit", str(file), *flags]
        done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True)
    (run,) = server.runs.values()
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        "Trainer: on tpu-v5e-4 (cpu 110, memory 160Gi, 4 × google.com/tpu); list price 1 to 5 $ per hour" in done.stdout
    )
    assert done.stdout.endswith(f"started on Kubeflow Pipelines: {server.url}/#/runs/details/runs-0\nset()\n")
    spec, platforms = yaml.safe_load_all(file.read_text())
    assert run["pipeline_spec"] == {"pipeline_spec": spec, "platform_spec": platforms}
    assert run["runtime_config"] == {"pipeline_root": "gs://a-bucket/root", "parameters": {"min_accuracy": 0.5}}


@pytest.mark.parametrize("answer", ["a login page", "a private certificate"])
def test_a_failed_submission_is_one_line_and_code_2(compiled, tmp_path, monkeypatch, capfd, answer):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("KF_PIPELINES_SA_TOKEN_PATH", raising=False)
    with stubs.serving(stubs.Kubeflow()) as server:
        server.faulty, server.faults = "GET /healthz", itertools.repeat(stubs.Page(200, b"<html>Log in</html>"))
        address = tls.wrap(server, tmp_path / "server.pem") if "certificate" in answer else server.url
        assert kubeflow_runner.main(["submit", str(compiled("kubeflow-sample")), "--endpoint", address, "--wait"]) == 2
    captured = capfd.readouterr()
    says = "TLS failed with the server: self-signed certificate" if "certificate" in answer else "answered 200: a web"
    assert says in captured.err
    assert captured.err.count("\n") == 1
    assert "started" not in captured.out


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (
            ["--target", "vertex", "--set", "a.b=c"],
            "--target, --set: cannot change a setting that is compiled into .* expected --para",
        ),
        (
            ["--preset", "sample", "--pipeline-root", "gs://bkt/c"],
            "--preset, --pipeline-root: cannot change a setting that is compiled into .* again$",
        ),
        (["--parameter", "data=here"], "--data.: expected gs://BUCKET/FOLDER, which the cluster can read; .* here"),
        (["--image", "pipeline"], "cluster.image: expected REGISTRY/NAME"),
        (["--image", f"r.io/a/b@sha256:{'0' * 64}"], "expected no digest with a trainer on a TPU"),
    ],
)
def test_a_compiled_file_rejects_flags_that_are_compiled_in(compiled, capfd, flags, says):
    assert kubeflow_runner.main(["submit", str(compiled("vertex-flowers-xception-tpu")), *flags]) == 2
    assert re.search(says, capfd.readouterr().err)


@pytest.mark.parametrize("name", ["vertex-sample", "kubeflow-sample"])
@pytest.mark.parametrize(("schema", "code"), [("schemas/flowers.pbtxt", 2), ("gs://a-bucket/mine.pbtxt", 0)])
def test_a_file_that_reads_its_schema_from_the_image_cannot_change_the_image(compiled, name, schema, code):
    """Files compiled with old versions read the schema from the image."""
    job = files.read(compiled(name))
    old = {"constant": schema} if name.startswith("kubeflow") else {"constantValue": {"stringValue": schema}}
    given = {"schema_file": {"runtimeValue": old}}
    job["pipelineSpec"]["root"]["dag"]["tasks"]["ImportSchemaGen"]["inputs"]["parameters"] = given
    refused = pytest.raises(UserError, match=f"reads {schema} from the image, .*Compile again$")
    with refused if code else nullcontext():
        files.with_image(job, "r.io/other:2", ROOT, allow_dirty=False)


def test_a_compiled_file_is_validated(compiled, tmp_path, capfd):
    job = json.loads(compiled("vertex-sample").read_text())
    del job["pipelineSpec"]["root"]["inputDefinitions"]["parameters"]["epochs"]
    del job["runtimeConfig"]["parameters"]["epochs"]
    file = tmp_path / "sample.json"
    file.write_text(json.dumps(job))
    for command in ("submit", "run-local"):
        assert kubeflow_runner.main([command, str(file), "--parameter", "epochs=3"]) == 2
        said = "--parameter: expected a parameter of the compiled pipeline .batch_size, data, .*; received epochs$"
        assert re.search(said, capfd.readouterr().err, re.MULTILINE)
    assert kubeflow_runner.main(["run-local", str(file), "--output", f"{tmp_path}/out*"]) == 2
    assert f"received * in {tmp_path}/out*; rename it, or give another folder (--output" in capfd.readouterr().err
    for output in (file, file / "out", "/proc/out"):
        assert kubeflow_runner.main(["run-local", str(file), "--output", str(output)]) == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert f"cannot write to the folder {output}: " in line
        assert line.endswith("; give another folder (--output DIR)")
    file.write_text(json.dumps(job | {"jobSpec": {}}))
    assert kubeflow_runner.main(["submit", str(file)]) == 2
    assert "expected a pipeline that vertex can parse" in capfd.readouterr().err
