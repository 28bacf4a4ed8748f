"""Speed of the Trainer's input at the codelab's image sizes, and its time relative to a training step of Xception.

The photos have many sizes and are cropped to each image size. If the input of a batch takes less time than a step, the
input does not slow down the training, because tf.data prepares it during the previous step.
"""

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import DATA, run_module

_SIZES, _BATCH, _ROUNDS, _STEPS = (192, 224, 331, 512), 8, 3, 2


def main() -> None:
    """Prints a line for each size."""
    print(run_module("benchmarks.input_sizes", "compare"), end="")


def compare() -> None:
    """Measures the input and the training step separately."""
    for size in _SIZES:
        with tempfile.TemporaryDirectory() as folder:
            rate = _input_rate(Path(folder), size)
        step = _step_seconds(size)
        fraction = _BATCH / rate / step
        print(
            f"trainer's input at {size} px: {rate:,.0f} images/s, {fraction:.1%} of the time of a step of Xception",
            flush=True,
        )


def _input_rate(folder: Path, size: int) -> float:
    from testing import graphs
    from trainer import input_pipeline

    shards = sorted((DATA / "flowers-native").glob("*.tfrec"))
    transform = graphs.build(folder, graphs.first_photos(shards[0], 1), image_size=size)
    batches = input_pipeline.evaluation([str(shard) for shard in shards], transform, 5, _BATCH)
    rates = []
    for _ in range(_ROUNDS + 1):
        started = time.monotonic()
        count = sum(int(labels.shape[0]) for _, labels in batches)
        rates.append(count / (time.monotonic() - started))
    return max(rates[1:])  # round 0 traces the graph


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
