"""The Trainer's input at the codelab's photo sizes, and its share of a step of Xception.

Photos of many sizes are cropped to each. An input of a share under 1 is made while the step before it computes.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import DATA

_SIZES, _BATCH, _ROUNDS, _STEPS = (192, 224, 331, 512), 8, 3, 2


def main() -> None:
    """Prints a line for each size."""
    command = [sys.executable, "-m", "benchmarks.input_sizes", "here"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    print(done.stdout, end="")


def compare() -> None:
    """Times the input alone, then the training step alone."""
    for size in _SIZES:
        with tempfile.TemporaryDirectory() as folder:
            rate = _input_rate(Path(folder), size)
        step = _step_seconds(size)
        share = _BATCH / rate / step
        print(f"trainer's input at {size} px: {rate:,.0f} images/s, {share:.1%} of a step of Xception", flush=True)


def _input_rate(folder: Path, size: int) -> float:
    from testing import graphs
    from trainer import input_pipeline

    shards = sorted((DATA / "flowers-native").glob("*.tfrec"))
    transform = graphs.build(folder, graphs.photos_of(shards[0], 1), image_size=size)
    batches = input_pipeline.evaluation([str(shard) for shard in shards], transform, 5, _BATCH)
    rates = []
    for _ in range(_ROUNDS + 1):
        started = time.monotonic()
        count = sum(int(labels.shape[0]) for _, labels in batches)
        rates.append(count / (time.monotonic() - started))
    return max(rates[1:])  # the first round traces the graph


def _step_seconds(size: int) -> float:
    import tensorflow as tf

    from pipeline.config import Trainer
    from trainer import fitting, models

    model = models.build("xception", (size, size, 3), 5)
    fitting.compile_model(model, Trainer(), tf.distribute.get_strategy(), _STEPS)
    pixels, classes = tf.zeros([_BATCH, size, size, 3]), tf.one_hot(tf.zeros([_BATCH], tf.int32), 5)
    seconds = []
    for _ in range(_STEPS + 1):
        started = time.monotonic()
        model.train_on_batch(pixels, classes)
        seconds.append(time.monotonic() - started)
    return min(seconds[1:])


if __name__ == "__main__":
    compare() if len(sys.argv) > 1 else main()
