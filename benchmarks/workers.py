"""Trains with several workers on this machine, as Vertex AI does, and compares with one: python -m benchmarks.workers

The compiled pipeline runs three times with `run-local`: with one worker and the global batch, with N workers, and with
N workers of which each is killed once. The model has no batch norm, whose moments depend on a replica's batch.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from trainer import weight_files

_MODEL, _BATCH, _EPOCHS, _RATE = "convnet", 48, 4, 3e-4
_FILES = 2  # of the data set
_TOLERANCE = 1e-4
_REPLICA = re.compile(r"^custom job: (\w+ \d+) is process (\d+)$", re.MULTILINE)


def main() -> int:
    """Prints the differences and returns 0 if those of loss and weights are at most 1e-4, otherwise 1."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="?", type=Path, default=Path("../shared/data/flowers-192"))
    parser.add_argument("--workers", type=int, default=3, help="a divisor of 48 (3)")
    parser.add_argument("--output", type=Path, default=Path("runs/workers"))
    args = parser.parse_args()
    shutil.rmtree(args.output, ignore_errors=True)
    data = args.output / "data"
    data.mkdir(parents=True)
    for file in sorted(args.data.glob("*.tfrec"))[:_FILES]:
        shutil.copy(file, data)
    one = _train(data, args.output / "one", 1, kill=False)
    worst = 0.0
    for name, kill in (("several", False), ("killed", True)):
        several = _train(data, args.output / name, args.workers, kill)
        loss, weight = (_difference(one[key], several[key]) for key in ("loss", "weights"))
        print(f"{several['devices']}, {name}: largest difference of the loss {loss:.1e}, of a weight {weight:.1e}")
        worst = max(worst, loss, weight)
    return int(worst > _TOLERANCE)


def _difference(one: Any, other: Any) -> float:
    return float(max(np.abs(np.subtract(a, b)).max() for a, b in zip(one, other, strict=True)))


def _train(data: Path, output: Path, workers: int, kill: bool) -> dict[str, Any]:
    """Runs the pipeline, and returns the loss of each epoch, the weights and the devices of the Trainer."""
    rate = f"{_RATE / workers:.9g}"  # which the Trainer multiplies by the number of replicas, like the batch
    changes = {
        "cluster.workers": workers,
        "model.name": _MODEL,
        "trainer.epochs": _EPOCHS,
        "trainer.batch_size": _BATCH // workers,
        "trainer.learning_rate": f"{{start: {rate}, peak: {rate}}}",
        "evaluator.min_accuracy": 0,
        "evaluator.min_class_recall": 0,
    }
    flags = ["--target", "vertex", "--project", "a-project", "--region", "europe-west4", "--preset", "flowers-convnet"]
    flags += ["--image", "r.io/photos/pipeline:1", "--pipeline-root", "gs://a-bucket/root", "--data", str(data)]
    flags += [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    output.mkdir()
    runner = [sys.executable, "kubeflow_runner.py"]
    subprocess.run([*runner, "compile", *flags, "-o", f"{output}/job.json"], check=True)  # noqa: S603
    start = time.monotonic()
    running = subprocess.Popen([*runner, "run-local", f"{output}/job.json", "--output", str(output)])  # noqa: S603
    killed = _kill_each(output, running, workers) if kill else 0
    if running.wait() or killed < (workers if kill else 0):
        raise SystemExit(f"run-local ended with {running.returncode}, after {killed} replicas were killed")
    print(f"{output}: {time.monotonic() - start:.0f} s, {killed} replicas killed", flush=True)
    (history,), (weights,) = output.rglob("history.json"), output.rglob("Trainer/**/model.weights.h5")
    record = json.loads(history.read_text())
    return {
        "loss": record["history"]["loss"],
        "weights": list(weight_files.read(weights).values()),
        "devices": record["devices"],
    }


def _kill_each(output: Path, running: "subprocess.Popen[bytes]", workers: int) -> int:
    """Kills the chief after the first epoch, worker 0 after the second, and so on; returns the number killed."""
    for killed in range(workers):
        while _finished(output) <= killed:
            if running.poll() is not None:
                return killed
            time.sleep(0.2)
        (log,) = output.rglob("Trainer.log")
        name, pid = _REPLICA.findall(log.read_text())[-workers:][killed]
        os.kill(int(pid), signal.SIGKILL)
        print(f"killed {name} after epoch {_finished(output)}", flush=True)
    return workers


def _finished(output: Path) -> int:
    """Returns the number of finished epochs, by the chief's checkpoints."""
    states = [json.loads(path.read_text()) for path in output.rglob("checkpoints/state.json")]
    return max((state["finished"] for state in states), default=0)


if __name__ == "__main__":
    sys.exit(main())
