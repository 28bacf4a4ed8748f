"""Fine-tuning Xception at 192 px, batch 16: the Trainer's own way against a bare Keras script, turn by turn.

Both train the same steps of the same photos with flips; the Trainer also decodes through the transform graph, writes
TensorBoard and looks at the loss. Time is the best turn's of each side, from the first step to the end of the last;
what follows an epoch is left out: validation, the look at the weights, the checkpoint, and `fit`'s wait for tf.data's
tuner (see `trainer.tfrecords`).
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import DATA, report, runner

_TURNS, _STEPS, _BATCH, _SIZE = 3, 6, 16, 192


def main() -> None:
    """Prints the ratio of images/s."""
    with tempfile.TemporaryDirectory() as output:
        flags = ["--preset", "flowers-convnet", "--data", DATA / "flowers-192", "--output", output]
        run = runner(
            *flags, "--set", "trainer.epochs=1", "--set", "data.image_size=192", "--set", "model.options.alpha=0.1"
        )
        if run.code not in (0, 3):  # 3: the gate refuses so short a training, and the artifacts are there
            raise SystemExit(run.printed)
        command = [sys.executable, "-m", "benchmarks.fine_tuning", str(Path(output) / "artifacts" / "flowers-convnet")]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        print(done.stdout, end="")


def compare(artifacts: Path) -> None:
    """Trains by both ways in turn."""
    ours, theirs = _trainers_way(artifacts), _bare_script()
    rates: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(_TURNS + 1):
        rates["ours"].append(ours())
        rates["theirs"].append(theirs())
    best = {side: max(values[1:]) for side, values in rates.items()}  # the first turn traces the graph
    ratio = best["ours"] / best["theirs"]
    report("fine-tuning Xception, images/s against a bare Keras fit", f"{ratio:.2f} ×", ">= 0.97 ×", ratio >= 0.97)
    print(f"  the Trainer's way {best['ours']:.1f}, bare {best['theirs']:.1f} images/s")


def _timed(model: Any, batches: Any, callbacks: list) -> float:
    import keras

    times: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: times.append(time.monotonic()),
        on_train_batch_end=lambda step, logs: times.append(time.monotonic()),
    )
    model.fit(batches, steps_per_epoch=_STEPS, callbacks=[*callbacks, clock], verbose=0)
    return _STEPS * _BATCH / (times[-1] - times[0])


def _trainers_way(artifacts: Path) -> Any:
    import tensorflow as tf
    import tensorflow_transform as tft

    from pipeline.config import Trainer
    from trainer import fitting, input_pipeline, models
    from trainer.augmentation import augmentation
    from trainer.callbacks import Board, FiniteLoss
    from trainer.checkpoints import Checkpoints

    transform = tft.TFTransformOutput(str(next((artifacts / "Transform" / "transform_graph").iterdir())))
    examples = next((artifacts / "ImportExampleGen" / "examples").iterdir())
    files = [f"{examples}/Split-train/*"]
    batches = input_pipeline.training(files, transform, 5, _BATCH, augment=augmentation(["flip"]))
    model = models.build("xception", (_SIZE, _SIZE, 3), 5)
    fitting.compile_model(model, Trainer(), tf.distribute.get_strategy(), _STEPS)
    photos, _ = next(iter(batches))

    def turn() -> float:
        with tempfile.TemporaryDirectory() as logs:
            return _timed(model, batches, [Board(logs, photos, 0, None), FiniteLoss(_STEPS, Checkpoints(logs))])

    return turn


def _bare_script() -> Any:
    import keras
    import tensorflow as tf

    spec = {"image": tf.io.FixedLenFeature([], tf.string), "class": tf.io.FixedLenFeature([], tf.int64)}

    def parse(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = tf.io.parse_single_example(record, spec)
        pixels = tf.reshape(tf.io.decode_jpeg(features["image"], channels=3), [_SIZE, _SIZE, 3])
        return tf.image.random_flip_left_right(tf.cast(pixels, tf.float32) / 127.5 - 1.0), features["class"]

    shards = sorted(map(str, (DATA / "flowers-192").glob("*.tfrec")))[3:]
    records = tf.data.TFRecordDataset(shards, num_parallel_reads=tf.data.AUTOTUNE).shuffle(2048).repeat()
    batches = records.map(parse, tf.data.AUTOTUNE).batch(_BATCH, drop_remainder=True).prefetch(tf.data.AUTOTUNE)
    base = keras.applications.Xception(weights=None, include_top=False, input_shape=(_SIZE, _SIZE, 3), pooling="avg")
    model = keras.Model(base.input, keras.layers.Dense(5, activation="softmax")(base.output))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return lambda: _timed(model, batches, [])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        compare(Path(sys.argv[1]))
    else:
        main()
