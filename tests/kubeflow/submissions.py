"""Submits to a running API server of Kubeflow Pipelines, and compares its runs and workflows with the file."""

import difflib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import requests

from tests.conftest import ROOT
from tests.kubeflow import kubernetes, runs, sources

WORKFLOWS = "/apis/argoproj.io/v1alpha1/namespaces/kubeflow/workflows"
NOW = "2026-01-01T00:00:00Z"
Workflow = dict[str, Any]


def check(version: str, url: str, cluster: kubernetes.Cluster, folder: Path) -> None:
    """Runs all checks. Raises AssertionError if one fails."""
    file = runs.compile_run("sample on l4", folder)
    submit(file, "--endpoint", url, "--parameter", "epochs=3", expect=0)
    submit(*runs.FLAGS, *runs.RUNS["sample on l4"].flags, "--endpoint", url, expect=0)
    check_runs(url)
    compiled = json.loads(sources.run([sources.compiler(version), file]))["workflow"]
    for workflow in workflows(cluster):
        difference = list(difflib.unified_diff(_stable(compiled), _stable(workflow), "compiled", "in Kubernetes", n=0))
        assert not difference, "\n".join(difference)
    print("Kubernetes: 2 workflows, as compiled", flush=True)
    check_waiting(url, cluster, file)


def submit(*arguments: object, expect: int) -> str:
    """Runs `python kubeflow_runner.py submit`, prints the end of its output, and checks its exit code."""
    return _finish(_start(*arguments), expect)


def _start(*arguments: object) -> subprocess.Popen:
    command = [sys.executable, "kubeflow_runner.py", "submit", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _finish(process: subprocess.Popen, expect: int) -> str:
    output, _ = process.communicate(timeout=300)
    said = output[output.find("started on") :].strip()
    print(said, f"exit code {process.returncode}", sep="\n", flush=True)
    assert process.returncode == expect, output
    return said


def check_runs(url: str) -> None:
    """Checks the two runs and their experiment in the API server's database."""
    first, second = sorted(_get(url, "runs"), key=lambda run: run["created_at"])
    assert first["experiment_id"] == second["experiment_id"]
    assert {each["display_name"] for each in _get(url, "experiments")} == {"Default", "sample"}
    assert [run["runtime_config"].get("parameters") for run in (first, second)] == [{"epochs": 3}, None]
    assert {run["runtime_config"]["pipeline_root"] for run in (first, second)} == {"gs://a-bucket/root"}
    print(f"Kubeflow Pipelines: 2 runs of 1 experiment, state {first['state']}", flush=True)


def _get(url: str, collection: str) -> list[dict[str, Any]]:
    return list(requests.get(f"{url}/apis/v2beta1/{collection}", timeout=30).json()[collection])


def workflows(cluster: kubernetes.Cluster) -> list[Workflow]:
    """Returns the workflows in Kubernetes, oldest first."""
    return sorted(cluster.get(WORKFLOWS)["items"], key=lambda workflow: int(workflow["metadata"]["resourceVersion"]))


def _stable(workflow: Workflow) -> list[str]:
    """Returns the lines of the workflow's spec without the run's id, name and parameters."""
    text, metadata = json.dumps(workflow["spec"]), workflow["metadata"]
    for own in (metadata["labels"]["pipeline/runid"], metadata["annotations"]["pipelines.kubeflow.org/run_name"]):
        text = text.replace(f'"{own}"', '"RUN"')
    spec = json.loads(text)
    for template in spec["templates"]:
        for task in template.get("dag", {}).get("tasks", []):
            for parameter in task.get("arguments", {}).get("parameters", []):
                if parameter["name"] == "runtime-config":
                    del parameter["value"]
    return json.dumps(spec, indent=1, sort_keys=True).splitlines()


def check_waiting(url: str, cluster: kubernetes.Cluster, file: Path) -> None:
    """Follows a run whose states are reported as Argo reports them, and interrupts the command for another run."""
    waiting = _start(file, "--endpoint", url, "--wait")
    workflow = _next_workflow(cluster, 3)
    for phase in ("Running", "Failed"):
        report(url, workflow, phase)
        time.sleep(20)  # --wait asks every 15 s
    _, *said = _finish(waiting, expect=1).splitlines()
    assert said == ["Trainer: running", "Trainer: failed", "the run: failed"]
    waiting = _start(file, "--endpoint", url, "--wait")
    _next_workflow(cluster, 4)
    time.sleep(2)
    waiting.send_signal(signal.SIGINT)
    assert "interrupted; a submitted run continues" in _finish(waiting, expect=130)


def _next_workflow(cluster: kubernetes.Cluster, count: int) -> Workflow:
    """Waits until Kubernetes has `count` workflows, and returns the newest."""
    deadline = time.monotonic() + 120
    while len(found := workflows(cluster)) < count:
        assert time.monotonic() < deadline, "no new workflow"
        time.sleep(0.5)
    return found[-1]


def report(url: str, workflow: Workflow, phase: str) -> None:
    """Reports a workflow's state to the API server, as the persistence agent does. The nodes are written by hand."""
    name = workflow["metadata"]["name"]
    nodes = {name: "DAG", "root-driver": "Pod", "root": "DAG", "Trainer-driver": "Pod", "Trainer": "DAG"}
    nodes |= {"executor": "Retry", "executor(0)": "Pod"}
    status = {
        f"{name}-{index}": {
            "id": f"{name}-{index}",
            "name": f"{name}.{title}",
            "displayName": title,
            "type": kind,
            "phase": "Succeeded" if title.endswith("-driver") else phase,
            "startedAt": NOW,
        }
        for index, (title, kind) in enumerate(nodes.items())
    }
    reported = workflow | {"status": {"phase": phase, "startedAt": NOW, "nodes": status}}
    answer = requests.post(f"{url}/apis/v2beta1/workflows", json=json.dumps(reported), timeout=30)
    assert answer.ok, answer.text
