"""`run-local` writes below another root than the cluster, and reads the same inputs."""

import json

import pytest

import kubeflow_runner
from pipeline.cluster import compiled
from pipeline.cluster.launcher import executor_input, folders
from pipeline.cluster.launcher.run import DONE
from tests.pipeline.cluster.test_launcher import _launch, _script, _spec
from tests.test_kubeflow_runner import KUBEFLOW, VERTEX

BUCKET = "gs://my-bucket"  # the whole bucket is the pipeline root, so data and edits are below it
WRITTEN = {
    "vertex": {("Pusher", "push_destination"), ("Report", "settings")},
    "kubeflow": {
        ("Pusher", "push_destination"),
        ("Report", "settings"),
        ("LatestBlessedModel", "pushed"),
        ("Trainer", "custom_config"),
    },
}


@pytest.fixture(params=[("vertex", VERTEX), ("kubeflow", KUBEFLOW)], ids=["vertex", "kubeflow"])
def job(request, tmp_path):
    """The target, and the sample compiled for it with all inputs and outputs in one bucket."""
    target, flags = request.param
    places = {
        "data.directory": f"{BUCKET}/photos",
        "data.edits": f"{BUCKET}/edits.csv",
        "data.schema_file": f"{BUCKET}/schema.pbtxt",
        "model.weights": f"{BUCKET}/weights.keras",
    }
    given = [f"--set={name}={value}" for name, value in places.items()]
    out = tmp_path / "file"
    assert kubeflow_runner.main(["compile", *flags, "--pipeline-root", BUCKET, *given, "-o", str(out)]) == 0
    return target, compiled.read(out)


def test_only_what_the_run_writes_is_moved(job):
    target, job = job
    parameters, moved = compiled.parameters_of(job, {}), {}
    for name, task in job["pipelineSpec"]["root"]["dag"]["tasks"].items():
        before = executor_input.parameters_of(task, parameters)
        after = folders.moved(name, before, BUCKET, '/tmp/a"b')
        moved |= {(name, key): after[key] for key in before if before[key] != after[key]}
    assert set(moved) == WRITTEN[target]
    pushed = '/tmp/a"b/pushed/sample'
    assert json.loads(moved["Pusher", "push_destination"]) == {"filesystem": {"base_directory": pushed}}
    settings = json.loads(moved["Report", "settings"])
    assert settings["pusher"]["directory"] == pushed
    assert (settings["data"]["edits"], settings["model"]["weights"]) == (
        f"{BUCKET}/edits.csv",
        f"{BUCKET}/weights.keras",
    )
    if target == "kubeflow":
        assert moved["LatestBlessedModel", "pushed"] == pushed
        custom = json.loads(moved["Trainer", "custom_config"])
        assert custom["checkpoints"] == '/tmp/a"b/checkpoints'
        assert custom["recipe"]["model"]["weights"] == f"{BUCKET}/weights.keras"


@pytest.mark.parametrize(
    ("root", "folder", "expected"),
    [
        ("gs://b/root", "gs://b/root/pushed/x", "/new/pushed/x"),
        ("gs://b/root/", "gs://b/root//pushed/x", "/new/pushed/x"),
        ("gs://b/root/", "gs://b/root/models", "/new/models"),
        ("gs://b/root", "gs://b/root2/pushed", "gs://b/root2/pushed"),
    ],
)
def test_a_folder_is_moved_if_it_is_below_the_pipeline_root(root, folder, expected):
    assert folders.moved("LatestBlessedModel", {"pushed": folder}, root, "/new") == {"pushed": expected}


def test_the_output_folder_may_have_any_name(tmp_path):
    output = tmp_path / 'a"b\\c'
    states, launcher = _launch(_spec("task", task={"container": _script("print(given['outputs'])")}), output)
    assert states == {"task": DONE}
    assert launcher.log("task").exists()
