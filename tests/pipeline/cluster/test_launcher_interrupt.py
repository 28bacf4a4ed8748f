"""A signal to run-local's own process ends all processes of the running task, and leaves no part of its output."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT
from tests.helpers.interrupts import HEARS_SIGINT

RUN = """
import json, sys
from pathlib import Path
from pipeline.cluster.launcher.run import Launcher
folder = Path(sys.argv[1])
Launcher(json.loads(sys.argv[2]), {}, folder, folder).run()
"""
# a task that has a process, writes a part of its output and waits; the last one is not ended by SIGTERM
TASK = """
import json, os, pathlib, signal, subprocess, sys, time
if %r: signal.signal(signal.SIGTERM, signal.SIG_IGN)
given = json.loads(sys.argv[1])
pathlib.Path(given["outputs"]["artifacts"]["model"]["artifacts"][0]["uri"], "part").touch()
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path("pids").write_text(f"{os.getpid()} {child.pid}\\n")
time.sleep(600)
"""


def _spec(task: str) -> dict:
    container = {"command": [sys.executable, "-c", task], "args": ["{{$}}"]}
    outputs = {"artifacts": {"model": {"artifactType": {"schemaTitle": "system.Model"}}}}
    return {
        "schemaVersion": "2.1.0",
        "defaultPipelineRoot": "gs://a-bucket/root",
        "pipelineInfo": {"name": "tiny"},
        "root": {"dag": {"tasks": {"task": {"componentRef": {"name": "task"}}}}},
        "components": {"task": {"executorLabel": "task", "outputDefinitions": outputs}},
        "deploymentSpec": {"executors": {"task": {"container": container}}},
    }


def _pids(file: Path) -> list[int]:
    until = time.monotonic() + 60
    while not (file.exists() and file.read_text().endswith("\n")):
        assert time.monotonic() < until
        time.sleep(0.05)
    return [int(each) for each in file.read_text().split()]


@pytest.mark.parametrize("ignores_sigterm", [False, True])
def test_an_interrupt_ends_the_task(tmp_path, ignores_sigterm):
    command = [sys.executable, "-c", RUN, str(tmp_path), json.dumps(_spec(TASK % ignores_sigterm))]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, preexec_fn=HEARS_SIGINT)
    pids = _pids(tmp_path / "pids")
    assert list(tmp_path.glob("tiny-*/task/model/part"))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert errors.endswith(b"KeyboardInterrupt\n")  # kubeflow_runner.py prints one line for it
    assert not [each for each in pids if psutil.pid_exists(each) and psutil.Process(each).status() != "zombie"]
    assert not list(tmp_path.glob("tiny-*/task/model"))


MODULE = """
import os, pathlib, time
pathlib.Path("pids").write_text(f"{os.getpid()}\\n")
time.sleep(600)
"""
OF_MODULE = """
import multiprocessing, os, sys
from pathlib import Path
from pipeline.cluster.launcher import containers
context, folder = multiprocessing.get_context("forkserver"), Path(sys.argv[1])
containers.run(context, ["python", "-m", "waiting"], folder / "log", folder, dict(os.environ))
"""


def test_an_interrupt_ends_a_module(tmp_path, monkeypatch):
    (tmp_path / "waiting.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    command = [sys.executable, "-c", OF_MODULE, str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, preexec_fn=HEARS_SIGINT)
    (pid,) = _pids(tmp_path / "pids")
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie"
