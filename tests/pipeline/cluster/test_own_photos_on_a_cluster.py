"""From a folder of photos to a submitted run, with the commands of docs/first-run-*.md."""

import re
import shlex

import pytest

import kubeflow_runner
from ingest.__main__ import main as ingest_main
from pipeline.cluster import compiled
from pipeline.cluster.machines import MACHINES
from tests.helpers import records, stubs

FLAGS = ["--config", "made/settings.yaml", "--data", "gs://a-bucket/photos", "--image", "r.io/photos/pipeline:1",
         "--pipeline-root", "gs://a-bucket/root"]  # fmt: skip
TARGETS = {
    "vertex": ["--project", "a-project", "--region", "us-central1", "--set", "cluster.trainer=t4"],
    "kubeflow": ["--set", "cluster.trainer=v100"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which `made` has been made of two classes of photos."""
    folder = tmp_path_factory.mktemp("own")
    for name, colour in (("cat", (250, 10)), ("dog", (10, 250))):
        for index in range(8):
            records.photo_file(folder / "photos" / name / f"{index}.png", (*colour, index))
    assert ingest_main(["photos", str(folder / "photos"), "--to", str(folder / "made")]) == 0
    return folder


@pytest.fixture
def call(folder, monkeypatch, capfd):
    """Calls kubeflow_runner.main in that folder; returns what was printed, and the words of the next command."""
    monkeypatch.chdir(folder)

    def typed(words) -> tuple[str, list[str]]:
        assert kubeflow_runner.main(words) == 0
        printed = capfd.readouterr().out
        last = re.fullmatch(r"next: python \S*kubeflow_runner\.py (.*)", printed.splitlines()[-1])
        return printed, shlex.split(last[1]) if last else []

    return typed


@pytest.mark.parametrize("target", TARGETS)
def test_each_command_says_the_next_one_until_the_run_is_submitted(folder, call, monkeypatch, tmp_path, target):
    printed, words = call(["check", "--target", target, *FLAGS, *TARGETS[target]])
    assert words == ["compile", "--target", target, *FLAGS, *TARGETS[target], "-o", words[-1]]
    _, words = call(words)
    assert words[0] == "submit"
    (tmp_path / "token").write_text(stubs.TOKEN)
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with stubs.serving(stubs.Vertex()) as vertex, stubs.serving(stubs.Kubeflow()) as kubeflow:
        stubs.point_vertex_sdk_at(vertex, monkeypatch)
        vertex.states, kubeflow.states = iter(["SUCCEEDED"]), iter(["SUCCEEDED"])
        again, _ = call([kubeflow.url if word == "http://127.0.0.1:8080" else word for word in words])
    (run,) = [*vertex.jobs.values(), *kubeflow.runs.values()]
    # the tasks, the images, the Trainer's machine and its cost
    assert set(again.splitlines()) >= set(printed.splitlines()[:-1])
    schema = (folder / "made" / "schema.pbtxt").read_text()
    spec = run["pipelineSpec"] if target == "vertex" else run["pipeline_spec"]["pipeline_spec"]
    given = spec["root"]["dag"]["tasks"]["ImportSchemaGen"]["inputs"]["parameters"]
    assert compiled.constant(given["text"]["runtimeValue"]) == schema


def test_what_no_cluster_can_read_is_to_be_run_here(folder, call):
    _, words = call(["compile", "--target", "kubeflow", *FLAGS, "--data", "made", "-o", "here.yaml"])
    assert words == ["run-local", "here.yaml"]


def test_a_machine_that_this_version_does_not_know_is_said(folder, call, monkeypatch):
    call(["compile", "--target", "kubeflow", *FLAGS, "-o", "old.yaml"])
    monkeypatch.delitem(MACHINES, "cpu-8")
    job = compiled.read(folder / "old.yaml")
    from pipeline.cluster import summary

    assert summary._name_and_cost(job) == ("a machine of another version of this project", "; list price unknown")
