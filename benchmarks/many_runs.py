"""Time of `python -m lineage` on a store of 1,000 runs with 12 nodes each; see `testing.many_runs`."""

import tempfile
import time
from pathlib import Path

import ml_metadata as mlmd

from benchmarks.measure import report, run_module
from lineage import metadata
from testing.many_runs import fill


def main() -> None:
    """Prints the best of three runs of each command."""
    with tempfile.TemporaryDirectory() as folder:
        store = mlmd.MetadataStore(metadata.connection_config(str(Path(folder) / metadata.SQLITE)))
        last = fill(store)
        (Path(folder) / "artifacts").mkdir()  # `gc` reads it
        commands = (
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
        for command in commands:
            seconds = min(_seconds(command, folder) for _ in range(3))
            report(f"python -m lineage {' '.join(command)}, 1,000 runs", f"{seconds:.2f} s", "<= 2 s", seconds <= 2)


def _seconds(command: list[str], folder: str) -> float:
    started = time.monotonic()
    run_module("lineage", *command, "--store", folder)
    return time.monotonic() - started


if __name__ == "__main__":
    main()
