"""Executes a documented command in a prepared folder, with its placeholders replaced.

The programs' `main` functions run in this process and stop before the first node of a pipeline. Commands that need
ImageNet weights or another Beam engine are run with `--show-config`, `make` targets with `make -n`, and benchmarks are
only imported.
"""

import contextlib
import importlib
import io
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from pipeline.cluster.launcher import buckets
from tests.conftest import ROOT
from tests.helpers import cloud_storage, databases, stubs
from tests.helpers.kubeflow_runs import KubeflowRuns
from tests.helpers.stored_runs import Stored
from tests.helpers.vertex_runs import serving_vertex

MAINS = {
    "local_runner.py": "local_runner",
    "kubeflow_runner.py": "kubeflow_runner",
    "ingest": "ingest.__main__",
    "lineage": "lineage.__main__",
    "serving": "serving.__main__",
    "trainer.augmentation": "trainer.augmentation.__main__",
    "trainer.to_npz": "trainer.to_npz",
    "trainer.tpu_check": "trainer.tpu_check",
}
CLUSTER = "--image r.io/photos/pipeline:1 --pipeline-root gs://a-bucket/root"
DATA = "--data gs://a-bucket/photos"
VERTEX = f"{CLUSTER} --project my-project --region europe-west4"
SERVING = re.compile(r"https?://\S+?:\d+")

# What a reader puts in the place of a word, by regular expression, in this order. The files are those of `prepare`.
VALUES = {
    r"\.\./\$SET/settings\.yaml": "made/settings.yaml",
    r"--to \.\./\$SET": "--to new",
    r"\.\./\$SET": "data",
    r"\$SET\b": "photos",
    r"\$PHOTOS_DIR": "photos",
    r"\$IMAGE": "r.io/photos/pipeline:1",
    r"\$PROJECT": "my-project",
    r"\$REGION": "europe-west4",
    r"\$BUCKET": "a-bucket",
    r"\$ACCOUNT": "photos@my-project.iam.gserviceaccount.com",
    r"\$S3\b": "minio-service",
    r"--to DIR": "--to new",
    r"KEPT_DIR": "kept",
    r"PHOTOS_DIR": "photos",
    r"IDX_DIR": "idx",
    r"(NEW_)?DIR/settings\.yaml": "made/settings.yaml",
    r"--output DIR": "--output other",
    r"\bDIR\b": "data",
    r"-o FILE": "-o compiled",
    r"runs/(sample\.\w+|photos\.json)": r"\1",
    r"runs/photos\.yaml": "sample.yaml",
    r"submit +FILE": "submit photos.json",
    r"run-local +FILE": "run-local sample.json",
    r"--html FILE": "--html page.html",
    r"\bFILE TO\.npz": "weights.h5 new.npz",
    r"\bFILE(\.h5)?\b|mobilenet_v2_\w+\.\w+\.h5": "weights.h5",
    r"runs/pushed/NAME/VERSION|\bARTIFACT\b": "$PUSHED",
    r"diff RUN": "diff --store two-runs RUN",
    r"\bRUN\b": "latest",
    r"\bNODE\b": "Trainer",
    r"\bDAYS\b": "30",
    r"--limit N\b": "--limit 5",
    r"--pipeline NAME": "--pipeline sample",
    r"--preset NAME": "--preset flowers-convnet",
    r"NAME=VALUE": "epochs=2",
    r"REGISTRY/NAME:TAG|REGISTRY/NAME": "r.io/photos/pipeline:1",
    r"\bPROJECT\b": "my-project",
    r"BUCKET/\w+": "a-bucket/photos",
    r"/path/to/python3\.\d+": sys.executable,
}


class Done(NamedTuple):
    """A command's exit code and output."""

    code: int
    printed: str


class NodesReached(BaseException):
    """Raised instead of running the nodes: everything before them succeeded."""


def filled(text: str, pushed: str = "") -> str:
    """Returns a command with its placeholders replaced by values."""
    for placeholder, value in VALUES.items():
        text = re.sub(placeholder, value.replace("$PUSHED", pushed), text)
    if "kubeflow_runner.py" in text and re.search(r"[^\w]…", text):
        given = "" if re.search(r"submit +\w+\.json", text) else CLUSTER if "--target kubeflow" in text else VERTEX
        given = f"{given} {DATA}" if given else ""
        given += "" if "--target" in text or not given else " --target vertex"
        text = text.replace("…", given)
    return text


def _stop(*args: object, **kwargs: object) -> None:
    raise NodesReached


def typed(words: list[str], folder: Path) -> Done:
    """Calls a program's main in `folder`."""
    name, *arguments = words[1:] if words[0] == "-m" else words
    main = importlib.import_module(MAINS[name]).main
    with contextlib.chdir(folder), io.StringIO() as printed:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            try:
                code = main(arguments)
            except SystemExit as end:  # argparse
                code = end.code or 0
            except NodesReached:
                code = 0
        return Done(code, printed.getvalue())


def pasted(text: str, folder: Path) -> list[str]:
    """Returns a command's arguments as a shell in `folder` parses them."""
    shell = ["sh", "-c", rf"printf '%s\0' {text}"]
    done = subprocess.run(shell, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.split("\0")[:-1]


def execute(text: str, folder: Path) -> Done:
    """Executes a command without placeholders."""
    words = pasted(text, folder)
    while re.match(r"[A-Z]+=", words[0]):
        words = words[1:]
    if words[0] == "make":
        return _make(text, folder)
    if words[:4] == ["python", "-m", "lineage", "serve"]:
        return _answers([*words, *([] if "--port" in words else ["--port", "0"])], folder)
    if words[:3] == ["python", "-m", "serving"] and len(words) > 3 and words[3] not in ("predict", "manifest"):
        return _answers([*words, "--port", "0"], folder, "/readyz")
    if words[:3] == ["python", "-m", "lineage"] and re.search(r"--store '?(https?|vertex)://", text):
        return _lineage_of_a_cluster(words, folder)
    if words[:3] == ["python", "-m", "apache_beam.runners.portability.local_job_service_main"]:
        return _listens(words, folder)
    if words[1:2] == ["kubeflow_runner.py"]:
        return _on_a_cluster(words[1:], folder)
    if words[1:2] == ["local_runner.py"]:
        return typed(words[1:], folder)
    if words[1] == "-m" and words[2].startswith("benchmarks"):  # they take from minutes to half an hour
        return Done(0 if callable(importlib.import_module(words[2]).main) else 1, "")
    return typed([*words[1:], *(["--help"] if len(words) == 3 else [])], folder)


def without_network(command: str) -> str:
    """Returns the command with local data instead of downloads, and --show-config if it needs weights or an engine."""
    if "local_runner.py" not in command or any(flag in command for flag in ("--list-presets", "--devices", "--bulk")):
        return command
    if "--weights" in command or "xception" in command or "beam.args" in command:
        return f"{command} --show-config"
    data = " --data data" if "--preset flowers" in command and "--data" not in command else ""
    data = " --data other" if "--set data.pattern" in command else data
    return f"{command}{data} --output out"


def _make(text: str, folder: Path) -> Done:
    """Gets make's commands with `make -n`, and executes those that start a program of this project."""
    command = ["make", "-n", "-o", ".venv/.ready", *shlex.split(text[text.index("make ") + len("make ") :])]
    # without the flags and ARGS of the `make test` that may run this
    env = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKEOVERRIDES", "ARGS")}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    started = re.findall(r"^\S*/bin/(python local_runner\.py.*|python -m lineage.*|tensorboard.*)", done.stdout, re.M)
    for line in started if done.returncode == 0 else []:
        if line.startswith("tensorboard"):
            return _answers([*shlex.split(line), "--port", "0"], folder)
        return execute(line, folder)
    return Done(done.returncode, done.stdout + done.stderr)


def _answers(words: list[str], folder: Path, page_path: str = "") -> Done:
    """Starts a server, requests its first page, or the page of a path, and stops it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "no_proxy": "127.0.0.1"}
    process = subprocess.Popen(
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if at := SERVING.search(line):
                page = requests.get(at[0] + page_path, timeout=60, proxies={"http": ""})
                return Done(0 if page.ok else 1, "".join(lines) + page.text[:500])
        return Done(process.wait(), "".join(lines))
    finally:
        process.terminate()
        process.communicate()


def _listens(words: list[str], folder: Path) -> Done:
    """Starts Beam's job service on a free port, waits until it listens, and stops it."""
    port = databases.free_port()
    words = [sys.executable, *words[1:-1], str(port)]
    process = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                return Done(0, "")
            time.sleep(0.1)
        return Done(1, f"the job service ended with {process.returncode}")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _on_a_cluster(words: list[str], folder: Path) -> Done:
    """Runs kubeflow_runner.py with local servers; `run-local` stops before its first task."""
    vertex, kubeflow = stubs.Vertex(), stubs.Kubeflow()
    vertex.parent = "/v1/projects/my-project/locations/europe-west4"
    vertex.states, kubeflow.states = iter(["SUCCEEDED"]), iter(["SUCCEEDED"])
    token = folder / "token"
    token.write_text(stubs.TOKEN)
    with stubs.serving(vertex), stubs.serving(kubeflow), pytest.MonkeyPatch.context() as patch:
        patch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(token))
        stubs.point_vertex_sdk_at(vertex, patch)
        at = words.index("--endpoint") + 1 if "--endpoint" in words else None
        if at:
            words = [*words[:at], kubeflow.url, *words[at + 1 :]]
        elif words[1:4] == ["submit", "--target", "kubeflow"]:
            words = [*words, "--endpoint", kubeflow.url]
        with _bucket(words, folder, patch) as words:
            done = typed(words, folder)
    if done.code == 0 and words[1] == "submit":
        assert len(vertex.jobs) + len(kubeflow.runs) == 1, done.printed
    return done


def _lineage_of_a_cluster(words: list[str], folder: Path) -> Done:
    """Asks local servers that list the runs of the folder `runs`."""
    stored, at = Stored(folder / "runs"), words.index("--store") + 1
    (folder / "token").write_text(stubs.TOKEN)
    with pytest.MonkeyPatch.context() as patch, serving_vertex(stored, patch) as (vertex, _):
        patch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(folder / "token"))
        with stubs.serving(KubeflowRuns(stored)) as kubeflow:
            place = vertex if words[at].startswith("vertex:") else kubeflow.url
            return typed([*words[1:at], place, *words[at + 1 :]], folder)


@contextlib.contextmanager
def _bucket(words: list[str], folder: Path, patch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """For `--store`, serves a bucket of Cloud Storage with records; yields the words with its URI."""
    if "--store" not in words:
        yield words
        return
    with cloud_storage.serving(folder) as environment:
        for name in ("STORAGE_EMULATOR_HOST", "no_proxy"):
            patch.setenv(name, environment[name])
        buckets.open_bucket("gs", cloud_storage.BUCKET).upload(min((folder / "data").iterdir()), "photos/0.tfrec")
        yield [re.sub(r"minio://[\w-]+", f"gs://{cloud_storage.BUCKET}", word) for word in words]


@contextlib.contextmanager
def stopped_before_the_nodes() -> Iterator[None]:
    """Makes both runners stop before the first node."""
    from pipeline.cluster import submission
    from pipeline.cluster.launcher.run import Launcher
    from pipeline.local import run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "run", _stop)
        patch.setattr(Launcher, "run", _stop)
        patch.setattr(submission, "POLL_S", 0.01)
        yield
