"""Speed of fine-tuning Xception (192 px, batch 16) in the Trainer, compared with a plain Keras script.

Both train the same number of steps on the same photos with random flips. The Trainer also decodes with the transform
graph, writes TensorBoard logs and checks the loss. The two alternate, and the best round of each counts. A round is
measured from its first step to its last. The time after an epoch is not measured: validation, the check of the weights,
the checkpoint, and the time in which `fit` waits for tf.data's tuner (see `trainer.tfrecords`).
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import DATA, report, run_module, runner

_ROUNDS, _STEPS, _BATCH, _SIZE = 3, 6, 16, 192


def main() -> None:
    """Prints the ratio of images/s."""
    with tempfile.TemporaryDirectory() as output:
        flags = ["--preset", "flowers-convnet", "--data", DATA / "flowers-192", "--output", output]
        run = runner(
            *flags, "--set", "trainer.epochs=1", "--set", "data.image_size=192", "--set", "model.options.alpha=0.1"
        )
        if run.code not in (0, 3):  # 3: the gate refuses the model, but the artifacts exist
            raise SystemExit(run.printed)
        print(run_module("benchmarks.fine_tuning", f"{output}/artifacts/flowers-convnet"), end="")


def compare(artifacts: Path) -> None:
    """Prints the ratio of images/s, given the folder of the pipeline's artifacts."""
    with_trainer, plain = _trainer_round(artifacts), _plain_round()
    rates = [(with_trainer(), plain()) for _ in range(_ROUNDS + 1)]
    trainer_rate, plain_rate = (max(values[1:]) for values in zip(*rates, strict=True))  # round 0 traces the graph
    ratio = trainer_rate / plain_rate
    report("fine-tuning Xception, images/s relative to plain Keras", f"{ratio:.2f} ×", ">= 0.97 ×", ratio >= 0.97)
    print(f"  Trainer {trainer_rate:.1f}, plain Keras {plain_rate:.1f} images/s")


def _rate(model: Any, batches: Any, callbacks: list) -> float:
    """Returns images/s of one round."""
    import keras

    times: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: times.append(time.monotonic()),
        on_train_batch_end=lambda step, logs: times.append(time.monotonic()),
    )
    model.fit(batches, steps_per_epoch=_STEPS, callbacks=[*callbacks, clock], verbose=0)
    return _STEPS * _BATCH / (times[-1] - times[0])


def _trainer_round(artifacts: Path) -> Callable[[], float]:
    """Returns a function that trains one round like the Trainer and returns images/s."""
    import tensorflow as tf
    import tensorflow_transform as tft

    from pipeline.config import Trainer
    from trainer import fitting, input_pipeline, models
    from trainer.augmentation.batches import augmentation
    from trainer.augmentation.table import Chosen
    from trainer.callbacks import Board, FiniteLoss
    from trainer.checkpoints import Checkpoints

    transform = tft.TFTransformOutput(str(next((artifacts / "Transform" / "transform_graph").iterdir())))
    examples = next((artifacts / "ImportExampleGen" / "examples").iterdir())
    files = [f"{examples}/Split-train/*"]
    augment = augmentation([Chosen.model_validate("flip")])
    batches = input_pipeline.training(files, transform, 5, _BATCH, augment=augment)
    model = models.build("xception", (_SIZE, _SIZE, 3), 5)
    fitting.compile_model(model, Trainer(), tf.distribute.get_strategy(), _STEPS)
    photos, _ = next(iter(batches))

    def train() -> float:
        with tempfile.TemporaryDirectory() as logs:
            return _rate(model, batches, [Board(logs, photos, 0, None), FiniteLoss(_STEPS, Checkpoints(logs))])

    return train


def _plain_round() -> Callable[[], float]:
    """Returns a function that trains one round with plain Keras and returns images/s."""
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
    return lambda: _rate(model, batches, [])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        compare(Path(sys.argv[1]))
    else:
        main()
