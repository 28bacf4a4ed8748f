"""Submits to Kubeflow Pipelines' own API server, on Kubernetes' own API server and MariaDB, all on 127.0.0.1.

    python -m tests.kubeflow.api_server [VERSION]

Needs git, Go, openssl and Debian's etcd-server and mariadb-server. The first run builds both servers. There is no
object store, because a run with its pipeline in the request does not use it. Nothing runs the pods. Argo's reports of
their states are imitated: submissions.py sends them to the API server.
"""

import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.helpers import databases
from tests.kubeflow import kubernetes, sources, submissions


@contextmanager
def server(version: str, folder: Path, cluster: kubernetes.Cluster, database: databases.Server) -> Iterator[str]:
    """Starts the API server and yields its address."""
    program, source = sources.api_server(version), sources.source(version)
    for manifest in _manifests(source):
        for definition in kubernetes.definitions(manifest):
            cluster.create(definition)
    port, rpc, closed = (databases.free_port() for _ in range(3))
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
        "OBJECTSTORECONFIG_PORT": str(closed),
        "OBJECTSTORECONFIG_SECURE": "false",
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
    """Returns the files that define Workflow (from Argo's module) and ScheduledWorkflow."""
    module = next(line.split()[0] for line in (source / "go.mod").read_text().splitlines() if "argo-workflows" in line)
    argo = Path(sources.run(["go", "list", "-mod=mod", "-m", "-f", "{{.Dir}}", module], source).strip())
    own = source / "manifests" / "kustomize" / "base" / "pipeline" / "cluster-scoped" / "scheduled-workflow-crd.yaml"
    return [argo / "manifests" / "base" / "crds" / "full" / "argoproj.io_workflows.yaml", own]


def _healthy(url: str) -> bool:
    try:
        return requests.get(f"{url}/apis/v2beta1/healthz", timeout=5).ok
    except requests.RequestException:
        return False


def main() -> None:
    version = sys.argv[1] if len(sys.argv) > 1 else list(sources.VERSIONS)[-1]
    databases.PASSWORD = secrets.token_urlsafe()
    with tempfile.TemporaryDirectory() as name, databases.server("mysql") as database:
        folder = Path(name)
        with kubernetes.cluster(folder) as cluster, server(version, folder, cluster, database) as url:
            submissions.check(version, url, cluster, folder)


if __name__ == "__main__":
    main()
