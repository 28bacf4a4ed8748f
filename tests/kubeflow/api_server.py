"""Submits to Kubeflow Pipelines' own API server, on Kubernetes' own, MariaDB and MinIO, all on 127.0.0.1.

    python -m tests.kubeflow.api_server [VERSION]

Needs git, Go, openssl and Debian's etcd-server and mariadb-server. The first run builds the other servers. Nothing runs
the pods. Argo's reports of their states are imitated: submissions.py sends them to the API server.
"""

import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests

from tests.helpers import databases, minio
from tests.kubeflow import kubernetes, sources, submissions


@contextmanager
def server(
    version: str,
    folder: Path,
    cluster: kubernetes.Cluster,
    database: databases.Server,
    store: dict[str, str],
    rpc: int | None = None,
) -> Iterator[str]:
    """Starts the API server and yields its address; `rpc` is the port for gRPC, by default a free one."""
    program, source = sources.api_server(version), sources.source(version)
    for manifest in _manifests(source):
        for definition in kubernetes.definitions(manifest):
            cluster.create(definition)
    port, closed, rpc = databases.free_port(), databases.free_port(), rpc or databases.free_port()
    config = folder / "config"
    shutil.copytree(source / "backend" / "src" / "apiserver" / "config", config)
    (config / "sample_config.json").write_text("[]")
    environment = {
        "HOME": str(cluster.home),
        "POD_NAMESPACE": "kubeflow",
        "DBCONFIG_MYSQLCONFIG_USER": databases.USER,
        "DBCONFIG_MYSQLCONFIG_PASSWORD": database.password_file.read_text().strip(),
        "DBCONFIG_MYSQLCONFIG_HOST": "127.0.0.1",
        "DBCONFIG_MYSQLCONFIG_PORT": str(database.port),
        "DBCONFIG_MYSQLCONFIG_DBNAME": databases.NAME,
        "OBJECTSTORECONFIG_HOST": "127.0.0.1",
        "OBJECTSTORECONFIG_PORT": store["AWS_ENDPOINT_URL"].rpartition(":")[2],
        "OBJECTSTORECONFIG_SECURE": "false",
        "OBJECTSTORECONFIG_ACCESSKEY": store["AWS_ACCESS_KEY_ID"],
        "OBJECTSTORECONFIG_SECRETACCESSKEY": store["AWS_SECRET_ACCESS_KEY"],
        "ML_PIPELINE_VISUALIZATIONSERVER_SERVICE_HOST": "127.0.0.1",
        "ML_PIPELINE_VISUALIZATIONSERVER_SERVICE_PORT": str(closed),
    }
    command = [program, f"--config={config}", f"--sampleconfig={config / 'sample_config.json'}", "--logtostderr=true"]
    command += [f"--httpPortFlag=127.0.0.1:{port}", f"--rpcPortFlag=127.0.0.1:{rpc}"]
    url, log = f"http://127.0.0.1:{port}", folder / "api-server.log"
    with kubernetes.started(command, log, **environment) as process:
        kubernetes.wait_for(lambda: _healthy(url), process, log)
        yield url


def _manifests(source: Path) -> list[Path]:
    """Returns the files of an installation that define Workflow (from Argo's module) and ScheduledWorkflow."""
    module = next(line.split()[0] for line in (source / "go.mod").read_text().splitlines() if "argo-workflows" in line)
    argo = Path(sources.run(["go", "list", "-mod=mod", "-m", "-f", "{{.Dir}}", module], source).strip())
    own = source / "manifests" / "kustomize" / "base" / "pipeline" / "cluster-scoped" / "scheduled-workflow-crd.yaml"
    return [argo / "manifests" / "base" / "crds" / "minimal" / "argoproj.io_workflows.yaml", own]


def _healthy(url: str) -> bool:
    try:
        return requests.get(f"{url}/apis/v2beta1/healthz", timeout=5).ok
    except requests.RequestException:
        return False


def main() -> None:
    version = sys.argv[1] if len(sys.argv) > 1 else list(sources.VERSIONS)[-1]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and so its children
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # stops the servers
    databases.PASSWORD = secrets.token_urlsafe()
    minio.build()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database = stack.enter_context(databases.server("mysql"))
        store = stack.enter_context(minio.serving(folder / "minio"))
        cluster = stack.enter_context(kubernetes.cluster(folder))
        url = stack.enter_context(server(version, folder, cluster, database, store))
        submissions.check(version, url, cluster, folder)


if __name__ == "__main__":
    main()
