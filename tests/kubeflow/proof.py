"""Runs Kubeflow Pipelines' own compiler, Argo's validation and the driver's pod functions on compiled pipelines.

    python -m tests.kubeflow.proof [VERSION …]

Compares each task's pod with the settings and the table of machines. With all versions, writes what is proven to
tests/golden/kubeflow-proof.txt. Needs git and Go; see sources.py.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from tests.conftest import ROOT
from tests.kubeflow import pods, runs, sources


def main() -> None:
    versions = sys.argv[1:] or list(sources.VERSIONS)
    with tempfile.TemporaryDirectory() as name:
        files = {run: runs.compile_run(run, Path(name)) for run in runs.RUNS}
        for version in versions:
            started = time.monotonic()
            program = sources.compiler(version)
            built = time.monotonic()
            for run, file in files.items():
                prove(program, version, run, file)
            print(
                f"Kubeflow Pipelines {version}: {len(files)} pipelines accepted, pods as expected "
                f"({built - started:.0f} s to build, {time.monotonic() - built:.0f} s to run)",
                flush=True,
            )
        if versions == list(sources.VERSIONS):
            runs.SUMMARY.write_text(runs.summary(files))
            print(f"wrote {runs.SUMMARY.relative_to(ROOT)}")


def prove(program: Path, version: str, run: str, file: Path) -> None:
    """Runs a version's program on a file, and compares the pods. Raises SystemExit if they are not as expected."""
    result = json.loads(sources.run([program, file]))
    actual, wanted = pods.of_backend(result), runs.expected(run, file)
    for task in actual.keys() | wanted:
        if actual.get(task) != wanted.get(task):
            raise SystemExit(
                f"{version}, {run}, {task}: expected {wanted.get(task)}, received {actual.get(task)}; "
                "correct the compiled file, or the expectation in tests/kubeflow/pods.py"
            )


if __name__ == "__main__":
    main()
