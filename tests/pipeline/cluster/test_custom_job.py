"""`run-local` runs a custom job as Vertex AI does: a process for each replica, TF_CONFIG, and restarts."""

import json
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from google.cloud.aiplatform_v1.types import CustomJobSpec

from pipeline.cluster.launcher import custom_job


def _spec(folder: Path, workers: int) -> CustomJobSpec:
    command = ["python", "-m", "a.module", str(folder)]
    pool = {"replica_count": 1, "container_spec": {"command": command}}
    return CustomJobSpec({"worker_pool_specs": [pool, *([pool | {"replica_count": workers}] if workers else [])]})


def _attempts(folder: Path) -> Counter[str]:
    return Counter(path.name.rpartition("-")[0] for path in folder.iterdir())


def _record(name: str, folder: str) -> str:
    """Writes TF_CONFIG to a file of this process, and returns the replica's role and index."""
    config = os.environ.get("TF_CONFIG", "")
    task = json.loads(config)["task"] if config else {"type": "only", "index": 0}
    replica = f"{task['type']}{task['index']}"
    (Path(folder) / f"{replica}-{os.getpid()}").write_text(config)
    return replica


def _killed_once(name: str, folder: str) -> None:
    replica = _record(name, folder)
    if _attempts(Path(folder))[replica] > 1:
        return
    if replica == "worker1":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)  # as a replica that waits for the lost one


def _fails(name: str, folder: str) -> None:
    if _record(name, folder) == "chief0":
        sys.exit(3)
    time.sleep(60)


def _always_killed(name: str, folder: str) -> None:
    _record(name, folder)
    os.kill(os.getpid(), signal.SIGKILL)


def test_each_replica_finds_its_task(tmp_path):
    assert custom_job.run(_spec(tmp_path, 2), _record)
    configs = [json.loads(path.read_text()) for path in sorted(tmp_path.iterdir())]
    assert [(each["task"]["type"], each["task"]["index"]) for each in configs] == [
        ("chief", 0),
        ("worker", 0),
        ("worker", 1),
    ]
    assert all(set(each["cluster"]) == {"chief", "worker"} for each in configs)
    addresses = {address for each in configs for job in each["cluster"].values() for address in job}
    assert len(addresses) == 3


def test_one_replica_has_no_tf_config(tmp_path):
    assert custom_job.run(_spec(tmp_path, 0), _record)
    (file,) = tmp_path.iterdir()
    assert file.read_text() == ""


def test_all_replicas_start_again_if_one_is_killed(tmp_path):
    started = time.monotonic()
    assert custom_job.run(_spec(tmp_path, 2), _killed_once)
    attempts = _attempts(tmp_path)
    assert attempts["worker1"] == 2
    assert set(attempts.values()) <= {1, 2}  # a replica may be killed before it has written its file
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(("main", "attempts"), [(_fails, 1), (_always_killed, 1 + custom_job.RESTARTS)])
def test_a_job_that_fails(tmp_path, main, attempts):
    workers = 1 if main is _fails else 0
    assert not custom_job.run(_spec(tmp_path, workers), main)
    assert _attempts(tmp_path)["chief0" if workers else "only0"] == attempts
