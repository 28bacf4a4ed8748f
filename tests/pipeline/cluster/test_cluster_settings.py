"""Settings that a cluster cannot use are reported before anything is compiled or sent."""

import re
from pathlib import Path

import numpy as np
import pytest

import kubeflow_runner
from errors import UserError
from pipeline import settings
from pipeline.cluster import cluster_settings, parameters
from pipeline.cluster.machines import MACHINES, REGIONS
from tests.conftest import ROOT

SOUND = {
    "cluster.image": "europe-docker.pkg.dev/my-project/photos/pipeline:1",
    "cluster.project": "my-project",
    "cluster.region": "europe-west4",
    "cluster.pipeline_root": "gs://my-bucket/root",
    "data.directory": "gs://my-bucket/photos",
}


def prepare(target="vertex", submitted=True, **changes):
    config = settings.load(changes=SOUND | {key.replace("__", "."): value for key, value in changes.items()})
    return cluster_settings.resolve(config, target, ROOT, allow_dirty=False, submitted=submitted)


def test_resolved_settings_have_uris_and_a_push_folder():
    config = prepare()
    assert config.data.schema_file == Path("flowers.pbtxt")  # without folders of this machine
    assert config.pusher.directory == "gs://my-bucket/root/pushed/sample"
    assert config.cluster.image == SOUND["cluster.image"]
    assert prepare(data__schema_file="gs://my-bucket/mine.pbtxt").data.schema_file == "gs://my-bucket/mine.pbtxt"


def test_uris_lose_a_slash_at_the_end():
    """MinIO and other programs refuse keys like root//checkpoints."""
    uris = {name: f"s3://abc/{name}" for name in ("data__directory", "data__edits", "data__schema_file",
            "model__weights", "pusher__directory", "cluster__pipeline_root")}  # fmt: skip
    slashes = {name: f"{uri}/" for name, uri in uris.items()}
    assert prepare("kubeflow", **slashes) == prepare("kubeflow", **uris)
    trunks = [{"name": "efficientnet_lite0", "weights": "s3://bkt/w.npz/"}]
    config = prepare("kubeflow", model__name="probe", embeddings__trunks=trunks)
    assert config.embeddings.trunks[0].weights == "s3://bkt/w.npz"
    bucket = prepare("kubeflow", cluster__pipeline_root="minio://mlpipeline/", cluster__s3_endpoint="http://minio:9000")
    assert bucket.pusher.directory == "minio://mlpipeline/pushed/sample"
    assert parameters.read(["data=gs://bkt/more/"]) == {"data": "gs://bkt/more"}


@pytest.mark.parametrize(
    "uri", ["minio://bkt//root", "gs://bkt/./x", "gs://My_Bucket!/root", "gs://bkt/a#/../../x", "s3://bkt:9000/x"]
)
@pytest.mark.parametrize("key", ["cluster.pipeline_root", "pusher.directory", "data.directory", "data.schema_file"])
def test_malformed_uris(key, uri):
    with pytest.raises(UserError, match=f"{key}.*: expected gs://BUCKET/FOLDER or .*; received {re.escape(uri)}"):
        prepare("kubeflow", **{key: uri})


def test_the_password_in_a_uri_is_not_shown():
    with pytest.raises(UserError, match="--pipeline-root.*received s3://…@bkt/x") as error:
        prepare("kubeflow", cluster__pipeline_root="s3://key:hunt/er2@bkt/x")
    assert "er2" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"cluster__pipeline_root": "s3://my-bucket/root"},
            r"--pipeline-root.*expected gs://.* received s3://my-bucket",
        ),
        ({"cluster__pipeline_root": "gs://"}, "--pipeline-root.*expected gs://"),
        ({"cluster__pipeline_root": "gs://my-bucket/../other"}, "--pipeline-root.*expected gs://"),
        ({"cluster__pipeline_root": None}, "--pipeline-root.*received nothing"),
        ({"data__directory": "photos"}, "--data.*expected gs://.*which the cluster can read; received photos"),
        ({"data__directory": None}, "--data.*received nothing"),
        ({"model__weights": "here.h5"}, "--weights.*received here.h5"),
        ({"pusher__directory": "pushed"}, "pusher.directory: expected gs://"),
        ({"data__edits": "edits.csv"}, "data.edits: expected gs://.*received edits.csv"),
        ({"data__schema_file": "gs:/x"}, "cannot read the schema"),
        ({"cluster__image": "pipeline"}, "cluster.image: expected REGISTRY/NAME"),
        ({"cluster__image": None}, "cluster.image: expected REGISTRY/NAME.*--image"),
        ({"cluster__project": "My Project"}, "--project.*expected a project id.*'My Project'"),
        (
            {"cluster__region": "europe-west44"},
            "--region.*for example europe-west4.*'europe-west44'",
        ),
        ({"cluster__trainer": "tpu-v5e-5"}, "cluster.trainer: expected one of cpu-4.*tpu-v5e-4.*'tpu-v5e-5'"),
        (
            {"cluster__trainer": "tpu-v5e-16"},
            "tpu-v5e-16 cannot be used: the slice has several hosts.*at most tpu-v5e-8",
        ),
        ({"cluster__trainer": "tpu-v6e-8"}, "tpu-v6e-8 cannot be used: Google documents JAX and PyTorch.*tpu-v5e"),
        ({"cluster__workers": 3, "cluster__trainer": "tpu-v5e-4"}, "cluster.workers: expected 1 for a TPU.*received 3"),
        ({"cluster__workers": 2, "trainer__xla": True}, "cluster.workers: expected 1 for trainer.xla"),
        ({"cluster__workers": 0}, "cluster.workers: expected"),
        (
            {"cluster__workers": 2, "model__name": "probe", "embeddings__trunks": [{"name": "efficientnet_lite0"}]},
            "cluster.workers: expected 1 for a model that reads embeddings",
        ),
        ({"cluster__trainer": "tpu-v5e-4", "cluster__region": "me-west1"}, "not available in me-west1.*us-west4"),
        (
            {"cluster__trainer": "tpu-v5e-4", "cluster__image": f"r.io/a/b@sha256:{'0' * 64}"},
            "expected no digest with a trainer on a TPU",
        ),
        ({"cluster__trainer": "tpu-v3-8", "trainer__precision": "mixed_float16"}, "TPUs do not support float16"),
        ({"cluster__trainer": "l4-4", "trainer__xla": True}, "expected false for the several GPUs of l4-4"),
        ({"trainer__frozen_epochs": 1}, "trainer.frozen_epochs freezes pretrained layers"),
        ({"metadata__url": "mysql://tfx@10.0.0.1/lineage"}, "metadata: expected no section metadata"),
        (
            {"name": "my_run"},
            "lower-case letters, digits and dashes; received 'my_run'. Give another name .--set name=my-run.$",
        ),
        ({"beam__runner": "DataflowRunner"}, "DataflowRunner needs --project"),
        ({"serving_check__server": "docker"}, "serving_check.server: expected process on a cluster.*received docker"),
    ],
)
def test_settings_that_a_cluster_cannot_use(changes, says):
    with pytest.raises(UserError, match=says):
        prepare(**changes)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"cluster__trainer": "tpu-v2-8"}, "GKE has no nodes with tpu-v2-8"),
        ({"trainer__warm_start": True}, "Kubeflow Pipelines has no resolver"),
        (
            {"cluster__pipeline_root": "oci://a/root"},
            "expected gs://BUCKET/FOLDER or s3://BUCKET/FOLDER or minio://BUCKET/FOLDER.*received oci://a/root",
        ),
        ({"cluster__pipeline_root": "minio://"}, "or minio://BUCKET/FOLDER.*received minio://"),
        (
            {"cluster__pipeline_root": "minio://mlpipeline/root"},
            "cluster.s3_endpoint: expected the S3 server of",
        ),
        (
            {"data__directory": "minio://photos/tfrecords"},
            "cluster.s3_endpoint: expected the S3 server of the minio://",
        ),
        ({"cluster__s3_endpoint": "http://me:secret@minio:9000"}, "cluster.s3_endpoint: expected http://HOST:PORT"),
        ({"beam__runner": "DataflowRunner"}, "beam.runner: expected DirectRunner on Kubeflow Pipelines"),
        ({"cluster__workers": 2}, "cluster.workers: expected 1 for Kubeflow Pipelines, where the Trainer is one pod"),
        ({"cluster__endpoint": "https://me:secret@kubeflow.org"}, "expected http://HOST:PORT .* without a password$"),
        ({"cluster__endpoint": "kubeflow.org"}, "--endpoint.*expected http://HOST:PORT"),
        *(
            ({"cluster__namespace": name}, f"--namespace.*at most 63 lower.*received '{name}'.*kubectl get namespaces")
            for name in ("My_Team", "team-", "a.b", "", "n" * 64)
        ),
        ({"cluster__pipeline_root": "s3://ab/root"}, "received s3://ab/root. The name of a bucket has 3 to 63"),
    ],
)
def test_settings_that_kubeflow_cannot_use(changes, says):
    with pytest.raises(UserError, match=says):
        prepare("kubeflow", **changes)


@pytest.mark.parametrize(
    ("target", "printed"),
    [
        ("vertex", "no effect on Vertex AI: cluster.endpoint, cluster.s3_secret\n"),
        ("kubeflow", "no effect on Kubeflow Pipelines: cluster.project, cluster.region, cluster.service_account\n"),
    ],
)
def test_settings_of_the_other_target_are_allowed_and_named(tmp_path, capsys, target, printed):
    changes = (
        SOUND | {"cluster.endpoint": "http://kubeflow", "cluster.s3_secret": "mine"} | {"cluster.service_account": "a"}
    )
    flags = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    assert kubeflow_runner.main(["compile", "--target", target, *flags, "-o", str(tmp_path / "file")]) == 0
    assert capsys.readouterr().out.startswith(printed)


ADDRESSES = ["http://..:9000", "http://minio:99999", "http://minio:0", "http://minio:9000\n", "http://mi nio:9000",
             "http://minio:9000/a b", "http://-minio", "http://user:hunter2@minio:9000", "minio:9000"]  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("key", ["s3_endpoint", "endpoint"])
def test_addresses_that_are_refused_are_not_shown(key, address):
    with pytest.raises(UserError, match=f"cluster.{key}.*: expected http://HOST:PORT .* without a password$"):
        prepare("kubeflow", **{f"cluster.{key}": address})


@pytest.mark.parametrize(
    "address", ["http://10.0.0.1:9000", "https://s3.example.com/", "http://minio.localhosts:65535"]
)
def test_addresses_of_an_s3_server(address):
    assert prepare("kubeflow", cluster__s3_endpoint=address).cluster.s3_endpoint == address


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "127.0.0.1:9000", "127.1", "minio.localhost", "0.0.0.0"])
def test_a_pod_cannot_reach_a_server_on_this_machine(host, capsys):
    says = f"cluster.s3_endpoint: expected the S3 server's address inside the cluster, received http://{host}, which"
    with pytest.raises(UserError, match=says):
        prepare("kubeflow", cluster__s3_endpoint=f"http://{host}")
    assert prepare("kubeflow", cluster__endpoint=f"http://{host}").cluster.endpoint == f"http://{host}"
    flags = [word for key, value in SOUND.items() for word in ("--set", f"{key}={value}")]
    flags += ["--set", f"cluster.s3_endpoint=http://{host}"]
    assert kubeflow_runner.main(["check", "--target", "kubeflow", *flags]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("name", ["My Secret!", "ns/secret", "a..b", "-a", "a\n", "a" * 254])
def test_names_that_no_kubernetes_secret_has(name):
    with pytest.raises(UserError, match="cluster.s3_secret: expected the name of a Kubernetes secret"):
        prepare("kubeflow", cluster__s3_secret=name)


def test_the_suggested_name_is_taken():
    assert prepare(name="my-run").name == "my-run"


def test_all_problems_are_reported_at_once():
    with pytest.raises(UserError) as error:
        prepare(cluster__region="mars", cluster__project=None, data__directory="photos", cluster__image="x")
    assert [line.split(":")[0] for line in str(error.value).splitlines()] == [
        "cluster.project (--project)",
        "cluster.region (--region)",
        "data.directory (--data)",
        "cluster.image",
    ]


def test_kubeflow_needs_no_project():
    endpoint = "https://kubeflow.org/pipeline"
    config = prepare("kubeflow", cluster__project=None, cluster__region=None, cluster__endpoint=endpoint)
    assert (config.cluster.project, config.cluster.endpoint) == (None, endpoint)


def test_kubeflow_reads_and_writes_s3_and_minio():
    uris = {
        "data__edits": "s3://bkt/edits.csv",
        "data__schema_file": "s3://bkt/schema.pbtxt",
        "model__weights": "s3://bkt/w.h5",
    }
    config = prepare("kubeflow", cluster__pipeline_root="s3://bkt/root", data__directory="s3://bkt/photos", **uris)
    assert config.pusher.directory == "s3://bkt/root/pushed/sample"
    assert config.cluster.s3_secret == "mlpipeline-minio-artifact"  # the secret of a default installation
    server = "http://minio-service.kubeflow:9000"
    config = prepare("kubeflow", cluster__pipeline_root="minio://mlpipeline/root", cluster__s3_endpoint=server)
    assert config.pusher.directory == "minio://mlpipeline/root/pushed/sample"


def test_public_data_and_weights_are_read_from_their_buckets():
    config = settings.load("flowers-xception", changes={key: SOUND[key] for key in SOUND if key != "data.directory"})
    config = cluster_settings.resolve(config, "vertex", ROOT, allow_dirty=False, submitted=True)
    assert config.data.directory == "gs://flowers-public/tfrecords-jpeg-192x192-2"
    assert re.fullmatch(r"gs://tensorflow/keras-applications/xception/\w+_notop\.h5", config.model.weights)


def test_the_sample_is_compiled_as_a_local_folder(cache, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    assert prepare(submitted=False, data__directory=None).data.directory.name == "sample-v1-seed0"


def test_local_data_and_weights_may_be_compiled_for_run_local(tmp_path):
    assert str(prepare(submitted=False, data__directory="photos").data.directory) == "photos"
    weights = tmp_path / "mine.npz"
    np.savez(weights, **{"layer/kernel": np.zeros(3)})
    assert prepare(submitted=False, model__weights=str(weights)).model.weights == str(weights)
    with pytest.raises(UserError, match="the weights file .*none.h5 does not exist"):
        prepare(submitted=False, model__weights=str(tmp_path / "none.h5"))


def test_edits_are_in_a_bucket_or_a_valid_file_for_run_local(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert prepare(data__edits="gs://my-bucket/edits.csv").data.edits == "gs://my-bucket/edits.csv"
    (tmp_path / "edits.csv").write_text("name,label\na.jpg,daisy\n")
    config = prepare(submitted=False, data__edits="edits.csv")
    assert config.data.edits == tmp_path / "edits.csv" and cluster_settings.needs_local_files(config)
    (tmp_path / "edits.csv").write_text("name,label\na.jpg,dasy\n")
    with pytest.raises(UserError, match="unknown class 'dasy'; did you mean 'daisy'"):
        prepare(submitted=False, data__edits="edits.csv")


def test_each_machine_is_consistent():
    for name, machine in MACHINES.items():
        assert machine.regions <= REGIONS, name
        assert machine.kind == ("tpu" if name.startswith("tpu") else "cpu" if name.startswith("cpu") else "gpu")
        topology = machine.vertex.get("tpu_topology", "")
        if topology:  # the product is the number of chips in the machine's name and for Kubernetes
            rows, columns = map(int, topology.split("x"))
            assert rows * columns == machine.accelerators == int(name.rpartition("-")[2])
        if machine.selector is not None:
            assert machine.cpu > 0 < machine.memory_gb
