"""Runs the pods of a workflow on this machine: the image is this machine, read-only, with an empty disk.

Each pod has its own mounts and processes (util-linux's unshare, as root), and gets what Kubernetes gives: the service
account's files, the variables of secrets, and the names of services. Resources, users and nodes are ignored.
"""

import base64
import json
import re
import shlex
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import psutil

from tests.conftest import ROOT
from tests.kubeflow.kubernetes import Cluster

Json = dict[str, Any]
_EMPTY = ("tmp", "run", "kfp-launcher", "gcs", "s3", "minio", ".local", ".cache", ".config")
_SERVICES = ("minio-service", "seaweedfs", "ml-pipeline", "metadata-grpc-service")
_SECRETS = "run/secrets/kubernetes.io/serviceaccount"  # /var/run is a link to /run


class Node:
    """A machine for pods.

    Args:
      cluster: Kubernetes' API.
      programs: the programs of the backend's images, by name.
      folder: gets the disk of the running pod, and the logs.
    """

    def __init__(self, cluster: Cluster, programs: dict[str, Path], folder: Path) -> None:
        self._cluster, self._programs, self._folder = cluster, programs, folder

    def start(self, name: str, template: Json) -> tuple[int, dict[str, str]]:
        """Runs the pod of a template; returns the exit code and the output parameters. Its log is in the folder."""
        patch = json.loads(template.get("podSpecPatch") or "{}")
        container = dict(template["container"])
        for change in patch.get("containers", []):
            container |= change | {"env": [*container.get("env", []), *change.get("env", [])]}
        disk, log = self._disk(), self.log(name)
        for each in (*template.get("initContainers", []), container):
            if code := self._run(name, each, disk, log):
                break
        outputs = {}
        for parameter in template.get("outputs", {}).get("parameters", []):
            file = disk / parameter["valueFrom"]["path"].lstrip("/")
            outputs[parameter["name"]] = file.read_text() if file.exists() else parameter["valueFrom"].get("default")
        shutil.rmtree(disk)
        return code, outputs

    def kill(self) -> None:
        """Kills all processes of the running container, as Kubernetes does when it takes too much memory."""
        for process in psutil.Process(self._process.pid).children():
            process.kill()

    def log(self, name: str) -> Path:
        """Returns the log of a node's pods."""
        return self._folder / f"{name}.log"

    def _disk(self) -> Path:
        disk = self._folder / "disk"
        for name in (*_EMPTY, _SECRETS, "kubeflow"):
            (disk / name).mkdir(parents=True)
        for name, value in self._cluster.service_account().items():
            (disk / _SECRETS / name).write_text(value)
        for path in Path("/").iterdir():
            if path.is_symlink():  # such as /bin
                (disk / path.name).symlink_to(path.readlink())
        for name, program in self._programs.items():
            (disk / "kubeflow" / name).symlink_to(program)
        names = [name + suffix for name in _SERVICES for suffix in ("", ".kubeflow", ".kubeflow.svc.cluster.local")]
        (disk / "hosts").write_text(f"127.0.0.1 localhost {' '.join(names)}\n")
        return disk

    def _run(self, name: str, container: Json, disk: Path, log: Path) -> int:
        environment = self._environment(container, f"{name.lower()}-{uuid.uuid4().hex[:5]}")
        words = [*container.get("command", []), *container.get("args", [])]
        words = [re.sub(r"\$\((\w+)\)", lambda match: environment.get(match[1], match[0]), word) for word in words]
        script = f'{_mounts(disk)}\nexec chroot {shlex.quote(str(disk))} env --chdir={shlex.quote(str(ROOT))} "$@"'
        command = ["unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child"]
        command += ["bash", "-ec", script, "pod", *words]
        with log.open("a") as output:
            self._process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        return self._process.wait()

    def _environment(self, container: Json, pod: str) -> dict[str, str]:
        path = ["/kubeflow", str(Path(sys.prefix) / "bin"), "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        values = {"PATH": ":".join(path), "HOME": "/tmp", "PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        host, port = self._cluster.address
        values |= {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
        for source in container.get("envFrom", []):
            values |= self._get("configmaps", source["configMapRef"])
        fields = {"metadata.name": pod, "metadata.uid": str(uuid.uuid4()), "metadata.namespace": "kubeflow"}
        for variable in container.get("env", []):
            source = variable.get("valueFrom", {})
            if "fieldRef" in source:
                values[variable["name"]] = fields[source["fieldRef"]["fieldPath"]]
            elif "secretKeyRef" in source:
                encoded = self._get("secrets", source["secretKeyRef"])[source["secretKeyRef"]["key"]]
                values[variable["name"]] = base64.b64decode(encoded).decode()
            else:
                values[variable["name"]] = variable.get("value", "")
        return values

    def _get(self, kind: str, reference: Json) -> dict[str, str]:
        return dict(self._cluster.get(f"/api/v1/namespaces/kubeflow/{kind}/{reference['name']}")["data"])


def _mounts(disk: Path) -> str:
    """Returns the shell commands that mount this machine's folders below `disk`, read-only."""
    lines = []
    for path in Path("/").iterdir():
        target = disk / path.name
        if path.is_dir() and not path.is_symlink() and path.name not in (*_EMPTY, "lost+found"):
            lines.append(f"mkdir -p {target} && mount --rbind {path} {target}")
            if path.name not in ("dev", "proc", "sys"):
                lines.append(f"mount -o remount,bind,ro {target}")
    return "\n".join([*lines, f"mount --bind {disk}/hosts {disk}/etc/hosts"])
