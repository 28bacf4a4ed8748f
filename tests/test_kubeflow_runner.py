"""kubeflow_runner.py from the command line: compile, check, and submit to local servers."""

import json

import pytest
import yaml
from google.cloud.aiplatform_v1.types import CustomJobSpec
from google.protobuf import json_format
from kfp.components import load_component_from_file
from kfp.pipeline_spec import pipeline_spec_pb2

import kubeflow_runner
from lineage.remote import spec as specs
from lineage.remote.source import COPIES
from pipeline.cluster import compiled as files
from pipeline.cluster import submission, summary, task
from tests.conftest import ROOT
from tests.helpers import stubs

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


@pytest.mark.parametrize("flags", [VERTEX, KUBEFLOW])
def test_photos_in_a_bucket_are_predicted_after_the_push_and_not_cached(tmp_path, flags):
    """No driver looks at the photos there, so a cached node would ignore new ones."""
    given = ["--set", "bulk.data=gs://a-bucket/new/"]
    assert kubeflow_runner.main(["compile", *flags, *given, "-o", str(tmp_path / "job")]) == 0
    task = _spec(tmp_path / "job")["root"]["dag"]["tasks"]["BulkInferrer"]
    assert "cachingOptions" not in task
    assert "Pusher" in task["dependentTasks"]
    assert specs.constant(task["inputs"]["parameters"]["bulk_data"]["runtimeValue"]) == "gs://a-bucket/new"


@pytest.mark.parametrize("target", ["vertex", "kubeflow"])
def test_photos_on_this_machine_cannot_be_predicted_on_a_cluster(target, capfd):
    flags = {"vertex": VERTEX, "kubeflow": KUBEFLOW}[target]
    assert kubeflow_runner.main(["check", *flags, "--set", "bulk.data=/photos"]) == 2
    assert "bulk.data: expected gs://BUCKET/FOLDER" in capfd.readouterr().err


@pytest.mark.parametrize("flags", [VERTEX, KUBEFLOW])
def test_kept_answers_in_a_bucket_are_compared_and_not_cached(tmp_path, flags):
    """No driver looks at the files there, so a cached node would ignore new answers."""
    given = ["--set", "serving_skew.kept=gs://a-bucket/kept/"]
    assert kubeflow_runner.main(["compile", *flags, *given, "-o", str(tmp_path / "job")]) == 0
    task = _spec(tmp_path / "job")["root"]["dag"]["tasks"]["ServingSkew"]
    assert "cachingOptions" not in task
    assert specs.constant(task["inputs"]["parameters"]["kept_answers"]["runtimeValue"]) == "gs://a-bucket/kept"


@pytest.mark.parametrize("target", ["vertex", "kubeflow"])
def test_kept_answers_on_this_machine_cannot_be_compared_on_a_cluster(target, capfd):
    flags = {"vertex": VERTEX, "kubeflow": KUBEFLOW}[target]
    assert kubeflow_runner.main(["check", *flags, "--set", "serving_skew.kept=/kept"]) == 2
    assert "serving_skew.kept: expected gs://BUCKET/FOLDER" in capfd.readouterr().err


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


def test_the_nodes_of_ones_own_cluster_have_no_list_price(capfd):
    assert kubeflow_runner.main(["check", *KUBEFLOW]) == 0
    assert "\nTrainer: on cpu-8 (cpu 7, memory 24Gi)\n" in capfd.readouterr().out


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
