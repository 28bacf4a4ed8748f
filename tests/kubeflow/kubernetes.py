"""Starts Kubernetes' API server with etcd on 127.0.0.1. Nothing runs pods: there is no scheduler and no node.

etcd comes from Debian (`apt-get install etcd-server`), the API server from the Go modules of k8s.io/kubernetes.
"""

import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.helpers.databases import free_port
from tests.kubeflow import sources

VERSION = "1.34.2"
_MODULE = f"k8s.io/kubernetes@v{VERSION}"
_KINDS = {
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "Namespace": "/api/v1/namespaces",
    "ConfigMap": "/api/v1/namespaces/kubeflow/configmaps",
    "Secret": "/api/v1/namespaces/kubeflow/secrets",
    "Service": "/api/v1/namespaces/kubeflow/services",
    "Deployment": "/apis/apps/v1/namespaces/kubeflow/deployments",
    "InferenceService": "/apis/serving.kserve.io/v1beta1/namespaces/kubeflow/inferenceservices",
}


class Cluster:
    """Kubernetes' API.

    Attributes:
      home: the home folder of clients, with their configuration in .kube/config.
      address: the host and the port.
    """

    def __init__(self, url: str, token: str, certificate: Path, home: Path) -> None:
        self.home = home
        self.address = tuple(url.removeprefix("https://").split(":"))
        self._url, self._token, self._certificate = url, token, certificate
        self._session = requests.Session()
        self._session.trust_env = False  # REQUESTS_CA_BUNDLE would replace the certificate
        self._session.headers["Authorization"] = f"Bearer {token}"
        self._session.verify = str(certificate)
        cluster = {"server": url, "certificate-authority": str(certificate)}
        context = {"cluster": "local", "user": "local", "namespace": "kubeflow"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "local",
            "clusters": [{"name": "local", "cluster": cluster}],
            "contexts": [{"name": "local", "context": context}],
            "users": [{"name": "local", "user": {"token": token}}],
        }
        (home / ".kube").mkdir(mode=0o700)
        (home / ".kube" / "config").write_text(json.dumps(config))

    def get(self, path: str) -> dict[str, Any]:
        """Returns an object or a list. Raises requests.RequestException."""
        answer = self._session.get(self._url + path, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def create(self, thing: dict[str, Any]) -> None:
        """Creates an object of one of _KINDS. Raises requests.RequestException."""
        assert not (refused := self.refused(thing)), refused

    def refused(self, thing: dict[str, Any]) -> str:
        """Creates an object of one of _KINDS, and returns why it was refused, or ''. Unknown fields are refused."""
        path = f"{_KINDS[thing['kind']]}?fieldValidation=Strict"
        answer = self._session.post(self._url + path, json=thing, timeout=60)
        return "" if answer.ok else answer.text

    def service_account(self) -> dict[str, str]:
        """Returns the files that Kubernetes gives to a pod, by name; the token is the administrator's."""
        return {"token": self._token, "ca.crt": self._certificate.read_text(), "namespace": "kubeflow"}

    def ready(self) -> bool:
        try:
            return self._session.get(self._url + "/readyz", timeout=5).ok
        except requests.RequestException:
            return False


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Starts etcd and the API server, and creates the namespace `kubeflow`."""
    program = build()
    port, etcd, peer = free_port(), free_port(), free_port()
    token = secrets.token_urlsafe()
    tokens = folder / "tokens.csv"
    tokens.touch(mode=0o600)
    tokens.write_text(f'{token},admin,admin,"system:masters"\n')
    sources.run(["openssl", "genrsa", "-out", folder / "key.pem", "2048"])
    address, neighbour = f"http://127.0.0.1:{etcd}", f"http://127.0.0.1:{peer}"
    store = ["etcd", "--data-dir", folder / "etcd", "--listen-client-urls", address, "--advertise-client-urls", address]
    store += ["--listen-peer-urls", neighbour, "--initial-advertise-peer-urls", neighbour]
    store += ["--initial-cluster", f"default={neighbour}", "--unsafe-no-fsync"]
    server = [program, f"--etcd-servers={address}", "--bind-address=127.0.0.1", f"--secure-port={port}"]
    server += ["--advertise-address=192.0.2.1"]  # unused; the default needs a network route
    server += [f"--cert-dir={folder / 'certificates'}", f"--token-auth-file={tokens}", "--authorization-mode=RBAC"]
    server += ["--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.0.0.0/24"]
    server += ["--feature-gates=SizeBasedListCostEstimate=false"]  # needs a newer etcd than Debian 12 has
    server += [f"--service-account-{use}-file={folder / 'key.pem'}" for use in ("key", "signing-key")]
    with ExitStack() as stack:
        stack.enter_context(started(store, folder / "etcd.log"))
        log = folder / "kube-apiserver.log"
        process = stack.enter_context(started(server, log))
        certificate = folder / "certificates" / "apiserver.crt"
        wait_for(certificate.is_file, process, log)
        result = Cluster(f"https://127.0.0.1:{port}", token, certificate, folder)
        wait_for(result.ready, process, log)
        result.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kubeflow"}})
        yield result


def build() -> Path:
    """Returns the program kube-apiserver. The repository's own modules are in its folder `staging`, and separate."""
    folder = sources.CACHE / f"kubernetes-{VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "go.sum").is_file():
        module = json.loads(sources.run(["go", "mod", "download", "-json", _MODULE], folder))
        replaced = json.loads(sources.run(["go", "mod", "edit", "-json", module["GoMod"]]))["Replace"]
        (folder / "go.mod").write_text("module example.org/kube-apiserver\n\ngo 1.24.0\n")
        names = [replacement["Old"]["Path"] for replacement in replaced]
        edits = [f"-replace={name}={name}@v0.{VERSION.split('.', 1)[1]}" for name in names]
        sources.run(["go", "mod", "edit", f"-require={_MODULE}", *edits], folder)
    return sources.build(folder, "k8s.io/kubernetes/cmd/kube-apiserver", f"kube-apiserver-{VERSION}")


def definitions(file: Path) -> Iterator[dict[str, Any]]:
    """Yields the custom resource definitions in a manifest."""
    for document in yaml.safe_load_all(file.read_text()):
        if document and document["kind"] == "CustomResourceDefinition":
            yield document


@contextmanager
def started(command: list[Any], log: Path, **environment: str) -> Iterator[subprocess.Popen]:
    """Starts a server, and stops it at the end; `environment` adds variables.

    Raises:
      SystemExit: if the program is missing.
    """
    if not shutil.which(command[0]):
        raise SystemExit(f"{command[0]} is missing (Debian: apt-get install {command[0]}-server)")
    words = [str(word) for word in command]
    with log.open("w") as output:
        process = subprocess.Popen(words, stdout=output, stderr=output, env=os.environ | environment)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(done: Callable[[], bool], process: subprocess.Popen, log: Path) -> None:
    """Waits until `done` returns true.

    Raises:
      SystemExit: with the log's last messages, if the server ends, or after three minutes.
    """
    deadline = time.monotonic() + 180
    while not done():
        if process.poll() is not None or time.monotonic() > deadline:
            messages = [line for line in log.read_text().splitlines() if line[:1] in "EFW"]
            raise SystemExit("\n".join([f"{process.args[0]} does not start:", *messages[-5:]]))
        time.sleep(0.2)
