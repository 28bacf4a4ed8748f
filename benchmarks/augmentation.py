"""CPU time of each augmentation, for photos of 192 px in batches of 64, in a graph as tf.data computes it."""

import sys
import time

from benchmarks.measure import run_module

_BATCH, _SIZE, _ROUNDS = 64, 192, 10


def main() -> None:
    """Prints a row for each operation."""
    print(run_module("benchmarks.augmentation", "compare"), end="")


def compare() -> None:
    """Measures the CPU time of all threads, so that a shared machine gives similar values."""
    import tensorflow as tf

    from trainer.augmentation.batches import operation
    from trainer.augmentation.table import OPERATIONS, Chosen

    pixels = tf.random.stateless_uniform([_BATCH, _SIZE, _SIZE, 3], (1, 2), -1.0, 1.0)
    classes = tf.one_hot(tf.range(_BATCH) % 5, 5)
    for name in OPERATIONS:
        change = tf.function(operation(Chosen.model_validate(name)))
        change(tf.constant([0, 0]), pixels, classes)  # traces the graph
        started = time.process_time()
        for number in range(_ROUNDS):
            change(tf.constant([0, number]), pixels, classes)
        seconds = (time.process_time() - started) / _ROUNDS / _BATCH
        print(f"| `{name}` | {1 / seconds:,.0f} | {1000 * seconds:.1f} |", flush=True)


if __name__ == "__main__":
    compare() if sys.argv[1:] == ["compare"] else main()
