"""Compares ExampleGen, which checks and measures each record, with TFX's ImportExampleGen, in CPU time and memory."""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import DATA, report, run_module

_RUNS = 3
_TIMES = 16


class _Cost(NamedTuple):
    cpu_seconds: float
    gigabytes: float


def main() -> None:
    """Prints the cost of the checks, and how time and memory grow with the data."""
    flowers = DATA / "flowers-192"
    with tempfile.TemporaryDirectory() as folder:
        many = Path(folder)
        for file in flowers.glob("*.tfrec"):
            stem, _, count = file.stem.rpartition("-")
            for number in range(_TIMES):
                (many / f"{stem}{number:02d}-{count}.tfrec").symlink_to(file)
        pairs = [(_run("plain", flowers), _run("checking", flowers)) for _ in range(_RUNS)]
        plain, checking = (min(costs) for costs in zip(*pairs, strict=True))
        ratio = checking.cpu_seconds / plain.cpu_seconds
        report("ExampleGen's CPU, against ImportExampleGen", f"{ratio:.2f} x", "<= 1.25 x", ratio <= 1.25)
        larger = _run("checking", many)
    growth, memory = larger.cpu_seconds / checking.cpu_seconds, larger.gigabytes / checking.gigabytes
    report(f"ExampleGen's CPU at {_TIMES} x the data", f"{growth:.1f} x", f"<= {_TIMES} x", growth <= _TIMES)
    report(f"ExampleGen's memory at {_TIMES} x the data", f"{memory:.2f} x", "<= 1.2 x", memory <= 1.2)


def _run(kind: str, folder: Path) -> _Cost:
    """Runs an executor in a process of its own, because the peak memory is that of the process."""
    return _Cost(*json.loads(run_module("benchmarks.example_gen", kind, folder)))


def _measure(kind: str, folder: str) -> None:
    from tfx.components.example_gen.import_example_gen.executor import Executor
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
    from tfx.types import standard_artifacts
    from tfx.v1.components import ImportExampleGen

    from components import example_gen
    from components.artifacts import PhotoTable, Quarantine
    from pipeline.config import READ, Data

    types = {"examples": standard_artifacts.Examples}
    if kind == "plain":
        node, executor = ImportExampleGen(input_base=folder), Executor
    else:
        node = example_gen.example_gen(folder, "*", **Data().model_dump(mode="json", include=READ))
        executor, types = example_gen.Executor, types | {"table": PhotoTable, "quarantine": Quarantine}
    context = BaseBeamExecutor.Context(beam_pipeline_args=[], unique_id="1")
    with tempfile.TemporaryDirectory() as out:
        artifacts = {}
        for name, artifact_type in types.items():
            artifacts[name] = [artifact_type()]
            artifacts[name][0].uri = f"{out}/{name}"
            Path(out, name).mkdir()
        started = time.process_time()
        executor(context).Do({}, artifacts, dict(node.exec_properties))
        seconds = time.process_time() - started
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6]))


if __name__ == "__main__":
    _measure(*sys.argv[1:]) if len(sys.argv) > 1 else main()
