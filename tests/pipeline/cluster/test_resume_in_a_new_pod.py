"""The sample with data, artifacts and pushed model in a real MinIO, as on Kubeflow; the Trainer's pod is lost once."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

import kubeflow_runner
from storage import s3
from tests.conftest import ROOT
from tests.helpers.minio import BUCKET
from tests.test_kubeflow_runner import KUBEFLOW

STORE = f"minio://{BUCKET}/root"
SET = ["--set", "cluster.s3_endpoint=http://minio-service.kubeflow:9000"]
FLAGS = [*KUBEFLOW, "--pipeline-root", STORE, "--data", f"minio://{BUCKET}/data", *SET]


def _state() -> dict:
    """Returns the state of the training in the bucket."""
    names = [file.name for file in s3.files(f"{STORE}/checkpoints") if file.name.endswith("/state.json")]
    return json.loads(s3.read(f"{STORE}/checkpoints/{names[0]}")) if names else {"finished": 0}


def _kill_the_trainer(launcher: subprocess.Popen) -> int:
    """Kills the process of the Trainer's task in epoch 3; returns the number of finished epochs."""
    while launcher.poll() is None and _state()["finished"] < 2:
        time.sleep(0.05)
    processes = psutil.Process(launcher.pid).children(recursive=True)
    tasks = [each for each in processes if "forkserver" in str(each.cmdline())]
    (task,) = [each for each in tasks if any(other.pid == each.ppid() for other in tasks)]  # a fork of the server
    os.kill(task.pid, signal.SIGKILL)
    return _state()["finished"]


@pytest.mark.slow
def test_a_trainer_that_is_killed_resumes_on_an_empty_disk(minio, sample, first_run, tmp_path):
    for path in sample.glob("*.tfrec"):
        s3.upload(path, f"minio://{BUCKET}/data/{path.name}")
    assert kubeflow_runner.main(["compile", *FLAGS, "-o", str(tmp_path / "sample.yaml")]) == 0
    command = [sys.executable, "kubeflow_runner.py", "run-local", str(tmp_path / "sample.yaml"), "--store", STORE]
    command += ["--output", str(tmp_path / "out")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as launcher:
        finished = _kill_the_trainer(launcher)
        printed, _ = launcher.communicate(timeout=600)
    assert launcher.returncode == 0, printed
    assert "retry    Trainer (attempt 2)" in printed
    artifacts = {file.name: f"{STORE}/{file.name}" for file in s3.files(STORE)}
    (record,) = (uri for name, uri in artifacts.items() if name.endswith("Trainer/model_run/history.json"))
    record = json.loads(s3.read(record))
    epochs = record["epochs"]
    assert 2 <= finished < epochs
    (log,) = (tmp_path / "out").glob("*/Trainer.log")
    assert log.read_text().count("Epoch 1/") == 1 and log.read_text().count(f"Epoch {epochs}/") == 1
    runs = first_run[0].glob("artifacts/sample/Trainer/model_run/*/history.json")
    unbroken = json.loads(min(runs, key=lambda path: int(path.parent.name)).read_text())
    assert unbroken["epochs"] == epochs
    for name in ("loss", "val_loss", "learning_rate"):
        assert record["history"][name] == pytest.approx(unbroken["history"][name], abs=1e-3), name
    _check_texts(artifacts)


def _check_texts(artifacts: dict[str, str]) -> None:
    """No text that a user reads has a path of the disk; the pushed model is in the bucket."""
    assert any(name.startswith("pushed/sample/") and name.endswith("/saved_model.pb") for name in artifacts)
    for end in ("Report/report/report.html", "Report/report/report.json"):
        (uri,) = (uri for name, uri in artifacts.items() if name.endswith(end))
        text = s3.read(uri).decode()
        assert f"{STORE}/" in text
        assert "/minio/" not in text
