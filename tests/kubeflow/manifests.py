"""Creates what `python -m serving manifest` writes in Kubernetes' own API server, with KServe's own definition.

    python -m tests.kubeflow.manifests

The server refuses unknown fields and wrong values. Writes the accepted objects to tests/golden/manifests.yaml. Needs
git, Go, openssl and Debian's etcd-server. Nothing runs the pods.
"""

import contextlib
import copy
import io
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import requests
import yaml

from serving import __main__ as serving
from tests.conftest import ROOT
from tests.kubeflow import kubernetes, sources

ACCEPTED = ROOT / "tests" / "golden" / "manifests.yaml"
_ALL = "--namespace kubeflow --service-account photos --replicas 2 --cpu 0.5 --memory-gb 1.5"
COMMANDS = (
    "--kind kserve --model gs://a-bucket/pushed/sample",
    f"--kind kserve --model s3://a-bucket/pushed/sample/1732694400000000 --name flowers --canary 10 {_ALL}",
    "--kind kserve --model pvc://models/pushed/sample/2 --name claimed",
    "--kind deployment --model gs://a-bucket/pushed/plain",
    f"--kind deployment --model pvc://models/pushed/sample --name from-claim {_ALL}",
    "--kind server --model gs://a-bucket/pushed/own_server --image r.io/photos/pipeline:1",
    f"--kind server --model pvc://models --name own-claimed --image r.io/photos/pipeline@sha256:{'0' * 64} {_ALL}",
)


def written() -> str:
    """Returns each command with what it prints."""
    text = ""
    for command in COMMANDS:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            assert serving.main(["manifest", *shlex.split(command)]) == 0
        text += f"# python -m serving manifest {command}\n---\n{printed.getvalue()}---\n"
    return text.removesuffix("---\n")


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # stops the servers
    text = written()
    with tempfile.TemporaryDirectory() as folder, kubernetes.cluster(Path(folder)) as cluster:
        cluster.create(yaml.load(sources.kserve_definition(), yaml.CSafeLoader))
        _wait_for_kserve(cluster)
        objects = list(filter(None, yaml.safe_load_all(text)))
        for thing in objects:
            cluster.create(thing)
            for changed in _broken(thing):
                assert cluster.refused(changed), f"expected to be refused: {yaml.safe_dump(changed)}"
    ACCEPTED.write_text(text)
    names = ", ".join(f"{thing['kind']} {thing['metadata']['name']}" for thing in objects)
    print(f"Kubernetes {kubernetes.VERSION}, KServe {sources.KSERVE[0]}: accepted {names}")


def _wait_for_kserve(cluster: kubernetes.Cluster) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            cluster.get("/apis/serving.kserve.io/v1beta1/inferenceservices")
            return
        except requests.RequestException:
            assert time.monotonic() < deadline, "KServe's definition is not served"
            time.sleep(0.2)


def _broken(thing: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields copies under a new name, each with a fault that the server has to refuse."""
    changes: list[Callable[[dict[str, Any]], None]] = [
        lambda spec: spec.update(unknown=1),
        lambda spec: spec.update({next(iter(spec)): "wrong"}),
    ]
    for change in changes:
        changed = copy.deepcopy(thing)
        changed["metadata"]["name"] += "-broken"
        change(changed["spec"].get("predictor", changed["spec"]))
        yield changed


if __name__ == "__main__":
    main()
