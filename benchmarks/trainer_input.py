"""Speed of the Trainer's input compared with a simple tf.data pipeline; the two alternate in one process.

The simple pipeline reads the original shards. The Trainer reads ExampleGen's output, which is compressed with gzip.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import DATA, report, run_module, runner

_ROUNDS = 9
_BATCH = 32


def main() -> None:
    """Runs the pipeline and prints the ratio of images/s; the best of nine rounds counts."""
    with tempfile.TemporaryDirectory() as output:
        flags = ["--preset", "flowers-convnet", "--data", DATA / "flowers-192", "--output", output]
        runner(*flags, "--set", "trainer.epochs=1", "--set", "data.image_size=192", "--set", "trainer.augment=[]")
        print(run_module("benchmarks.trainer_input", f"{output}/artifacts/flowers-convnet"), end="")


def compare(artifacts: Path) -> None:
    """Prints the ratio of images/s, given the folder of the pipeline's artifacts."""
    import tensorflow as tf
    import tensorflow_transform as tft

    from trainer import input_pipeline

    def simple_pipeline() -> tf.data.Dataset:
        spec = {"image": tf.io.FixedLenFeature([], tf.string), "class": tf.io.FixedLenFeature([], tf.int64)}

        def parse(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            features = tf.io.parse_single_example(record, spec)
            pixels = tf.io.decode_jpeg(features["image"], channels=3)
            return tf.reshape(tf.cast(pixels, tf.float32) / 127.5 - 1.0, [192, 192, 3]), features["class"]

        shards = sorted(map(str, (DATA / "flowers-192").glob("*.tfrec")))[3:]
        records = tf.data.TFRecordDataset(shards, num_parallel_reads=tf.data.AUTOTUNE)
        return records.map(parse, num_parallel_calls=tf.data.AUTOTUNE).batch(_BATCH).prefetch(tf.data.AUTOTUNE)

    transform = tft.TFTransformOutput(str(next((artifacts / "Transform" / "transform_graph").iterdir())))
    examples = next((artifacts / "ImportExampleGen" / "examples").iterdir())
    datasets = input_pipeline.evaluation([f"{examples}/Split-train/*"], transform, 5, _BATCH), simple_pipeline()
    rates = [tuple(map(_rate, datasets)) for _ in range(_ROUNDS + 1)]
    trainer_rate, simple_rate = (max(values[1:]) for values in zip(*rates, strict=True))  # round 0 traces the graph
    ratio = trainer_rate / simple_rate
    report("trainer's input, images/s relative to simple tf.data", f"{ratio:.2f} ×", ">= 0.9 ×", ratio >= 0.9)
    print(f"  Trainer's input {trainer_rate:,.0f}, simple tf.data {simple_rate:,.0f} images/s")


def _rate(dataset: Any) -> float:
    """Returns images/s of one pass."""
    started = time.monotonic()
    count = sum(int(labels.shape[0]) for _, labels in dataset)
    return count / (time.monotonic() - started)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        compare(Path(sys.argv[1]))
    else:
        main()
