"""kubeflow_runner.py from the command line: compile, check, and submit to local servers."""

import itertools
import json
import os
import re
import subprocess
import sys
from contextlib import nullcontext

import pytest
import yaml
from google.cloud.aiplatform_v1.types import CustomJobSpec
from google.protobuf import json_format
from kfp.components import load_component_from_file
from kfp.pipeline_spec import pipeline_spec_pb2

import kubeflow_runner
from errors import UserError
from lineage.remote import spec as specs
from lineage.remote.source import COPIES
from pipeline.cluster import compiled as files
from pipeline.cluster import container_images, submission, summary, task
from tests.conftest import ROOT
from tests.helpers import stubs, tls

COMMON = ["--image", "r.io/photos/pipeline:1", "--pipeline-root", "gs://a-bucket/root"]
COMMON += ["--data", "gs://a-bucket/photos"]
VERTEX = ["--target", "vertex", "--project", "a-project", "--region", "us-central1", *COMMON]
KUBEFLOW = ["--target", "kubeflow", *COMMON]
XCEPTION = ["--preset", "flowers-xception", "--set", "cluster.trainer=tpu-v5e-4"]
RUNS = {
    "vertex-sample": VERTEX,
    "vertex-flowers-xception-tpu": [*VERTEX, *XCEPTION],
    "kubeflow-sample": KUBEFLOW,
    "kubeflow-flowers-xception-tpu": [*KUBEFLOW, *XCEPTION],
}
TRAINER = "Trainer: as a custom job on tpu-v5e-4 (ct5lp-hightpu-4t, 2x2); list price 1 to 5 $ per hour"


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """Compiles a run once for the session and returns its file."""
    folder, made = tmp_path_factory.mktemp("compiled"), {}

    def compile_run(name):
        if name not in made:
            made[name] = folder / f"{name}.{'json' if name.startswith('vertex') else 'yaml'}"
            assert kubeflow_runner.main(["compile", *RUNS[name], "-o", str(made[name])]) == 0
        return made[name]

    return compile_run


def _spec(file):
    document = next(yaml.safe_load_all(file.read_text()))
    return document.get("pipelineSpec", document)


@pytest.mark.parametrize("name", RUNS)
def test_the_compiled_tasks_equal_the_golden_table(compiled, name):
    """Compares with a readable table; after an intended change, change the table too."""
    tasks = summary.tasks(files.read(compiled(name)))
    rows = [" | ".join((task.name, task.kind, ", ".join(task.after), task.image, task.resources)) for task in tasks]
    assert rows == (ROOT / "tests" / "golden" / f"{name}.txt").read_text().splitlines()


@pytest.mark.parametrize("name", ["vertex-sample", "kubeflow-sample"])
def test_lineage_reads_a_compiled_pipeline(compiled, name):
    spec = _spec(compiled(name))
    values = specs.defaults(spec) | {"data": "gs://other", "epochs": 7, "learning_rate": 0.1, "min_accuracy": -1.0}
    facts = specs.facts_of_run(spec, values)
    settings = json.loads(facts["settings"])
    assert (facts["pipeline"], len(facts["code"])) == ("sample", 12)
    assert (settings["data"]["directory"], settings["trainer"]["epochs"]) == ("gs://other", 7)
    assert (settings["trainer"]["learning_rate"]["peak"], settings["evaluator"]["min_accuracy"]) == (0.1, None)
    trainer = specs.parameters(spec, "Trainer", values)
    assert trainer["epochs"] == 7
    assert json.loads(trainer["custom_config"])["recipe"]["model"]["name"] == "convnet"
    assert "trainer/run.py" in json.loads(trainer["code_files"])
    assert "gs://other" in specs.parameters(spec, "ImportExampleGen", values).values()
    baseline = "LatestBlessedModel-model-resolver" if name.startswith("vertex") else "LatestBlessedModel"
    kinds = {"vertex-sample": "tfx.dsl.components.common.resolver.Resolver", "kubeflow-sample": COPIES}
    assert specs.executor_class(spec, baseline) == kinds[name]
    assert specs.executor_class(spec, "Evaluator").endswith("Executor")


@pytest.mark.parametrize("name", RUNS)
def test_the_real_protos_know_every_field(compiled, name):
    documents = list(yaml.safe_load_all(compiled(name).read_text()))
    if name.startswith("vertex"):
        job = json_format.ParseDict(documents[0], pipeline_spec_pb2.PipelineJob())
        spec = json_format.ParseDict(documents[0]["pipelineSpec"], pipeline_spec_pb2.PipelineSpec())
        assert job.runtime_config.gcs_output_directory == "gs://a-bucket/root"
        assert spec.schema_version == "2.0.0"
    else:
        spec = json_format.ParseDict(documents[0], pipeline_spec_pb2.PipelineSpec())
        assert spec.schema_version == "2.1.0"
        assert load_component_from_file(str(compiled(name))).name == spec.pipeline_info.name
    tasks = spec.root.dag.tasks
    retries = {key: task.retry_policy.max_retry_count for key, task in tasks.items() if "resolver" not in key}
    # a retry of Vertex AI's Trainer task would start a second custom job
    assert retries.pop("Trainer") == (0 if name.startswith("vertex") else 2)
    assert set(retries.values()) == {2}


def test_the_parameters_have_the_settings_as_defaults(compiled):
    job = json.loads(compiled("vertex-flowers-xception-tpu").read_text())
    spec = _spec(compiled("kubeflow-flowers-xception-tpu"))
    theirs = spec["root"]["inputDefinitions"]["parameters"]
    expected = {
        "data": "gs://a-bucket/photos",
        "epochs": 7,
        "batch_size": 16,
        "learning_rate": 2.5e-4,
        "min_accuracy": 0.9,
        "min_class_recall": 0.8,
        "max_accuracy_drop": 0.02,
    }
    assert {name: parameter["defaultValue"] for name, parameter in theirs.items()} == expected
    values = job["runtimeConfig"]["parameters"]
    assert {name: next(iter(value.values())) for name, value in values.items()} == {
        **expected,
        "epochs": "7",  # JSON represents 64-bit integers as strings
        "batch_size": "16",
    }


def test_kubeflow_selects_the_tpu_by_node_labels(compiled):
    _, platforms = yaml.safe_load_all(compiled("kubeflow-flowers-xception-tpu").read_text())
    trainer = platforms["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["Trainer_executor"]
    assert trainer["nodeSelector"]["labels"] == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice",
        "cloud.google.com/gke-tpu-topology": "2x2",
    }
    assert len(list(yaml.safe_load_all(compiled("kubeflow-sample").read_text()))) == 1


def test_workers_and_spot_capacity_of_a_custom_job(tmp_path, capfd):
    flags = [*VERTEX, "--set", "cluster.trainer=l4", "--set", "cluster.workers=3", "--set", "cluster.spot=true"]
    assert kubeflow_runner.main(["compile", *flags, "-o", str(tmp_path / "job.json")]) == 0
    job = files.read(tmp_path / "job.json")
    spec = CustomJobSpec(files.job_spec(job))  # the API's type refuses unknown fields and values
    assert [pool.replica_count for pool in spec.worker_pool_specs] == [1, 2]
    first, second = ((pool.machine_spec, pool.container_spec) for pool in spec.worker_pool_specs)
    assert first == second
    assert spec.scheduling.restart_job_on_worker_restart
    assert spec.scheduling.strategy == spec.scheduling.Strategy.SPOT
    summary.show(job)
    assert "(3 × g2-standard-12, 1 × NVIDIA_L4); list price 1 to 5 $ per hour for each machine, less on spot" in (
        capfd.readouterr().out
    )
    other = files.with_image(job, "r.io/other:2", ROOT, allow_dirty=False)
    images = {pool["container_spec"]["image_uri"] for pool in files.job_spec(other)["worker_pool_specs"]}
    assert images == {"r.io/other:2-gpu"}


def test_spot_nodes_of_kubeflow(tmp_path, capfd):
    flags = [*KUBEFLOW, *XCEPTION, "--set", "cluster.spot=true"]
    assert kubeflow_runner.main(["compile", *flags, "-o", str(tmp_path / "job.yaml")]) == 0
    job = files.read(tmp_path / "job.yaml")
    trainer = job["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["Trainer_executor"]
    assert trainer["nodeSelector"]["labels"]["cloud.google.com/gke-spot"] == "true"
    assert trainer["nodeSelector"]["labels"]["cloud.google.com/gke-tpu-topology"] == "2x2"
    (toleration,) = trainer["tolerations"]
    assert toleration == {
        "key": "cloud.google.com/gke-spot",
        "operator": "Equal",
        "value": "true",
        "effect": "NoSchedule",
    }
    summary.show(job)
    assert "Trainer: on tpu-v5e-4 (" in (printed := capfd.readouterr().out)
    assert "$ per hour, less on spot capacity" in printed


def test_kubeflow_does_not_cache_example_gen(compiled):
    tasks = _spec(compiled("kubeflow-sample"))["root"]["dag"]["tasks"]
    assert "cachingOptions" not in tasks["ImportExampleGen"]
    assert tasks["Trainer"]["cachingOptions"] == {"enableCache": True}
    executors = _spec(compiled("kubeflow-sample"))["deploymentSpec"]["executors"]
    assert not any("lifecycle" in executor.get("container", {}) for executor in executors.values())
    vertex = _spec(compiled("vertex-sample"))["deploymentSpec"]["executors"]["ImportExampleGen_executor"]
    assert "preCacheCheck" in vertex["container"]["lifecycle"]


@pytest.mark.parametrize("flags", [VERTEX, KUBEFLOW])
def test_the_import_of_a_schema_in_a_bucket_is_not_cached(tmp_path, flags):
    """The cache's key would have only the URI, so a corrected schema would be ignored."""
    given = ["--set", "data.schema_file=gs://a-bucket/schema.pbtxt"]
    assert kubeflow_runner.main(["compile", *flags, *given, "-o", str(tmp_path / "job")]) == 0
    tasks = _spec(tmp_path / "job")["root"]["dag"]["tasks"]
    assert "cachingOptions" not in tasks["ImportSchemaGen"]
    assert tasks["StatisticsGen"]["cachingOptions"] == {"enableCache": True}


def test_a_schema_in_the_compiled_file_is_cached(compiled):
    for name in ("vertex-sample", "kubeflow-sample"):
        tasks = _spec(compiled(name))["root"]["dag"]["tasks"]
        assert tasks["ImportSchemaGen"]["cachingOptions"] == {"enableCache": True}


def test_a_kubeflow_task_fills_in_the_artifact_types_that_the_backend_loses(compiled):
    container = _spec(compiled("kubeflow-sample"))["deploymentSpec"]["executors"]["StatisticsGen_executor"]["container"]
    assert container["command"] == ["python", "-m", "pipeline.cluster.task"]
    examples = {"name": "7", "uri": "gs://b/examples", "type": {"instanceSchema": ""}, "metadata": {"span": 0}}
    given = {"inputs": {"artifacts": {"examples": {"artifacts": [examples]}}}, "outputs": {"outputFile": "gs://b/out"}}
    args, beam_args = task.parse(
        ["task", *(json.dumps(given) if word == "{{$}}" else word for word in container["args"])]
    )
    (typed,) = json.loads(args.json_serialized_invocation_args)["inputs"]["artifacts"]["examples"]["artifacts"]
    assert typed["type"]["instanceSchema"].startswith("title: tfx.Examples\n")
    assert (typed["uri"], args.executor_class_path.rpartition(".")[0]) == (
        "/gcs/b/examples",  # where the launcher downloads it
        "tfx.components.statistics_gen.executor",
    )
    assert "--runner=DirectRunner" in beam_args


def test_check_prints_tasks_images_and_machines(capfd):
    assert kubeflow_runner.main(["check", *VERTEX, *XCEPTION]) == 0
    printed = capfd.readouterr().out
    assert "image 1: r.io/photos/pipeline:1" in printed
    assert TRAINER in printed
    assert "image 2: r.io/photos/pipeline:1-tpu" in printed
    (row,) = (line for line in printed.splitlines() if "│ Trainer " in line)
    assert [cell.strip() for cell in row.split("│")[1:-1]] == ["Trainer", "2", "ct5lp-hightpu-4t, 2x2"]
    assert "LatestBlessedModel-model-resolver" in printed


@pytest.mark.parametrize("recipe", [[], XCEPTION], ids=["sample", "flowers-xception on a TPU"])
def test_submitting_to_vertex(monkeypatch, capfd, recipe):
    monkeypatch.setattr(submission, "POLL_S", 0.01)
    with stubs.serving(stubs.Vertex()) as server:
        stubs.point_vertex_sdk_at(server, monkeypatch)
        server.states = iter(["RUNNING", "SUCCEEDED"])
        account = ["--set", "cluster.service_account=photos@a-project.iam.gserviceaccount.com"]
        assert kubeflow_runner.main(["submit", *VERTEX, *recipe, "--wait", "--parameter", "epochs=3", *account]) == 0
    (job,) = server.jobs.values()
    assert job["runtimeConfig"]["parameters"]["epochs"] == {"intValue": "3"}
    printed = "".join(capfd.readouterr())
    assert "https://console.cloud.google.com/vertex-ai/locations/us-central1/pipelines/runs/" in printed
    assert stubs.TOKEN not in printed + json.dumps(job)
    custom = files._custom_config(job)["ai_platform_training_args"]["job_spec"]
    (pool,) = custom["worker_pool_specs"]
    assert "photos@a-project.iam.gserviceaccount.com" == job["serviceAccount"] == custom["service_account"]
    if recipe:
        assert pool["machine_spec"] == {"machine_type": "ct5lp-hightpu-4t", "tpu_topology": "2x2"}
        assert pool["container_spec"]["image_uri"] == "r.io/photos/pipeline:1-tpu"
    else:
        assert pool["machine_spec"] == {"machine_type": "n1-standard-8"}


@pytest.mark.parametrize("recipe", [[], XCEPTION], ids=["sample", "flowers-xception on a TPU"])
def test_submitting_to_kubeflow(monkeypatch, tmp_path, capfd, recipe):
    token = tmp_path / "token"
    token.write_text(stubs.TOKEN)
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(token))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(submission, "POLL_S", 0.01)
    with stubs.serving(stubs.Kubeflow()) as server:
        server.multi_user, server.states = True, iter(["RUNNING", "FAILED"])
        flags = [*KUBEFLOW, *recipe, "--endpoint", server.url, "--experiment", "photos", "--parameter", "epochs=3"]
        flags += ["--parameter", "min_accuracy=-1", "--namespace", "photos"]
        assert kubeflow_runner.main(["submit", *flags, "--wait"]) == 1  # the run fails
    (run,) = server.runs.values()
    (experiment,) = server.experiments.values()
    assert (experiment["display_name"], experiment["namespace"]) == ("photos", "photos")
    changed = {"epochs": 3, "min_accuracy": -1.0}
    assert run["runtime_config"] == {"pipeline_root": "gs://a-bucket/root", "parameters": changed}
    assert ("platform_spec" in run["pipeline_spec"]) == bool(recipe)
    printed = "".join(capfd.readouterr())
    assert f"{server.url}/#/runs/details/" in printed
    assert stubs.TOKEN not in printed + json.dumps(run)


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
        assert kubeflow_runner.main(["submit", str(file), *said, "--allow-dirty"]) == 0
    (job,) = server.jobs.values()
    defaults = json.loads(file.read_text())["runtimeConfig"]["parameters"]
    changed = {"epochs": {"intValue": "3"}, "data": {"stringValue": "gs://a-bucket/more"}}
    assert job["runtimeConfig"] == {"gcsOutputDirectory": "gs://a-bucket/root", "parameters": defaults | changed}
    image = container_images.image_of("r.io/other", "cpu", ROOT, allow_dirty=True)
    printed = capfd.readouterr().out
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
    file.write_text(json.dumps(job | {"jobSpec": {}}))
    assert kubeflow_runner.main(["submit", str(file)]) == 2
    assert "expected a pipeline that vertex can parse" in capfd.readouterr().err
