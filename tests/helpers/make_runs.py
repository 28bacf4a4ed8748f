"""Six runs with different results, most in one process: `python -m tests.helpers.make_runs FOLDER`."""

import subprocess
import sys
import time
from pathlib import Path

import local_runner
from tests.helpers import records

TINY = ["data.image_size=16", "trainer.epochs=2", "trainer.batch_size=4"]
EASY = ["evaluator.min_accuracy=0", "evaluator.min_class_recall=0"]


def main(folder: Path) -> None:
    """Makes runs that are: killed during training, pushed, cached, refused, trained longer and pushed, failed."""
    good = records.folder(folder / "data", shards=4, per_shard=20)
    bad = records.folder(folder / "bad", bad=records.example(image=b"no photo"), shards=4, per_shard=20)
    _kill_during_training(folder, good)
    assert _run(folder, good, *TINY, *EASY) == 0
    assert _run(folder, good, *TINY, *EASY) == 0
    assert _run(folder, good, *TINY, "evaluator.min_accuracy=1", "evaluator.min_class_recall=0") == 3
    assert _run(folder, good, *TINY, *EASY, "trainer.epochs=3", "evaluator.max_accuracy_drop=1") == 0
    assert _run(folder, bad, *TINY, *EASY) == 1


def _flags(folder: Path, data: Path, *settings: str) -> list[str]:
    words = [word for setting in settings for word in ("--set", setting)]
    return ["--data", str(data), "--output", str(folder / "out"), *words]


def _run(folder: Path, data: Path, *settings: str) -> int:
    return local_runner.main(_flags(folder, data, *settings))


def _kill_during_training(folder: Path, data: Path) -> None:
    flags = _flags(folder, data, *TINY, *EASY, "trainer.epochs=200")
    process = subprocess.Popen([sys.executable, "local_runner.py", *flags])
    while not list((folder / "out").glob("artifacts/*/checkpoints/*/state.json")):
        assert process.poll() is None, "the run ended before it was killed"
        time.sleep(0.05)
    process.kill()
    process.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
