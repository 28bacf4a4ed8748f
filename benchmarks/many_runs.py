"""`python -m lineage` on a store of 1,000 runs of 12 nodes, each node reading what the one before put out."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ml_metadata as mlmd

from benchmarks.measure import ROOT, report
from lineage import metadata
from testing.many_runs import fill


def main() -> None:
    """Prints the best of three for each question."""
    with tempfile.TemporaryDirectory() as folder:
        store = mlmd.MetadataStore(metadata.connection_config(str(Path(folder) / metadata.SQLITE)))
        last = fill(store)
        (Path(folder) / "artifacts").mkdir()  # gc looks into it
        questions = (
            ["runs"],
            ["runs", "--state", "failed"],
            ["runs", "--state", "refused"],
            ["runs", "--state", "stale"],
            ["show"],
            ["lineage", str(last)],
            ["models"],
            ["why", "Node5"],
            ["diff", "latest"],
            ["gc"],
        )
        for words in questions:
            seconds = min(_asked(words, folder) for _ in range(3))
            report(f"python -m lineage {' '.join(words)}, 1,000 runs", f"{seconds:.2f} s", "<= 2 s", seconds <= 2)


def _asked(words: list[str], folder: str) -> float:
    started = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "lineage", *words, "--store", folder], cwd=ROOT, check=True, capture_output=True
    )
    return time.monotonic() - started


if __name__ == "__main__":
    main()
