"""DataReview on the flowers: its time, and how many labels it finds that a seed has changed."""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import DATA, report, run_module, runner

_SEEDS, _CHANGED = 3, 0.05  # the fraction of labels


def main() -> None:
    """Runs the preset flowers-probe, and prints the figures of its embeddings."""
    with tempfile.TemporaryDirectory() as output:
        run = runner("--preset", "flowers-probe", "--data", DATA / "flowers-192", "--output", output)
        if run.code not in (0, 3):
            raise SystemExit(f"exit code {run.code}, expected 0 or 3:\n{run.printed}")
        print(run_module("benchmarks.data_review", output), end="")


def measure(output: Path) -> None:
    """Prints the figures of the embeddings of a run.

    Args:
      output: the output folder of a run of flowers-probe.
    """
    from components.data_review import component, records

    nodes = output / "artifacts" / "flowers-probe"
    names = ("ImportExampleGen/examples", "ImportExampleGen/table", "Embeddings/embeddings")
    examples, table, embeddings = (str(min((nodes / name).iterdir())) for name in names)
    inputs = examples, table, embeddings
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as other:
        started, cpu = time.monotonic(), time.process_time()
        counts = component.review(inputs, (folder, other), list(map(str, range(5))), "")
        seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    report("DataReview, 3,670 photos", f"{seconds:.1f} s ({cpu:.1f} s of CPU)", "<= 5 s", seconds <= 5)
    print(f"without changes: {counts}")
    found = [_found(records.read(*inputs), seed) for seed in range(_SEEDS)]
    recall, precision = (sum(values) / _SEEDS for values in zip(*found, strict=True))
    report(f"changed labels that are found, {_SEEDS} seeds", f"{recall:.3f}", ">= 0.90", recall >= 0.9)
    report("suspects whose label was changed", f"{precision:.3f}", ">= 0.70", precision >= 0.7)


def _found(photos: Any, seed: int) -> tuple[float, float]:
    """Returns recall and precision for the labels that a seed changes."""
    import numpy as np

    from components.data_review import neighbours, suspects

    random = np.random.default_rng(seed)
    changed = random.choice(len(photos.labels), int(_CHANGED * len(photos.labels)), replace=False)
    labels = photos.labels.copy()
    labels[changed] = (labels[changed] + random.integers(1, 5, len(changed))) % 5
    nearest = neighbours.compare(photos.features, labels, photos.splits).nearest
    found = suspects.find(photos.features, labels, nearest, 5).photos
    right = len(np.intersect1d(found, changed))
    return right / len(changed), right / max(1, len(found))


if __name__ == "__main__":
    measure(Path(sys.argv[1])) if len(sys.argv) > 1 else main()
