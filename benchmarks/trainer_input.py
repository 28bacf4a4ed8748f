"""The trainer's input against a hand-written tf.data reader, turn by turn in one process.

The hand-written one reads the shards as they came; the trainer reads what ExampleGen made of them, which is gzipped.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import DATA, report, runner

_ROUNDS = 9
_BATCH = 32


def main() -> None:
    """Prints the ratio of images/s, the best of nine rounds on each side, the least disturbed."""
    with tempfile.TemporaryDirectory() as output:
        flags = ["--preset", "flowers-convnet", "--data", DATA / "flowers-192", "--output", output]
        runner(*flags, "--set", "trainer.epochs=1", "--set", "data.image_size=192", "--set", "trainer.augment=[]")
        artifacts = Path(output) / "artifacts" / "flowers-convnet"
        # a process of its own, so that TensorFlow's greetings can be kept from the terminal
        command = [sys.executable, "-m", "benchmarks.trainer_input", str(artifacts)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        print(done.stdout, end="")


def compare(artifacts: Path) -> None:
    """Reads all training photos by both ways in turn."""
    import tensorflow as tf
    import tensorflow_transform as tft

    from trainer import input_pipeline

    def hand_written() -> tf.data.Dataset:
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
    ours = input_pipeline.evaluation([f"{examples}/Split-train/*"], transform, 5, _BATCH)
    theirs = hand_written()
    rates: dict[str, list[float]] = {"ours": [], "theirs": []}
    for turn in range(_ROUNDS + 1):
        for name, dataset in (("ours", ours), ("theirs", theirs)):
            started = time.monotonic()
            count = sum(int(labels.shape[0]) for _, labels in dataset)
            if turn:  # the first turn traces the graph
                rates[name].append(count / (time.monotonic() - started))
    best = {name: max(values) for name, values in rates.items()}
    ratio = best["ours"] / best["theirs"]
    report("trainer's input, images/s against hand-written tf.data", f"{ratio:.2f} ×", ">= 0.9 ×", ratio >= 0.9)
    print(f"  through the transform graph {best['ours']:,.0f}, hand-written {best['theirs']:,.0f} images/s")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        compare(Path(sys.argv[1]))
    else:
        main()
