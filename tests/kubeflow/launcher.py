"""Runs the sample on Kubeflow Pipelines' own driver and launcher, with MinIO and ML Metadata, all on 127.0.0.1.

    python -m tests.kubeflow.launcher [VERSION]

Needs root and what api_server.py needs. That API server creates the workflows, argo.py executes them, and containers.py
replaces Kubernetes' nodes.
"""

import ctypes
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import yaml
from ml_metadata.metadata_store.metadata_store import MetadataStore

import kubeflow_runner
from ingest import sample
from pipeline.cluster.launcher import buckets
from tests.helpers import artifacts, databases, minio
from tests.kubeflow import api_server, argo, containers, executions, kubernetes, metadata, sources, submissions

ROOT = f"minio://{minio.BUCKET}/root"
FLAGS = ["--target", "kubeflow", "--image", "r.io/photos/pipeline:1", "--pipeline-root", ROOT]
FLAGS += ["--data", f"minio://{minio.BUCKET}/photos"]
FLAGS += ["--set", "cluster.s3_endpoint=http://minio-service.kubeflow:9000"]
VALUES = ["--parameter=epochs=4", "--parameter=min_accuracy=0.1", "--parameter=min_class_recall=0"]
_CLONE_NEWNET = 0x40000000


def main() -> None:
    version = sys.argv[1] if len(sys.argv) > 1 else list(sources.VERSIONS)[-1]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and so its children
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # stops the servers
    databases.PASSWORD = secrets.token_urlsafe()
    minio.build()
    kubernetes.build()
    sources.api_server(version)
    programs, data = sources.pod_programs(version), sample.ensure(sources.CACHE.parent)
    isolate()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in ("minio", "pods"):
            (folder / name).mkdir()
        database = stack.enter_context(databases.server("mysql"))
        store = stack.enter_context(minio.serving(folder / "minio", 9000))
        os.environ.update(store)
        cluster = stack.enter_context(kubernetes.cluster(folder))
        install(cluster, version, store)
        records = stack.enter_context(metadata.serving(folder / "metadata.sqlite", 8080))
        url = stack.enter_context(api_server.server(version, folder, cluster, database, store, 8887))
        upload(data)
        check(url, cluster, containers.Node(cluster, programs, folder / "pods"), records, folder)
        logs = [path.read_text() for path in (folder / "pods").glob("*.log")]
        assert not any(store["AWS_SECRET_ACCESS_KEY"] in log for log in logs)


def isolate() -> None:
    """Moves this process into a network without other programs, so that the services get their usual ports."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET):
        raise SystemExit(f"unshare: {os.strerror(ctypes.get_errno())}; run this program as root")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def install(cluster: kubernetes.Cluster, version: str, store: dict[str, str]) -> None:
    """Creates what an installation has for the pods: the address of ML Metadata, and the keys of MinIO."""
    manifests = sources.source(version) / "manifests" / "kustomize" / "base" / "metadata" / "base"
    cluster.create(yaml.safe_load((manifests / "metadata-grpc-configmap.yaml").read_text()))
    keys = {"accesskey": store["AWS_ACCESS_KEY_ID"], "secretkey": store["AWS_SECRET_ACCESS_KEY"]}
    name = {"name": "mlpipeline-minio-artifact"}
    cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": name, "stringData": keys})


def upload(data: Path) -> None:
    bucket = buckets.open_bucket("s3", minio.BUCKET)
    for path in data.glob("*.tfrec"):
        bucket.upload(path, f"photos/{path.name}")


def check(url: str, cluster: kubernetes.Cluster, node: containers.Node, records: MetadataStore, folder: Path) -> None:
    """Runs the sample three times: on the pods, again with a killed Trainer, and with `run-local`. Compares them."""
    file = folder / "sample.yaml"
    assert kubeflow_runner.main(["compile", *FLAGS, "-o", str(file)]) == 0
    for killed in (False, True):
        submissions.submit(file, *VALUES, "--endpoint", url, expect=0)
        started = time.monotonic()
        if killed:
            threading.Thread(target=kill_the_trainer, args=(node,), daemon=True).start()
        nodes = argo.Workflow(submissions.workflows(cluster)[-1], node.start).nodes
        assert nodes["Trainer"] == 1 + killed, nodes
        assert [name for name, attempts in nodes.items() if attempts > 1] == ["Trainer"] * killed
        print(f"{len(nodes)} nodes in {time.monotonic() - started:.0f} s", flush=True)
    first, second = executions.runs(records)
    executions.check(first, second)
    log = node.log("Trainer").read_text()
    assert log.count("Epoch 1/4") == 2, "the killed Trainer started again at the first epoch"
    for name, uri in first.outputs.items():
        artifacts.download(uri, folder / "first" / name)
    store = f"minio://{minio.BUCKET}/rehearsal"
    command = ["run-local", str(file), "--output", str(folder / "out"), "--store", store, *VALUES]
    assert kubeflow_runner.main(command) == 0
    artifacts.download(store, folder / "rehearsal")
    (run,) = (folder / "rehearsal").glob("sample-*")
    (pushed,) = (folder / "rehearsal" / "pushed" / "sample").iterdir()
    artifacts.assert_equal(run, {name: folder / "first" / name for name in first.outputs}, pushed)
    print("the artifacts equal those of run-local", flush=True)


def kill_the_trainer(node: containers.Node) -> None:
    """Kills the running container after two epochs of the second training."""
    log = node.log("Trainer")
    while log.read_text().count("Epoch 3/") < 2:
        time.sleep(0.1)
    node.kill()


if __name__ == "__main__":
    main()
