"""The sample, compiled for Kubeflow, on `run-local --store` with real buckets; compared with the local runner's run."""

import json
import multiprocessing
import re
import threading
import time
from pathlib import Path

import pytest

import kubeflow_runner
from pipeline.cluster.launcher import buckets
from tests.helpers import artifacts, cloud_storage
from tests.helpers.minio import BUCKET
from tests.pipeline.cluster.test_launcher import LINE, NODES
from tests.test_kubeflow_runner import KUBEFLOW

FLOORS = ["min_accuracy=0.1", "min_class_recall=0"]
S3 = ["--target", "kubeflow", "--image", "r.io/photos/pipeline:1", "--pipeline-root", f"minio://{BUCKET}/root"]
S3 += ["--data", f"minio://{BUCKET}/photos", "--set", "cluster.s3_endpoint=http://minio-service.kubeflow:9000"]


def _download(store: str, folder: Path) -> Path:
    """Downloads a store and returns the folder of its run."""
    artifacts.download(store, folder)
    (run,) = folder.glob("sample-*")
    return run


def _states(printed: str) -> dict[str, str]:
    return {name: state for state, name in LINE.findall(printed)}


@pytest.fixture
def local(first_run) -> Path:
    """The artifacts of the local runner's first run; other tests continue it."""
    return first_run[0] / "artifacts" / "sample"


def _first(local: Path, name: str) -> Path:
    return min((local / name).iterdir(), key=lambda path: int(path.name))


def test_the_artifacts_in_minio_equal_those_of_the_local_runner(minio, sample, local, tmp_path, run_local):
    """Also the data are in the bucket."""
    bucket = buckets.open_bucket("s3", BUCKET)
    for path in sample.glob("*.tfrec"):
        bucket.upload(path, f"photos/{path.name}")
    file, store = tmp_path / "sample.yaml", f"minio://{BUCKET}/a/root"
    assert kubeflow_runner.main(["compile", *S3, "-o", str(file)]) == 0
    code, printed = run_local(file, tmp_path / "logs", "--store", store)
    assert code == 0, printed
    assert _states(printed) == dict.fromkeys([*NODES, "LatestBlessedModel"], "done")
    assert "warning" not in printed
    assert re.search(rf"^blessed and pushed to minio://{BUCKET}/a/root/pushed/sample/\d+$", printed, re.MULTILINE)
    run = _download(store, tmp_path / "store")
    (pushed,) = (tmp_path / "store" / "pushed" / "sample").iterdir()
    assert {"report.html", "verdict.json"} <= {each.name for each in (pushed / "assets.extra").iterdir()}
    names = [*artifacts.SAME, "Evaluator/evaluation", "Trainer/model"]
    artifacts.assert_equal(run, {name: _first(local, name) for name in names}, pushed)


@pytest.mark.slow
def test_cloud_storage_run_parameters_and_a_killed_task(sample, tmp_path, run_local, monkeypatch):
    """Transform is killed while it writes its output; its second attempt finds nothing of the first."""
    file, output, store = tmp_path / "sample.yaml", tmp_path / "root", f"gs://{BUCKET}/a/root"
    assert kubeflow_runner.main(["compile", *KUBEFLOW, "-o", str(file)]) == 0
    given = [f"--parameter={text}" for text in ("epochs=2", *FLOORS)]
    code, printed = run_local(file, output, *given)
    assert code == 2
    assert "expected a data folder on this machine, received gs://a-bucket/photos" in printed
    assert not output.exists()
    with cloud_storage.serving(tmp_path) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        killer = threading.Thread(target=_kill, args=(output, "sample-*/Transform/0/gcs/**/transform_graph/**/*"))
        killer.start()
        code, printed = run_local(file, output, "--data", sample, "--store", store, *given)
        killer.join()
        run = _download(store, tmp_path / "store")
        names = [each.name for each in buckets.open_bucket("gs", BUCKET).objects("a/root/sample-")]
    assert code == 0, printed
    assert _states(printed) == dict.fromkeys([*NODES, "LatestBlessedModel"], "done")
    assert "retry    Transform (attempt 2)" in printed
    (log,) = output.glob("sample-*/Transform.log")
    assert log.read_text().count("launcher: the command ended with -9\n") == 1
    assert not [name for name in names if name.endswith("/")]  # no markers in the artifacts
    record = json.loads((run / "Trainer" / "model_run" / "history.json").read_text())
    assert (record["epochs"], record["recipe"]["trainer"]["epochs"]) == (2, 2)
    report = json.loads((run / "Report" / "report" / "report.json").read_text())
    settings = report["lineage"]["settings"]
    assert (settings["trainer"]["epochs"], settings["evaluator"]["min_accuracy"]) == (2, 0.1)  # the run's values
    assert settings["data"]["directory"] == str(sample)
    assert f"blessed and pushed to gs://{BUCKET}/a/root/pushed/sample/" in printed


def _kill(output: Path, written: str) -> None:
    """Kills the running task when a file matches `written`."""
    end = time.monotonic() + 900
    while time.monotonic() < end:
        if any(output.glob(written)):
            for process in multiprocessing.active_children():
                process.kill()
            return
        time.sleep(0.01)
