"""`kubeflow_runner.py run-local`: executes compiled pipelines on this machine, task by task."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import kubeflow_runner
from pipeline.cluster.launcher import causes, command
from pipeline.cluster.launcher.run import DONE, FAILED, SKIPPED, Launcher, TaskResult
from pipeline.cluster.launcher.store import Store
from tests.conftest import ROOT
from tests.test_kubeflow_runner import VERTEX

NODES = ["ImportExampleGen", "ImportSchemaGen", "StatisticsGen", "ExampleValidator", "DataGate", "Transform", "Trainer",
         "Evaluator", "ServingCheck", "Pusher", "Report"]  # fmt: skip
RESOLVERS = ["LatestBlessedModel-model-blessing-resolver", "LatestBlessedModel-model-resolver"]
EPOCHS = 6  # of the local run's ten; the learning rate does not depend on the number
LINE = re.compile(r"^(done|failed|skipped|retry) +(\S+)", re.MULTILINE)


@pytest.fixture(scope="module")
def vertex(tmp_path_factory, sample) -> tuple[Path, Path]:
    """The sample compiled for Vertex AI with a TPU, and an output folder."""
    folder = tmp_path_factory.mktemp("vertex")
    flags = [*VERTEX, "--data", str(sample), "--set", "cluster.trainer=tpu-v5e-4", "-o", str(folder / "sample.json")]
    assert kubeflow_runner.main(["compile", *flags]) == 0
    return folder / "sample.json", folder / "root"


def _accuracy(folder: Path) -> float:
    return max(json.loads((folder / "history.json").read_text())["history"]["val_accuracy"][:EPOCHS])


def test_the_sample_compiled_for_vertex(vertex, first_run):
    """With drivers and resolvers, from the command line; the Trainer's custom job runs on this machine."""
    file, output = vertex
    words = [sys.executable, "kubeflow_runner.py", "run-local", str(file), "--output", str(output)]
    words += ["--parameter", f"epochs={EPOCHS}"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    states = {name: state for state, name in LINE.findall(done.stdout)}
    assert states == dict.fromkeys([*NODES, *RESOLVERS], "done")
    (pushed,) = (output / "pushed" / "sample").iterdir()
    (report,) = output.glob("sample-*/Report/report/report.html")
    assert done.stdout.endswith(f"report: {report}\nblessed and pushed to {pushed}\n")
    local_output, local = first_run
    assert "Blessed and pushed to" in local.stdout
    runs = (local_output / "artifacts" / "sample" / "Trainer" / "model_run").iterdir()
    local_run = min(runs, key=lambda run: int(run.name))  # other tests continue this run
    (run_here,) = output.glob("sample-*/Trainer/model_run")
    assert _accuracy(run_here) == pytest.approx(_accuracy(local_run), abs=0.02)
    driven = json.loads((run_here.parent.parent / "ImportExampleGen" / "0" / "executor_output.json").read_text())
    (examples,) = driven["artifacts"]["examples"]["artifacts"]
    assert examples["metadata"]["input_fingerprint"].startswith("split:all,num_files:8,")  # written by the driver


@pytest.mark.slow  # needs the push of the test above
def test_the_next_run_is_compared_with_the_blessed_model(vertex, run_local):
    file, output = vertex
    pushed = list((output / "pushed" / "sample").iterdir())
    given = [f"--parameter={text}" for text in ("epochs=1", "min_accuracy=0", "min_class_recall=0")]
    code, printed = run_local(file, output, *given)
    assert code == 3, printed
    assert "refused by the gate; nothing was pushed: accuracy against the baseline -0." in printed
    assert list((output / "pushed" / "sample").iterdir()) == pushed


def _spec(*names: str, version: str = "2.1.0", **changes) -> dict:
    """Returns the spec of a chain of tasks; a task's executor is `changes[name]`, or does nothing."""
    tasks = {}
    for name, before in zip(names, (None, *names), strict=False):
        tasks[name] = {"componentRef": {"name": name}, "dependentTasks": [before] if before else []}
    return {
        "schemaVersion": version,
        "defaultPipelineRoot": "gs://a-bucket/root",
        "pipelineInfo": {"name": "tiny"},
        "root": {"dag": {"tasks": tasks}},
        "components": {name: {"executorLabel": name} for name in names},
        "deploymentSpec": {"executors": {name: changes.get(name, {"container": _script("")}) for name in names}},
    }


def _script(text: str) -> dict:
    """Returns a container that runs the code with the ExecutorInput as `given`, and writes `written` as its output."""
    lines = ["import json, os, pathlib, signal, sys", "given, written = json.loads(sys.argv[1]), {}", text]
    lines.append("file = pathlib.Path(given['outputs']['outputFile'])")
    lines.append("file.parent.mkdir(exist_ok=True), file.write_text(json.dumps(written))")
    return {"command": [sys.executable, "-c", "\n".join(lines)], "args": ["{{$}}"]}


def _launch(spec, folder, **parameters):
    launcher = Launcher(spec, parameters, folder, folder)
    return {name: result.state for name, result in launcher.run().items()}, launcher


def test_only_tasks_downstream_of_a_failed_task_are_skipped(tmp_path):
    spec = _spec("first", "second", "third", second={"container": _script("sys.exit('it broke')")})
    spec["root"]["dag"]["tasks"]["other"] = {"componentRef": {"name": "first"}}
    states, launcher = _launch(spec, tmp_path)
    assert states == {"first": DONE, "second": FAILED, "third": SKIPPED, "other": DONE}
    assert "it broke" in launcher.log("second").read_text()


def test_the_last_error_of_a_failed_task_is_printed(tmp_path):
    beam = "a.b.S3ClientError: ('Could not connect', None) [while running 'Read']"
    (tmp_path / "a.log").write_text(
        f"Traceback:\nOSError: first\nTraceback:\n{beam}\nlauncher: the command ended with 1\n"
    )
    assert causes.last_error(tmp_path / "a.log") == "a.b.S3ClientError: ('Could not connect', None)"
    assert causes.last_error(tmp_path / "none.log") == ""


@pytest.mark.parametrize(("tries", "state"), [(1, FAILED), (2, DONE)])
def test_a_failed_task_is_retried(tmp_path, tries, state, capsys):
    flag = tmp_path / "was here"
    once = f"flag = pathlib.Path({str(flag)!r})\nif not flag.exists(): flag.touch(), sys.exit(1)"
    spec = _spec("task", task={"container": _script(once)})
    spec["root"]["dag"]["tasks"]["task"]["retryPolicy"] = {"maxRetryCount": tries - 1}
    states, _ = _launch(spec, tmp_path)
    assert states == {"task": state}
    assert ("retry    task (attempt 2)" in capsys.readouterr().out) == (tries == 2)


@pytest.mark.parametrize(("across", "warned"), [(50, True), (0, False), (None, False)])
def test_copies_in_different_splits_are_counted(capsys, across, warned):
    """For example of two data sets in one folder. Without embeddings, there is no DataReview."""

    def result(**outputs: dict) -> TaskResult:
        return TaskResult(DONE, 1.0, {name: [{"uri": "a", "metadata": facts}] for name, facts in outputs.items()})

    finished = {"Report": result(report={}), "Evaluator": result(blessing={"blessed": 1}, evaluation={})}
    finished["ServingCheck"] = result(blessing={"blessed": 1})
    finished["Pusher"] = result(pushed_model={"pushed_destination": "a/1"})
    finished |= {} if across is None else {"DataReview": result(duplicates={"across": across})}
    assert command._verdict(finished) == 0
    assert ("warning: 50 pairs of equal or similar photos are in different" in capsys.readouterr().out) == warned


@pytest.mark.parametrize(("error", "tries"), [("ValueError('the same')", 2), ("ValueError(os.getpid())", 4)])
def test_the_same_error_twice_ends_the_retries(tmp_path, error, tries):
    count = f"with open({str(tmp_path / 'tries')!r}, 'a') as file: file.write('x')\nimport os\nraise {error}"
    spec = _spec("task", task={"container": _script(count)})
    spec["root"]["dag"]["tasks"]["task"]["retryPolicy"] = {"maxRetryCount": 3}
    states, _ = _launch(spec, tmp_path)
    assert states == {"task": FAILED}
    assert (tmp_path / "tries").read_text() == "x" * tries


def test_a_task_gets_the_compiled_environment_except_what_this_machine_sets(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    keep = _script("print(os.environ['AWS_ENDPOINT_URL'], os.environ['COMPILED'])")
    values = {"AWS_ENDPOINT_URL": "http://minio.kubeflow:9000", "COMPILED": "a value"}
    keep["env"] = [{"name": name, "value": value} for name, value in values.items()]
    states, launcher = _launch(_spec("task", task={"container": keep}), tmp_path)
    assert states == {"task": DONE}
    assert launcher.log("task").read_text() == "http://127.0.0.1:9000 a value\n"


@pytest.mark.parametrize(
    ("version", "constant", "expected"),
    [
        ("2.1.0", {"constant": 3}, {"parameterValues": {"fixed": 3, "said": "gs://b/x"}}),
        (
            "2.0.0",
            {"constantValue": {"intValue": "3"}},
            {"parameters": {"fixed": {"intValue": "3"}, "said": {"stringValue": "gs://b/x"}}},
        ),
    ],
)
def test_a_task_gets_its_parameters_in_the_schemas_format(tmp_path, version, constant, expected):
    keep = f"open({str(tmp_path / 'given.json')!r}, 'w').write(sys.argv[1])"
    spec = _spec("task", version=version, task={"container": _script(keep)})
    spec["root"]["dag"]["tasks"]["task"]["inputs"] = {
        "parameters": {"fixed": {"runtimeValue": constant}, "said": {"componentInputParameter": "data"}}
    }
    states, _ = _launch(spec, tmp_path, data="gs://b/x")
    assert states == {"task": DONE}
    inputs = json.loads((tmp_path / "given.json").read_text())["inputs"]
    assert inputs == expected | {"artifacts": {}}


def test_an_importer_returns_an_existing_artifact(tmp_path):
    kind = {"instanceSchema": "title: tfx.Model\ntype: object\n"}
    importer = {"importer": {"artifactUri": {"constant": "gs://a-bucket/root/model"}, "metadata": {"epoch": 7}}}
    keep = f"open({str(tmp_path / 'given.json')!r}, 'w').write(sys.argv[1])"
    spec = _spec("importer", "task", importer=importer, task={"container": _script(keep)})
    spec["components"]["importer"]["outputDefinitions"] = {"artifacts": {"result": {"artifactType": kind}}}
    source = {"taskOutputArtifact": {"producerTask": "importer", "outputArtifactKey": "result"}}
    spec["root"]["dag"]["tasks"]["task"]["inputs"] = {"artifacts": {"model": source}}
    assert _launch(spec, tmp_path)[0] == {"importer": DONE, "task": DONE}
    (model,) = json.loads((tmp_path / "given.json").read_text())["inputs"]["artifacts"]["model"]["artifacts"]
    assert (model["uri"], model["metadata"]) == ("gs://a-bucket/root/model", {"epoch": 7})
    assert model["type"] == {"instanceSchema": ""}  # the backend loses the type


def test_the_store_answers_the_resolvers_queries(tmp_path):
    """The two queries that TFX compiles for the latest blessed model."""
    store = Store(tmp_path / "artifacts.sqlite")
    blessings = 'schema_title="tfx.ModelBlessing" AND state=LIVE AND metadata.blessed.number_value=1'
    models = (
        'schema_title="tfx.Model" AND state=LIVE AND name="'
        "{{$.inputs.artifacts['input'].metadata['current_model_id']}}\""
    )
    assert store.latest(blessings, {}) == []
    assert store.latest(models, {"input": []}) == []
    for number, blessed in enumerate([1, 1, 0]):
        metadata = {"blessed": blessed, "current_model_id": f"run-{number}/model"}
        for name, kind, known in (("model", "tfx.Model", {}), ("blessing", "tfx.ModelBlessing", metadata)):
            type_schema = {"instanceSchema": f"title: {kind}\ntype: object\n"}
            store.put({"name": f"run-{number}/{name}", "uri": f"/{number}", "type": type_schema, "metadata": known})
    (blessing,) = store.latest(blessings, {})
    assert (blessing["name"], blessing["metadata"]["blessed"]) == ("run-1/blessing", 1)
    (model,) = Store(tmp_path / "artifacts.sqlite").latest(models, {"input": [blessing]})
    assert (model["name"], model["uri"]) == ("run-1/model", "/1")
