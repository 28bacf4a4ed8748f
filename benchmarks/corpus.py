"""Damaged and odd files and records between real photos: how many have the expected result."""

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import DATA, report, run_module


def main() -> None:
    """Runs `ingest photos` and ExampleGen on the corpus, each in a process of its own, because damage may end it."""
    for part, what in {"files": "files", "originals": "files, --keep-original", "records": "records"}.items():
        items, wrong = json.loads(run_module("benchmarks.corpus", part).splitlines()[-1])
        for line in wrong:
            print(f"  {line}", flush=True)
        right = items - len(wrong)
        report(f"damaged or odd {what}, as expected", f"{right} of {items}", "100 %", right == items >= 300)


def _run(part: str) -> None:
    from testing import corpus  # TensorFlow, which only the child processes need

    flowers = DATA / "flowers-192"
    with tempfile.TemporaryDirectory() as folder:
        if part == "records":
            result = corpus.records(flowers, Path(folder))
        else:
            result = corpus.files(flowers, Path(folder), keep_original=part == "originals")
    print(json.dumps(result))


if __name__ == "__main__":
    _run(sys.argv[1]) if len(sys.argv) > 1 else main()
